-- Old events may be let go, from the old end of an account's log, with the webhook deliveries that are closed. What stays has no gaps.

-- The last event that was let go: whoever has seen that one has missed nothing.
ALTER TABLE event_streams
    ADD COLUMN expired_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN expired_id text,
    ADD COLUMN expired_at timestamptz;

-- Returns which of the events have a delivery that waits or is parked. Until the commit nobody makes another one: new deliveries of old
-- events are made with their endpoint locked against this.
CREATE FUNCTION webhooks_holding(p_account text, p_events text[]) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM endpoints WHERE account_id = p_account ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY SELECT DISTINCT event_id FROM deliveries
        WHERE account_id = p_account AND event_id = ANY (p_events) AND status IN ('waiting', 'parked');
END
$$;

CREATE FUNCTION webhooks_forget() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM attempts USING gone, deliveries
    WHERE deliveries.account_id = gone.account_id AND deliveries.event_id = gone.id
        AND attempts.account_id = deliveries.account_id AND attempts.delivery_id = deliveries.id;
    DELETE FROM deliveries USING gone WHERE deliveries.account_id = gone.account_id AND deliveries.event_id = gone.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER webhooks_forget AFTER DELETE ON events REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION webhooks_forget();

-- Lets up to `p_most` events of an account go that are older than `p_before`, the oldest first, and returns how many. It stops at the
-- first one that somebody holds. The stream is locked first, as by whoever appends.
CREATE FUNCTION events_expire(p_account text, p_before timestamptz, p_most int) RETURNS int
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    oldest text[];
    held   text[];
    freed  int;
BEGIN
    PERFORM 1 FROM event_streams WHERE account_id = p_account FOR NO KEY UPDATE;
    oldest := ARRAY (SELECT id FROM events WHERE account_id = p_account ORDER BY sequence LIMIT p_most);
    held := ARRAY (SELECT webhooks_holding(p_account, oldest));
    WITH old AS (
        SELECT sequence, id, created_at, bool_or(created_at >= p_before OR id = ANY (held)) OVER (ORDER BY sequence) AS stays
        FROM events WHERE account_id = p_account AND id = ANY (oldest)
    ), freeing AS (
        DELETE FROM events USING old WHERE events.account_id = p_account AND events.sequence = old.sequence AND NOT old.stays
        RETURNING events.sequence, events.id, events.created_at
    ), last AS (
        UPDATE event_streams SET expired_sequence = newest.sequence, expired_id = newest.id, expired_at = newest.created_at
        FROM (SELECT sequence, id, created_at FROM freeing ORDER BY sequence DESC LIMIT 1) newest WHERE account_id = p_account
    )
    SELECT count(*) INTO freed FROM freeing;
    RETURN freed;
END
$$;
