-- From where an order was bought, too: a visit of its checkout stands under the checkout's id, which is there before the order is. And
-- parts of files, which are fetched without counting. What was noted goes after a while, the oldest first.
ALTER TABLE visits
    DROP CONSTRAINT visits_what_check,
    ADD CONSTRAINT visits_what_check CHECK (what IN ('checkout', 'return', 'page', 'file', 'part', 'url'));
CREATE INDEX visits_age ON visits (visited_at);

-- What the product page said of what is sold, when the checkout was started.
ALTER TABLE checkouts ADD COLUMN description text;
