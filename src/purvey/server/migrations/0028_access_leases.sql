-- Downloads. A plain GET of a file counts one and opens a lease; parts of the file may then be asked for within the lease, without
-- counting, until six hours are over or twice the file's bytes were sent.

ALTER TABLE downloads ADD COLUMN bytes_left bigint CHECK (bytes_left >= 0);   -- null: what it opened has no bytes of ours
CREATE INDEX downloads_leases ON downloads (account_id, grant_id, deliverable_id, opened_at DESC, id DESC) WHERE bytes_left > 0;

-- Whether the money of an order is gone: it was refunded, or its dispute lost. What it bought opens no more.
CREATE FUNCTION orders_withdrawn(p_account_id text, p_order_id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM orders WHERE account_id = p_account_id AND id = p_order_id
            AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost'
    );
$$;

-- Decides whether something may be sent, and returns the lease to send it under, or null. The grant's row is held meanwhile, so that
-- of any number of callers at once each sees what the others were given: n downloads never become n + 1.
--   p_joins      a part was asked for: the newest lease that has `p_asked` bytes left and whose time is not over is joined
--   p_opens      the link's own time is not over, so that a new one may be counted
--   p_size       the file's bytes; null for what has none of ours
--   p_first      the bytes that will be sent first, and are charged here
-- A second try of the same `p_id`, after a lost connection, counts nothing again.
CREATE FUNCTION downloads_open(
    p_account_id text, p_grant_id text, p_deliverable_id text, p_id text, p_joins boolean, p_opens boolean,
    p_size bigint, p_asked bigint, p_first bigint, p_now timestamptz, p_until timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    held  grants;
    lease text;
BEGIN
    SELECT * INTO held FROM grants WHERE account_id = p_account_id AND id = p_grant_id FOR NO KEY UPDATE;
    IF NOT FOUND OR held.revoked_at IS NOT NULL OR orders_withdrawn(p_account_id, held.order_id) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM downloads WHERE account_id = p_account_id AND id = p_id) THEN
        RETURN p_id;
    END IF;
    IF p_joins THEN
        SELECT id INTO lease FROM downloads
        WHERE account_id = p_account_id AND grant_id = p_grant_id AND deliverable_id = p_deliverable_id
            AND bytes_left > 0 AND bytes_left >= p_asked AND leased_until > p_now
        ORDER BY opened_at DESC, id DESC LIMIT 1 FOR NO KEY UPDATE;
        IF FOUND THEN
            UPDATE downloads SET bytes_left = bytes_left - p_first WHERE account_id = p_account_id AND id = lease;
            RETURN lease;
        END IF;
    END IF;
    IF NOT p_opens OR held.downloads >= held.max_downloads OR held.expires_at <= p_now THEN
        RETURN NULL;
    END IF;
    UPDATE grants SET downloads = downloads + 1 WHERE account_id = p_account_id AND id = p_grant_id;
    INSERT INTO downloads (account_id, id, grant_id, deliverable_id, opened_at, leased_until, bytes_left)
    VALUES (p_account_id, p_id, p_grant_id, p_deliverable_id, p_now, p_until, 2 * p_size - p_first);
    RETURN p_id;
END
$$;

-- Charges bytes that are about to be sent to a lease, and returns whether they may be: it has them left, and neither was the grant
-- revoked nor the order's money given back since the lease was opened. That the grant has ended meanwhile does not matter.
CREATE FUNCTION downloads_charge(p_account_id text, p_id text, p_bytes bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE downloads SET bytes_left = bytes_left - p_bytes
    WHERE account_id = p_account_id AND id = p_id AND bytes_left >= p_bytes
        AND EXISTS (
            SELECT FROM grants WHERE grants.account_id = downloads.account_id AND grants.id = downloads.grant_id
                AND revoked_at IS NULL AND NOT orders_withdrawn(grants.account_id, grants.order_id)
        );
    RETURN FOUND;
END
$$;
