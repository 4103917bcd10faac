-- From where an order's content was looked at and opened: what a bank asks for when a buyer says that nothing came. One row for each
-- hour, address and thing, however often; so that a page that is loaded again and again writes nothing.
CREATE TABLE visits (
    account_id     text NOT NULL,
    order_id       text NOT NULL,
    what           text NOT NULL CHECK (what IN ('page', 'file', 'url')),
    deliverable_id text NOT NULL,          -- '' for the page
    address        text NOT NULL,
    hour           timestamptz NOT NULL,
    visited_at     timestamptz NOT NULL,   -- the first time in that hour
    agent          text NOT NULL,          -- what the browser calls itself
    PRIMARY KEY (account_id, order_id, hour, what, deliverable_id, address)
);
