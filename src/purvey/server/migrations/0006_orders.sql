-- What was bought and how far it has got.

CREATE TABLE orders (
    account_id        text NOT NULL,
    id                text NOT NULL,
    version           int NOT NULL,
    checkout_id       text NOT NULL UNIQUE,
    listing_id        text NOT NULL,
    content_type      text NOT NULL CHECK (content_type IN ('static', 'generated', 'webhook', 'dynamic')),
    status            text NOT NULL CHECK (status IN ('paid', 'processing', 'fulfilled', 'handed_off')),
    payment_status    text NOT NULL CHECK (payment_status IN ('paid', 'partially_refunded', 'refunded')),
    dispute_status    text CHECK (dispute_status IN ('needs_response', 'under_review', 'won', 'lost')),
    delivery_status   text CHECK (delivery_status IN ('pending', 'delivered', 'failed')),
    buyer_email       text NOT NULL,
    amount            bigint NOT NULL CHECK (amount >= 0),
    currency          text NOT NULL,
    checkout_data     json NOT NULL,
    deliverables      text[] NOT NULL,          -- ids, in the order shown
    delivered_items   json,
    metadata          json NOT NULL,
    listing           json NOT NULL,            -- the listing as it was sold
    seller            json NOT NULL,            -- name and address, for the buyer
    payment_provider  text NOT NULL,
    payment_reference text NOT NULL,
    refund_amount     bigint NOT NULL DEFAULT 0 CHECK (refund_amount BETWEEN 0 AND amount),
    grant_after       int NOT NULL,             -- hours
    grant_downloads   int NOT NULL,
    access_hash       bytea NOT NULL UNIQUE,    -- SHA-256 of the token in the access link
    access_sealed     bytea NOT NULL,           -- the token itself, sealed
    paid_at           timestamptz NOT NULL,
    fulfilled_at      timestamptz,
    handed_off_at     timestamptz,
    refunded_at       timestamptz,
    disputed_at       timestamptz,
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (account_id, id),
    UNIQUE (payment_provider, payment_reference),   -- one order per payment, whoever reports it and how often
    CHECK ((status = 'fulfilled') = (fulfilled_at IS NOT NULL)),
    CHECK ((status = 'handed_off') = (handed_off_at IS NOT NULL))
);
CREATE INDEX orders_newest ON orders (account_id, created_at DESC, id DESC);
CREATE INDEX orders_listing ON orders (account_id, listing_id, created_at DESC, id DESC);
CREATE INDEX orders_buyer ON orders (account_id, lower(buyer_email), created_at DESC, id DESC);
CREATE INDEX orders_status ON orders (account_id, status, created_at DESC, id DESC);

-- Every change of an order, one row each, written with the change.
CREATE TABLE order_history (
    account_id  text NOT NULL,
    order_id    text NOT NULL,
    version     int NOT NULL,
    action      text NOT NULL,
    from_status text,
    to_status   text NOT NULL,
    actor       text NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (account_id, order_id, version)
);

CREATE TYPE order_new AS (
    account_id text, id text, version int, checkout_id text, listing_id text, content_type text, status text, payment_status text,
    delivery_status text, buyer_email text, amount bigint, currency text, checkout_data json, deliverables text[], metadata json,
    listing json, seller json, payment_provider text, payment_reference text, grant_after int, grant_downloads int, access_hash bytea,
    access_sealed bytea, paid_at timestamptz, fulfilled_at timestamptz, handed_off_at timestamptz, created_at timestamptz
);

-- Makes the orders whose checkout and payment have none yet, and returns their ids. Two processes meet at the checkout, since the ids are
-- fresh: in the order of the checkouts neither waits for the other in a circle.
CREATE FUNCTION orders_make(p_orders order_new[]) RETURNS SETOF text
LANGUAGE sql AS $$
    INSERT INTO orders (
        account_id, id, version, checkout_id, listing_id, content_type, status, payment_status, delivery_status, buyer_email, amount,
        currency, checkout_data, deliverables, metadata, listing, seller, payment_provider, payment_reference, grant_after, grant_downloads,
        access_hash, access_sealed, paid_at, fulfilled_at, handed_off_at, created_at)
    SELECT o.* FROM unnest(p_orders) o ORDER BY o.checkout_id
    ON CONFLICT DO NOTHING
    RETURNING id;
$$;

-- The whole changeable state after the change, and the state before it: `version`, which must still be the order's, and the
-- statuses that `allowed` the transition.
CREATE TYPE order_change AS (
    account_id text, id text, version int, allowed text[], status text, payment_status text, dispute_status text, delivery_status text,
    buyer_email text, deliverables text[], delivered_items json, metadata json, refund_amount bigint, fulfilled_at timestamptz,
    handed_off_at timestamptz, refunded_at timestamptz, disputed_at timestamptz
);

-- Changes the orders that are still as the caller read them, and returns their ids. Rows are locked in (account, order) order.
CREATE FUNCTION orders_change(p_changes order_change[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders JOIN unnest(p_changes) c ON orders.account_id = c.account_id AND orders.id = c.id
    ORDER BY orders.account_id, orders.id FOR NO KEY UPDATE OF orders;
    RETURN QUERY
    UPDATE orders SET
        version = c.version + 1, status = c.status, payment_status = c.payment_status, dispute_status = c.dispute_status,
        delivery_status = c.delivery_status, buyer_email = c.buyer_email, deliverables = c.deliverables,
        delivered_items = c.delivered_items, metadata = c.metadata, refund_amount = c.refund_amount, fulfilled_at = c.fulfilled_at,
        handed_off_at = c.handed_off_at, refunded_at = c.refunded_at, disputed_at = c.disputed_at
    FROM unnest(p_changes) c
    WHERE orders.account_id = c.account_id AND orders.id = c.id AND orders.version = c.version AND orders.status = ANY (c.allowed)
    RETURNING orders.id;
END
$$;

CREATE TYPE order_step AS (
    account_id text, order_id text, version int, action text, from_status text, to_status text, actor text
);

CREATE FUNCTION order_history_add(p_steps order_step[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO order_history (account_id, order_id, version, action, from_status, to_status, actor, changed_at)
    SELECT s.account_id, s.order_id, s.version, s.action, s.from_status, s.to_status, s.actor, p_now FROM unnest(p_steps) s;
$$;

-- Whether a listing has been bought: then it can be archived, and not deleted.
CREATE FUNCTION orders_exist(p_account text, p_listing text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM orders WHERE account_id = p_account AND listing_id = p_listing);
$$;

-- What listings have sold: orders and revenue less refunds, by currency.
CREATE FUNCTION orders_stats(p_account text, p_listings text[]) RETURNS TABLE (listing_id text, currency text, orders bigint, revenue bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.listing_id, o.currency, count(*), sum(o.amount - o.refund_amount)::bigint
    FROM orders o WHERE o.account_id = p_account AND o.listing_id = ANY (p_listings)
    GROUP BY o.listing_id, o.currency;
$$;
