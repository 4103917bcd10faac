-- The same as before, at about half the cost: the body of an event is put together in place, and the instant is written once.

CREATE OR REPLACE FUNCTION events_append(p_events event_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    told text := rfc3339(p_now);
BEGIN
    IF cardinality(p_events) = 0 THEN
        RETURN;
    END IF;
    WITH counted AS (
        SELECT e.account_id, count(*) AS n FROM unnest(p_events) e GROUP BY e.account_id ORDER BY e.account_id
    ), advanced AS (
        INSERT INTO event_streams AS stream (account_id, last_sequence) SELECT account_id, n FROM counted
        ON CONFLICT (account_id) DO UPDATE SET last_sequence = stream.last_sequence + excluded.last_sequence
        RETURNING account_id, last_sequence
    ), numbered AS (
        SELECT e.*, advanced.last_sequence - counted.n + row_number() OVER (PARTITION BY e.account_id ORDER BY e.ordinality) AS sequence
        FROM unnest(p_events) WITH ORDINALITY e
        JOIN advanced ON advanced.account_id = e.account_id
        JOIN counted ON counted.account_id = e.account_id
    )
    INSERT INTO events (account_id, sequence, id, type, listing_id, order_id, created_at, body)
    SELECT account_id, sequence, id, type, listing_id, order_id, p_now, concat(
        '{"object":"event","id":"', id, '","type":"', type, '","sequence":', sequence, ',"account_id":"', account_id,
        '","listing_id":', coalesce('"' || listing_id || '"', 'null'), ',"order_id":', coalesce('"' || order_id || '"', 'null'),
        ',"created_at":"', told, '","data":', data, '}')
    FROM numbered ORDER BY account_id, sequence;
END
$$;

DROP FUNCTION event_body;
