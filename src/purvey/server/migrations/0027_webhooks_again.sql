-- Telling again: one delivery, the events of one order, or all that an endpoint wants of a stretch of the log.

-- Makes those of the jobs named that wait due at once, and returns their ids. One that is being run stays.
CREATE FUNCTION jobs_hasten(p_ids text[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM jobs WHERE id = ANY (p_ids) AND lease_token IS NULL ORDER BY id FOR UPDATE;
    RETURN QUERY WITH hastened AS (
        UPDATE jobs SET due_at = least(due_at, p_now) WHERE id = ANY (p_ids) AND lease_token IS NULL RETURNING id, lane_id, due_at
    ), woken AS (
        INSERT INTO lane_wakes (lane_id, due_at) SELECT lane_id, min(due_at) FROM hastened GROUP BY lane_id
    )
    SELECT id FROM hastened;
END
$$;

-- Has a delivery attempted at once: a waiting one now instead of later; else the event once more, as a new delivery. Returns the id of
-- the one that is attempted; null when the endpoint is not enabled. Locks as parking does: the endpoint, its job, its delivery.
CREATE FUNCTION webhooks_retry(p_account text, p_delivery text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    told deliveries;
BEGIN
    PERFORM 1 FROM endpoints WHERE account_id = p_account AND status = 'enabled'
        AND id = (SELECT endpoint_id FROM deliveries WHERE account_id = p_account AND id = p_delivery) FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO told FROM deliveries WHERE account_id = p_account AND id = p_delivery;
    IF told.status <> 'waiting' THEN
        RETURN (SELECT webhooks_repeat(p_account, told.endpoint_id, ARRAY[told.event_sequence], p_now));
    END IF;
    IF EXISTS (SELECT jobs_hasten(ARRAY[told.job_id], p_now)) THEN
        UPDATE deliveries SET next_attempt_at = least(next_attempt_at, p_now)
        WHERE account_id = p_account AND id = p_delivery AND status = 'waiting' AND job_id = told.job_id;
    END IF;
    RETURN told.id;
END
$$;

-- Who had which order's events told again, and when: what the limits count. What is older than an hour counts no more and is forgotten.
CREATE TABLE redeliveries (
    account_id text NOT NULL,
    order_id   text NOT NULL,
    key_id     text NOT NULL,
    asked_at   timestamptz NOT NULL
);
CREATE INDEX redeliveries_order ON redeliveries (account_id, order_id, asked_at);
CREATE INDEX redeliveries_key ON redeliveries (account_id, key_id, asked_at);

-- Makes a new delivery of each event of an order for each enabled endpoint that wants it. `scheduled` is how many; `again_at` is set when
-- nothing was done, because it was asked too often within an hour: `p_per_order` times for the order, or `p_per_key` times with the key.
CREATE FUNCTION webhooks_redeliver(
    p_account text, p_order text, p_key text, p_per_order int, p_per_key int, p_now timestamptz, OUT scheduled int, OUT again_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    wanting record;
BEGIN
    scheduled := 0;
    PERFORM pg_advisory_xact_lock(hashtextextended('webhooks_redeliver:' || p_account, 0));
    DELETE FROM redeliveries WHERE account_id = p_account AND asked_at <= p_now - interval '1 hour';
    again_at := interval '1 hour' + greatest(
        (SELECT asked_at FROM redeliveries WHERE account_id = p_account AND order_id = p_order
         ORDER BY asked_at DESC OFFSET p_per_order - 1 LIMIT 1),
        (SELECT asked_at FROM redeliveries WHERE account_id = p_account AND key_id = p_key
         ORDER BY asked_at DESC OFFSET p_per_key - 1 LIMIT 1));
    IF again_at IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO redeliveries (account_id, order_id, key_id, asked_at) VALUES (p_account, p_order, p_key, p_now);
    FOR wanting IN
        SELECT endpoint.id, array_agg(event.sequence ORDER BY event.sequence) AS sequences
        FROM events event JOIN endpoints endpoint
            ON endpoint.account_id = event.account_id AND endpoint.status = 'enabled'
            AND coalesce(endpoint.listing_id, '') IN ('', coalesce(event.listing_id, ''))
            AND (cardinality(endpoint.events) = 0 OR event.type = ANY (endpoint.events))
        WHERE event.account_id = p_account AND event.order_id = p_order
        GROUP BY endpoint.id ORDER BY endpoint.id
    LOOP
        scheduled := scheduled + (SELECT count(*) FROM webhooks_repeat(p_account, wanting.id, wanting.sequences, p_now));
    END LOOP;
END
$$;

-- A replay walks a stretch of the log from `reached` to `last` and tells an endpoint again what it wants of that.
CREATE TABLE replays (
    account_id     text NOT NULL,
    id             text NOT NULL,
    endpoint_id    text NOT NULL,
    types          text[] NOT NULL,               -- empty: all that the endpoint wants
    created_after  timestamptz,
    created_before timestamptz,
    scope          text NOT NULL CHECK (scope IN ('all', 'missed')),
    reached        bigint NOT NULL,
    last           bigint NOT NULL,
    found          bigint NOT NULL,               -- when it was asked for
    made           bigint NOT NULL DEFAULT 0,
    status         text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'stopped')),
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES endpoints,
    CHECK ((status = 'running') = (finished_at IS NULL))
);

-- The last sequence of an account whose event is older than `p_at`, or a little less: instants of events that are told at once may be
-- out of order by the length of a transaction, so the callers look at each event's own instant as well.
CREATE FUNCTION events_before(p_account text, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low  bigint := 0;
    high bigint := coalesce((SELECT last_sequence FROM event_streams WHERE account_id = p_account), 0);
    mid  bigint;
BEGIN
    WHILE low < high LOOP
        mid := (low + high + 1) / 2;
        -- What is not there any more was older.
        IF coalesce((SELECT created_at < p_at FROM events WHERE account_id = p_account AND sequence <= mid
                     ORDER BY sequence DESC LIMIT 1), true) THEN
            low := mid;
        ELSE
            high := mid - 1;
        END IF;
    END LOOP;
    RETURN greatest(0, low - 1000);
END
$$;

-- Which events a replay tells, beyond `reached`, the oldest first; up to `p_most` of them (null: all).
CREATE FUNCTION webhooks_replayed(p_replay replays, p_most int) RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
    SELECT event.sequence FROM events event JOIN endpoints endpoint
        ON endpoint.account_id = event.account_id AND endpoint.id = p_replay.endpoint_id
        AND coalesce(endpoint.listing_id, '') IN ('', coalesce(event.listing_id, ''))
        AND (cardinality(endpoint.events) = 0 OR event.type = ANY (endpoint.events))
    WHERE event.account_id = p_replay.account_id AND event.sequence > p_replay.reached AND event.sequence <= p_replay.last
        AND (cardinality(p_replay.types) = 0 OR event.type = ANY (p_replay.types))
        AND (p_replay.created_after IS NULL OR event.created_at > p_replay.created_after)
        AND (p_replay.created_before IS NULL OR event.created_at < p_replay.created_before)
        AND (p_replay.scope = 'all' OR NOT EXISTS (
            SELECT FROM deliveries WHERE deliveries.account_id = event.account_id AND deliveries.event_id = event.id
                AND deliveries.endpoint_id = endpoint.id AND deliveries.status IN ('delivered', 'waiting')))
    ORDER BY event.sequence LIMIT p_most;
$$;

-- Goes on with a replay by up to `p_most` events and returns its status; 'busy' when so much waits for the endpoint already that fresh
-- events would have to wait behind it.
CREATE FUNCTION webhooks_replay_on(p_account text, p_id text, p_most int, p_busy int, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    replay  replays;
    batch   bigint[];
    enabled boolean;
    lane    text;
BEGIN
    SELECT * INTO replay FROM replays WHERE account_id = p_account AND id = p_id FOR UPDATE;
    IF replay.status IS DISTINCT FROM 'running' THEN
        RETURN replay.status;
    END IF;
    SELECT status = 'enabled', lane_id INTO enabled, lane FROM endpoints WHERE account_id = p_account AND id = replay.endpoint_id FOR SHARE;
    IF NOT enabled THEN
        UPDATE replays SET status = 'stopped', finished_at = p_now WHERE account_id = p_account AND id = p_id;
        RETURN 'stopped';
    END IF;
    IF (SELECT count(*) FROM (
        SELECT FROM jobs WHERE lane_id = lane AND lease_token IS NULL AND due_at <= p_now LIMIT p_busy) waiting) = p_busy THEN
        RETURN 'busy';
    END IF;
    batch := ARRAY (SELECT webhooks_replayed(replay, p_most));
    UPDATE replays SET
        made = made + (SELECT count(*) FROM webhooks_repeat(p_account, replay.endpoint_id, batch, p_now)),
        reached = CASE WHEN cardinality(batch) < p_most THEN replay.last ELSE batch[p_most] END,
        status = CASE WHEN cardinality(batch) < p_most THEN 'done' ELSE 'running' END,
        finished_at = CASE WHEN cardinality(batch) < p_most THEN p_now END
    WHERE account_id = p_account AND id = p_id RETURNING status INTO replay.status;
    RETURN replay.status;
END
$$;

-- Begins a replay of what lies between the bounds that are not null, all exclusive, and returns it: counted only with `p_dry_run`, else
-- with its first `p_most` events told and a job that goes on with the others.
CREATE FUNCTION webhooks_replay_begin(
    p_account text, p_id text, p_endpoint text, p_types text[], p_scope text, p_after_sequence bigint, p_before_sequence bigint,
    p_after timestamptz, p_before timestamptz, p_dry_run boolean, p_most int, p_busy int, p_now timestamptz
) RETURNS replays
LANGUAGE plpgsql AS $$
DECLARE
    replay replays;
BEGIN
    replay.account_id := p_account;
    replay.id := p_id;
    replay.endpoint_id := p_endpoint;
    replay.types := p_types;
    replay.scope := p_scope;
    replay.created_after := p_after;
    replay.created_before := p_before;
    replay.reached := greatest(0, p_after_sequence, CASE WHEN p_after IS NOT NULL THEN events_before(p_account, p_after) END);
    replay.last := least(coalesce((SELECT last_sequence FROM event_streams WHERE account_id = p_account), 0), p_before_sequence - 1,
                         CASE WHEN p_before IS NOT NULL THEN events_before(p_account, p_before) + 2000 END);
    replay.found := (SELECT count(*) FROM webhooks_replayed(replay, NULL));
    replay.made := 0;
    replay.status := 'running';
    replay.created_at := p_now;
    IF NOT p_dry_run THEN
        INSERT INTO replays SELECT replay.*;
        IF webhooks_replay_on(p_account, p_id, p_most, p_busy, p_now) IN ('running', 'busy') THEN
            PERFORM jobs_push(ARRAY[(derived_id('job_', p_id), 'replays', 'webhooks.replay', p_account, p_id, p_now)::job_new], p_now);
        END IF;
        SELECT * INTO replay FROM replays WHERE account_id = p_account AND id = p_id;
    END IF;
    RETURN replay;
END
$$;

SELECT lane_ensure('replays', 'replays', NULL, 'telling endpoints again', 2, clock_timestamp());
