-- What a checkout keeps for its buyer. `listings.stock` is what is left for others: a checkout takes from it when it is started, and
-- gives back what it took when it expires unpaid.

-- Only what is held now: a row goes with the payment, or when its time is over. So however many checkouts there were, looking for what
-- to give back costs the same.
CREATE TABLE holds (
    checkout_id text PRIMARY KEY,
    account_id  text NOT NULL,
    listing_id  text NOT NULL,
    units       int NOT NULL CHECK (units IN (0, 1)),   -- of the listing's stock; 0: it had no limit then
    until       timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX holds_until ON holds (account_id, listing_id, until);

-- Checkouts that held something, or tried to: whoever makes their order looks for what they hold.
ALTER TABLE checkouts ADD COLUMN limited boolean NOT NULL DEFAULT false;

SELECT lane_ensure('stock', 'stock', NULL, 'stock and licence keys', 8, clock_timestamp());

-- Queues the job that gives back what a listing's checkouts hold until `p_until`; those that end within ten seconds share one.
CREATE FUNCTION stock_give_back_later(p_account text, p_listing text, p_until timestamptz, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT jobs_push(ARRAY[(
        derived_id('job_', concat('give_back:', p_listing, ':', slot)), 'stock', 'stock.give_back', p_account, p_listing,
        to_timestamp(slot * 10))::job_new], p_now)
    FROM ceil(extract(epoch FROM p_until) / 10) AS slot;
$$;

-- Takes one of the listing's stock for a checkout, and returns whether there was one left. The row lock on the listing lets one
-- checkout after the other look, so that the last one is taken once.
CREATE FUNCTION stock_hold(p_account text, p_listing text, p_checkout text, p_until timestamptz, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    taken int;
BEGIN
    UPDATE listings SET stock = stock - 1 WHERE account_id = p_account AND id = p_listing AND (stock > 0 OR stock IS NULL)
    RETURNING CASE WHEN stock IS NULL THEN 0 ELSE 1 END INTO taken;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO holds (checkout_id, account_id, listing_id, units, until) VALUES (p_checkout, p_account, p_listing, taken, p_until);
    PERFORM stock_give_back_later(p_account, p_listing, p_until, p_now);
    RETURN true;
END
$$;

-- Gives back what the listing's checkouts hold whose time is over. A payment locks its hold before it makes the order, so that what
-- was paid meanwhile is not given back.
CREATE FUNCTION stock_give_back(p_account text, p_listing text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    ended text[] := ARRAY (
        SELECT checkout_id FROM holds WHERE account_id = p_account AND listing_id = p_listing AND until <= p_now
        ORDER BY checkout_id FOR UPDATE);
BEGIN
    WITH gone AS (DELETE FROM holds WHERE checkout_id = ANY (ended) RETURNING units)
    UPDATE listings SET stock = stock + (SELECT sum(units) FROM gone)::int
    WHERE account_id = p_account AND id = p_listing AND (SELECT sum(units) FROM gone) > 0;
END
$$;

-- Uses up what these checkouts hold, because their orders were made. One whose time was over before it was paid takes from what is
-- left, if anything is.
CREATE FUNCTION stock_sell(p_checkouts text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM holds WHERE checkout_id = ANY (p_checkouts) ORDER BY checkout_id FOR UPDATE;
    WITH used AS (DELETE FROM holds WHERE checkout_id = ANY (p_checkouts) RETURNING checkout_id),
    late AS (
        SELECT account_id, listing_id, count(*)::int AS n FROM checkouts
        WHERE id = ANY (p_checkouts) AND id NOT IN (SELECT checkout_id FROM used) GROUP BY account_id, listing_id
    ), locked AS (
        SELECT listings.id, late.n FROM listings JOIN late ON late.account_id = listings.account_id AND late.listing_id = listings.id
        WHERE listings.stock > 0 ORDER BY listings.id FOR NO KEY UPDATE OF listings
    )
    UPDATE listings SET stock = greatest(listings.stock - locked.n, 0) FROM locked WHERE listings.id = locked.id;
END
$$;

CREATE OR REPLACE FUNCTION checkouts_pay(p_checkouts text[], p_orders text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    limited text[];
BEGIN
    WITH paid AS (
        UPDATE checkouts SET status = 'paid', order_id = u.order_id, paid_at = p_now
        FROM unnest(p_checkouts, p_orders) AS u (id, order_id)
        WHERE checkouts.id = u.id AND checkouts.status <> 'paid'
        RETURNING checkouts.id, checkouts.limited
    )
    SELECT array_agg(id) FILTER (WHERE paid.limited) INTO limited FROM paid;
    IF limited IS NOT NULL THEN
        PERFORM stock_sell(limited);
    END IF;
END
$$;
