-- The log. `sequence` is dense per account (1, 2, 3, ...): it is taken under the account's stream row, last in the transaction,
-- so that whoever has read up to n has read everything up to n.

CREATE TABLE event_streams (
    account_id    text PRIMARY KEY,
    last_sequence bigint NOT NULL
);

CREATE TABLE events (
    account_id text NOT NULL,
    sequence   bigint NOT NULL CHECK (sequence > 0),
    id         text NOT NULL,
    type       text NOT NULL CHECK (type IN ('order.paid', 'order.fulfilled', 'order.refunded', 'order.disputed')),
    listing_id text,
    order_id   text,
    created_at timestamptz NOT NULL,
    body       text NOT NULL,           -- the event object, in the very bytes that are served and sent
    PRIMARY KEY (account_id, sequence)
);
CREATE UNIQUE INDEX events_id ON events (account_id, id);
CREATE INDEX events_type ON events (account_id, type, sequence);
CREATE INDEX events_listing ON events (account_id, listing_id, sequence);
CREATE INDEX events_order ON events (account_id, order_id, sequence);
-- These happen to an order once in its life.
CREATE UNIQUE INDEX events_once ON events (account_id, order_id, type) WHERE type IN ('order.paid', 'order.fulfilled', 'order.refunded');

CREATE TYPE event_new AS (account_id text, id text, type text, listing_id text, order_id text, data text);

CREATE FUNCTION event_body(p_event event_new, p_sequence bigint, p_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{"object":"event","id":"' || p_event.id || '","type":"' || p_event.type || '","sequence":' || p_sequence
    || ',"account_id":"' || p_event.account_id || '","listing_id":' || coalesce('"' || p_event.listing_id || '"', 'null')
    || ',"order_id":' || coalesce('"' || p_event.order_id || '"', 'null')
    || ',"created_at":"' || rfc3339(p_at) || '","data":' || p_event.data || '}';

-- Appends events in the caller's transaction, in the order given within each account. Call it last: from here to the commit
-- the account's stream is locked. Whoever wants to act on new events has a statement trigger on the table.
CREATE FUNCTION events_append(p_events event_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
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
        SELECT e.event, advanced.last_sequence - count(*) OVER (PARTITION BY advanced.account_id)
            + row_number() OVER (PARTITION BY advanced.account_id ORDER BY e.place) AS sequence
        FROM (SELECT event, place FROM unnest(p_events) WITH ORDINALITY
              AS u (account_id, id, type, listing_id, order_id, data, place),
              LATERAL (SELECT (u.account_id, u.id, u.type, u.listing_id, u.order_id, u.data)::event_new AS event) row) e
        JOIN advanced ON advanced.account_id = (e.event).account_id
    )
    INSERT INTO events (account_id, sequence, id, type, listing_id, order_id, created_at, body)
    SELECT (event).account_id, sequence, (event).id, (event).type, (event).listing_id, (event).order_id, p_now,
           event_body(event, sequence, p_now)
    FROM numbered ORDER BY (event).account_id, sequence;
END
$$;
