-- What listings have sold, counted with each order and each refund instead of at each look. A listing has up to sixteen rows for a
-- currency, by the connection that writes: one row would make the payments of a listing wait for each other.

CREATE TABLE sales (
    account_id text NOT NULL,
    listing_id text NOT NULL,
    currency   text NOT NULL,
    shard      int NOT NULL,
    orders     bigint NOT NULL,
    revenue    bigint NOT NULL,         -- what was paid, less what was refunded; below zero where another shard counted the payment
    PRIMARY KEY (account_id, listing_id, currency, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TYPE sale AS (account_id text, listing_id text, currency text, orders bigint, revenue bigint);

-- Rows are locked in the order of their key, and before the account's stream, so that no two callers wait in a circle.
CREATE FUNCTION sales_add(p_sales sale[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO sales AS so_far (account_id, listing_id, currency, shard, orders, revenue)
    SELECT s.account_id, s.listing_id, s.currency, pg_backend_pid() % 16, sum(s.orders), sum(s.revenue) FROM unnest(p_sales) s
    GROUP BY s.account_id, s.listing_id, s.currency ORDER BY s.account_id, s.listing_id, s.currency
    ON CONFLICT (account_id, listing_id, currency, shard) DO UPDATE
    SET orders = so_far.orders + excluded.orders, revenue = so_far.revenue + excluded.revenue;
$$;

-- The table itself counts: whatever makes an order or refunds one, in whichever statement, cannot forget it.
CREATE FUNCTION orders_count_made() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sales_add(array_agg((account_id, listing_id, currency, 1, amount - refund_amount)::sale)) FROM made;
    RETURN NULL;
END
$$;

CREATE TRIGGER orders_count_made AFTER INSERT ON orders
REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION orders_count_made();

CREATE FUNCTION orders_count_refunded() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sales_add(array_agg((account_id, o.listing_id, o.currency, 0, was.refund_amount - o.refund_amount)::sale))
    FROM changed o JOIN before was USING (account_id, id) WHERE o.refund_amount <> was.refund_amount;
    RETURN NULL;
END
$$;

CREATE TRIGGER orders_count_refunded AFTER UPDATE ON orders
REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION orders_count_refunded();

INSERT INTO sales SELECT account_id, listing_id, currency, 0, count(*), sum(amount - refund_amount) FROM orders GROUP BY 1, 2, 3;

CREATE OR REPLACE FUNCTION orders_stats(p_account text, p_listings text[])
RETURNS TABLE (listing_id text, currency text, orders bigint, revenue bigint)
LANGUAGE sql STABLE AS $$
    SELECT s.listing_id, s.currency, sum(s.orders)::bigint, sum(s.revenue)::bigint
    FROM sales s WHERE s.account_id = p_account AND s.listing_id = ANY (p_listings)
    GROUP BY s.listing_id, s.currency;
$$;
