-- Licence keys. A listing may have a pool of them, of which each order gets one of its own. The pool's place among the listing's content
-- is a text without value; the key that an order gets is a text of that order, like any other.

ALTER TABLE deliverables DROP CONSTRAINT deliverables_check1;   -- a file has no value, and everything else has one
ALTER TABLE deliverables ADD CHECK (CASE type WHEN 'file' THEN value IS NULL WHEN 'url' THEN value IS NOT NULL
                                    ELSE value IS NOT NULL OR (order_id IS NULL AND format IS NULL) END);
-- The one of a listing's deliverables that is the pool's.
ALTER TABLE listings ADD COLUMN key_pool text CHECK (key_pool IS NULL OR key_pool = ANY (deliverables));

CREATE TABLE pool_keys (
    account_id  text NOT NULL,
    listing_id  text NOT NULL,
    digest      bytea NOT NULL,         -- SHA-256 of the value: a listing has each key once
    id          text NOT NULL,          -- of the deliverable that it becomes when it is sold
    value       text NOT NULL CHECK (length(value) BETWEEN 1 AND 1000),
    status      text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'held', 'sold')),
    checkout_id text,                   -- who holds it, or has bought it
    uploaded_at timestamptz NOT NULL,
    place       int NOT NULL,           -- in its upload
    PRIMARY KEY (account_id, listing_id, digest),
    CHECK ((status = 'available') = (checkout_id IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX pool_keys_available ON pool_keys (account_id, listing_id, uploaded_at, place) WHERE status = 'available';
CREATE INDEX pool_keys_held ON pool_keys (account_id, listing_id) WHERE status = 'held';
CREATE UNIQUE INDEX pool_keys_checkout ON pool_keys (checkout_id) WHERE checkout_id IS NOT NULL;   -- a purchase has one key at most

-- Static orders that wait for a key, the oldest first. One that was refunded, or lost to a dispute, waits no more.
CREATE INDEX orders_without_key ON orders (account_id, listing_id, paid_at, id)
WHERE content_type = 'static' AND status = 'processing' AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost';

CREATE FUNCTION orders_wait_for_keys(p_account text, p_listing text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM orders WHERE account_id = p_account AND listing_id = p_listing AND content_type = 'static'
        AND status = 'processing' AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost');
$$;

-- Null: the key was found for a payment that came when nothing was held any more; its sale takes from the stock if some is left.
ALTER TABLE holds ALTER COLUMN units DROP NOT NULL;

-- Queues the job that gives keys to orders that wait for them.
CREATE FUNCTION keys_hand_out(p_account text, p_listing text, p_seed text, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT jobs_push(ARRAY[(derived_id('job_', concat('restock:', p_listing, ':', p_seed)), 'stock', 'fulfillment.restock', p_account,
                            p_listing, p_now)::job_new], p_now);
$$;

-- Adds keys to a listing's pool, and returns how many were new; null: there is no pool. Whoever adds the same meets at the listing.
CREATE FUNCTION keys_add(p_account text, p_listing text, p_values text[], p_ids text[], p_now timestamptz) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    added int;
BEGIN
    PERFORM 1 FROM listings WHERE account_id = p_account AND id = p_listing AND key_pool IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO pool_keys (account_id, listing_id, digest, id, value, uploaded_at, place)
    SELECT p_account, p_listing, sha256(convert_to(u.value, 'UTF8')), u.id, u.value, p_now, u.place
    FROM unnest(p_values, p_ids) WITH ORDINALITY AS u (value, id, place)
    ON CONFLICT (account_id, listing_id, digest) DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        PERFORM keys_hand_out(p_account, p_listing, p_ids[1], p_now);
    END IF;
    RETURN added;
END
$$;

-- How many keys of each listing are there for new buyers, counting no further than `p_most`: none while paid orders wait for theirs.
CREATE FUNCTION keys_left(p_account text, p_listings text[], p_most int) RETURNS TABLE (listing_id text, keys bigint)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT wanted.id, CASE WHEN orders_wait_for_keys(p_account, wanted.id) THEN 0 ELSE (
        SELECT count(*) FROM (
            SELECT FROM pool_keys k WHERE k.account_id = p_account AND k.listing_id = wanted.id AND k.status = 'available' LIMIT p_most
        ) counted) END
    FROM unnest(p_listings) AS wanted (id);
$$;

-- Takes one of the listing's stock and one of its keys for a checkout, and returns whether there was one left of both. The row lock on
-- the listing lets one checkout after the other look at the stock; of the keys each looks at those that nobody else is about to take.
CREATE OR REPLACE FUNCTION stock_hold(p_account text, p_listing text, p_checkout text, p_until timestamptz, p_now timestamptz)
RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    pool  text := (SELECT key_pool FROM listings WHERE account_id = p_account AND id = p_listing);
    found_key bytea;
    taken int;
BEGIN
    IF pool IS NOT NULL THEN
        IF orders_wait_for_keys(p_account, p_listing) THEN
            RETURN false;
        END IF;
        SELECT digest INTO found_key FROM pool_keys WHERE account_id = p_account AND listing_id = p_listing AND status = 'available'
        ORDER BY uploaded_at, place LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    UPDATE listings SET stock = stock - 1 WHERE account_id = p_account AND id = p_listing AND (stock > 0 OR stock IS NULL)
    RETURNING CASE WHEN stock IS NULL THEN 0 ELSE 1 END INTO taken;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF pool IS NOT NULL THEN
        UPDATE pool_keys SET status = 'held', checkout_id = p_checkout
        WHERE account_id = p_account AND listing_id = p_listing AND digest = found_key;
    END IF;
    INSERT INTO holds (checkout_id, account_id, listing_id, units, until) VALUES (p_checkout, p_account, p_listing, taken, p_until);
    PERFORM stock_give_back_later(p_account, p_listing, p_until, p_now);
    RETURN true;
END
$$;

-- Finds a key for each of these checkouts, all of one listing and all paid, that holds none any more; the first are served first.
-- Returns the keys that they hold now. Whoever has not `p_waited` stands behind the orders that do. Two that are about the same
-- checkout meet at its hold.
CREATE FUNCTION keys_take(
    p_account text, p_listing text, p_checkouts text[], p_waited boolean, p_until timestamptz, p_now timestamptz
)
RETURNS TABLE (checkout text, key_id text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    without text[] := ARRAY (
        SELECT c FROM unnest(p_checkouts) WITH ORDINALITY AS u (c, n)
        WHERE NOT EXISTS (SELECT FROM pool_keys WHERE checkout_id = c) ORDER BY n);
BEGIN
    IF cardinality(without) > 0 AND EXISTS (
        SELECT FROM pool_keys WHERE account_id = p_account AND listing_id = p_listing AND status = 'available'
    ) AND (p_waited OR NOT orders_wait_for_keys(p_account, p_listing)) THEN
        INSERT INTO holds AS hold (checkout_id, account_id, listing_id, until)
        SELECT c, p_account, p_listing, p_until FROM unnest(without) c ORDER BY c
        ON CONFLICT (checkout_id) DO UPDATE SET until = greatest(hold.until, excluded.until);
        WITH needing AS (
            SELECT c, row_number() OVER (ORDER BY n) AS n FROM unnest(without) WITH ORDINALITY AS u (c, n)
            WHERE NOT EXISTS (SELECT FROM pool_keys WHERE checkout_id = c)
        ), free AS (
            SELECT digest, row_number() OVER (ORDER BY uploaded_at, place) AS n FROM (
                SELECT digest, uploaded_at, place FROM pool_keys
                WHERE account_id = p_account AND listing_id = p_listing AND status = 'available'
                ORDER BY uploaded_at, place LIMIT cardinality(without) FOR UPDATE SKIP LOCKED
            ) first
        )
        UPDATE pool_keys SET status = 'held', checkout_id = needing.c FROM free JOIN needing USING (n)
        WHERE account_id = p_account AND listing_id = p_listing AND pool_keys.digest = free.digest;
        DELETE FROM holds WHERE checkout_id = ANY (without) AND units IS NULL
        AND NOT EXISTS (SELECT FROM pool_keys WHERE pool_keys.checkout_id = holds.checkout_id);
        PERFORM stock_give_back_later(p_account, p_listing, p_until, p_now);
    END IF;
    RETURN QUERY SELECT k.checkout_id, k.id FROM pool_keys k WHERE k.checkout_id = ANY (p_checkouts) AND k.status = 'held';
END
$$;

CREATE OR REPLACE FUNCTION stock_give_back(p_account text, p_listing text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    ended text[] := ARRAY (
        SELECT checkout_id FROM holds WHERE account_id = p_account AND listing_id = p_listing AND until <= p_now
        ORDER BY checkout_id FOR UPDATE);
    units_back int;
BEGIN
    IF cardinality(ended) = 0 THEN
        RETURN;
    END IF;
    WITH gone AS (DELETE FROM holds WHERE checkout_id = ANY (ended) RETURNING units)
    SELECT coalesce(sum(units), 0) INTO units_back FROM gone;
    UPDATE pool_keys SET status = 'available', checkout_id = NULL WHERE checkout_id = ANY (ended) AND status = 'held';
    IF FOUND THEN
        PERFORM keys_hand_out(p_account, p_listing, ended[1], p_now);
    END IF;
    IF units_back > 0 THEN
        UPDATE listings SET stock = stock + units_back WHERE account_id = p_account AND id = p_listing;
    END IF;
END
$$;

-- A hold with a key stays until the key is sold. Somebody else may have found it a moment ago, while this order was already on its way
-- without: then the order is given it later, or it goes back.
CREATE OR REPLACE FUNCTION stock_sell(p_checkouts text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    in_time text[] := ARRAY (
        SELECT checkout_id FROM (
            SELECT checkout_id, units FROM holds WHERE checkout_id = ANY (p_checkouts) ORDER BY checkout_id FOR UPDATE
        ) held WHERE units IS NOT NULL);
BEGIN
    DELETE FROM holds WHERE checkout_id = ANY (p_checkouts)
    AND NOT EXISTS (SELECT FROM pool_keys k WHERE k.checkout_id = holds.checkout_id AND k.status = 'held');
    UPDATE holds SET units = 0 WHERE checkout_id = ANY (p_checkouts);
    WITH late AS (
        SELECT account_id, listing_id, count(*)::int AS n FROM checkouts
        WHERE id = ANY (p_checkouts) AND id <> ALL (in_time) GROUP BY account_id, listing_id
    ), locked AS (
        SELECT listings.id, late.n FROM listings JOIN late ON late.account_id = listings.account_id AND late.listing_id = listings.id
        WHERE listings.stock > 0 ORDER BY listings.id FOR NO KEY UPDATE OF listings
    )
    UPDATE listings SET stock = greatest(listings.stock - locked.n, 0) FROM locked WHERE listings.id = locked.id;
END
$$;

CREATE TYPE key_sale AS (account_id text, order_id text, checkout_id text, key_id text);

-- Locks what these sales are about, and returns the orders whose key is not held for them any more.
CREATE FUNCTION keys_lost(p_sales key_sale[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM holds WHERE checkout_id = ANY (ARRAY (SELECT s.checkout_id FROM unnest(p_sales) s)) ORDER BY checkout_id FOR UPDATE;
    RETURN QUERY
    SELECT s.order_id FROM unnest(p_sales) s WHERE NOT EXISTS (
        SELECT FROM pool_keys k JOIN holds USING (checkout_id)
        WHERE k.checkout_id = s.checkout_id AND k.id = s.key_id AND k.status = 'held');
END
$$;

-- Makes held keys the content of their orders.
CREATE FUNCTION keys_sell(p_sales key_sale[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH sold AS (
        UPDATE pool_keys k SET status = 'sold' FROM unnest(p_sales) s
        WHERE k.checkout_id = s.checkout_id AND k.id = s.key_id AND k.status = 'held'
        RETURNING s.account_id, s.order_id, k.id, k.value
    )
    INSERT INTO deliverables (account_id, id, order_id, type, value, created_at) SELECT account_id, id, order_id, 'text', value, p_now FROM sold;
    DELETE FROM holds WHERE checkout_id = ANY (ARRAY (SELECT s.checkout_id FROM unnest(p_sales) s));
END
$$;

-- Forgets the keys of a listing that goes; what an open checkout holds stays, because it may still be paid.
CREATE FUNCTION keys_drop(p_account text, p_listing text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM pool_keys WHERE account_id = p_account AND listing_id = p_listing AND status = 'available';
$$;
