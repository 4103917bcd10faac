-- Endpoints that a seller makes beside the callbacks of listings, and telling again what was told before.

-- A deleted endpoint is told of nothing any more; its row stays, because its deliveries can still be read.
ALTER TABLE endpoints DROP CONSTRAINT endpoints_status_check;
ALTER TABLE endpoints ADD CONSTRAINT endpoints_status_check CHECK (status IN ('enabled', 'disabled', 'deleted'));
ALTER TABLE endpoints ADD CONSTRAINT endpoints_deleted_check CHECK (status <> 'deleted' OR kind = 'account');

-- The same as before, but that a deleted endpoint wants nothing.
CREATE OR REPLACE FUNCTION webhooks_fan_out() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    new_jobs job_new[];
    now_at   timestamptz;
BEGIN
    WITH wanted AS (
        SELECT fresh.account_id, fresh.id AS event_id, fresh.sequence, fresh.order_id, fresh.created_at,
               endpoint.id AS endpoint_id, endpoint.lane_id, endpoint.status = 'enabled' AS enabled,
               derived_id('dlv_', fresh.id || ':' || endpoint.id || ':1') AS delivery_id
        FROM fresh CROSS JOIN LATERAL (
            SELECT id, lane_id, status FROM endpoints
            WHERE endpoints.account_id = fresh.account_id AND coalesce(endpoints.listing_id, '') IN ('', coalesce(fresh.listing_id, ''))
                AND (cardinality(endpoints.events) = 0 OR fresh.type = ANY (endpoints.events)) AND endpoints.status <> 'deleted'
            FOR SHARE
        ) endpoint
    ), made AS (
        INSERT INTO deliveries (account_id, id, endpoint_id, event_id, event_sequence, order_id, generation, status, job_id, next_attempt_at, created_at)
        SELECT account_id, delivery_id, endpoint_id, event_id, sequence, order_id, 1, CASE WHEN enabled THEN 'waiting' ELSE 'parked' END,
               CASE WHEN enabled THEN derived_id('job_', delivery_id) END, CASE WHEN enabled THEN created_at END, created_at
        FROM wanted
        RETURNING id, job_id, account_id, next_attempt_at
    )
    SELECT array_agg((made.job_id, wanted.lane_id, 'webhooks.deliver', made.account_id, made.id, made.next_attempt_at)::job_new),
           max(made.next_attempt_at)
    INTO new_jobs, now_at FROM made JOIN wanted ON wanted.delivery_id = made.id WHERE made.job_id IS NOT NULL;
    IF new_jobs IS NOT NULL THEN
        PERFORM jobs_push(new_jobs, now_at);
    END IF;
    RETURN NULL;
END
$$;

-- Locks an endpoint for a change, its lane (and that of `p_url`, where it is to go) before it, because locks are taken in that order.
CREATE FUNCTION webhooks_lock(p_account text, p_endpoint text, p_url text, p_now timestamptz) RETURNS SETOF endpoints
LANGUAGE plpgsql AS $$
DECLARE
    lane  text;
    other text;
BEGIN
    LOOP
        SELECT lane_id INTO lane FROM endpoints WHERE account_id = p_account AND id = p_endpoint AND status <> 'deleted';
        IF NOT FOUND THEN
            RETURN;
        END IF;
        IF p_url IS NOT NULL THEN
            other := webhooks_lane(p_account, p_url, p_now);
        END IF;
        PERFORM 1 FROM lanes WHERE id IN (lane, other) ORDER BY id FOR NO KEY UPDATE;
        RETURN QUERY SELECT * FROM endpoints WHERE account_id = p_account AND id = p_endpoint AND lane_id = lane FOR NO KEY UPDATE;
        EXIT WHEN FOUND;   -- else it was redirected meanwhile
    END LOOP;
END
$$;

-- Gives each of the lanes the lowest rate that an endpoint asks for that shares it; without any, that of its kind.
CREATE FUNCTION webhooks_settle_rates(p_lanes text[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE lanes SET rate_per_second = asked.rate, tokens = NULL, tokens_at = NULL
    FROM (SELECT lane.id, (SELECT min(endpoints.rate_per_second) FROM endpoints
                           WHERE endpoints.account_id = lane.account_id AND endpoints.lane_id = lane.id AND status <> 'deleted') AS rate
          FROM lanes lane WHERE lane.id = ANY (p_lanes)) asked
    WHERE lanes.id = asked.id AND lanes.rate_per_second IS DISTINCT FROM asked.rate;
$$;

-- Makes an endpoint of the account's own.
CREATE FUNCTION webhooks_endpoint_make(
    p_account text, p_id text, p_name text, p_url text, p_events text[], p_listing text, p_status text, p_format text, p_rate real,
    p_secret bytea, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lane text := webhooks_lane(p_account, p_url, p_now);
BEGIN
    PERFORM 1 FROM lanes WHERE id = lane FOR NO KEY UPDATE;
    INSERT INTO endpoints (account_id, id, kind, listing_id, name, url, lane_id, events, status, disabled_reason, signature_format,
                           secret, rate_per_second, created_at, updated_at)
    VALUES (p_account, p_id, 'account', p_listing, p_name, p_url, lane, p_events, p_status,
            CASE p_status WHEN 'disabled' THEN 'by_seller' END, p_format, p_secret, p_rate, p_now, p_now);
    PERFORM webhooks_settle_rates(ARRAY[lane]);
END
$$;

-- Changes an endpoint that `webhooks_lock` holds. Its waiting deliveries go to the new URL; disabling parks them, enabling resumes them.
CREATE FUNCTION webhooks_endpoint_set(
    p_account text, p_id text, p_name text, p_url text, p_events text[], p_listing text, p_status text, p_format text, p_rate real,
    p_now timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    before endpoints;
BEGIN
    SELECT * INTO before FROM endpoints WHERE account_id = p_account AND id = p_id;
    UPDATE endpoints SET name = p_name, events = p_events, listing_id = p_listing, signature_format = p_format, rate_per_second = p_rate,
        updated_at = p_now WHERE account_id = p_account AND id = p_id;
    IF before.url <> p_url THEN
        PERFORM webhooks_redirect(p_account, p_id, p_url, p_now);
    END IF;
    IF before.status = 'enabled' AND p_status = 'disabled' THEN
        PERFORM webhooks_disable(p_account, p_id, 'by_seller', NULL, p_now);
    ELSIF before.status = 'disabled' AND p_status = 'enabled' THEN
        PERFORM webhooks_enable(p_account, p_id, p_now);
    END IF;
    PERFORM webhooks_settle_rates(ARRAY (SELECT lane_id FROM endpoints WHERE account_id = p_account AND id = p_id) || before.lane_id);
END
$$;

-- Deletes an endpoint of the account's own that `webhooks_lock` holds: what waits for it is parked for good, and stays to be read.
CREATE FUNCTION webhooks_endpoint_delete(p_account text, p_id text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoints SET status = 'deleted', disabled_reason = NULL, previous_secret = NULL, previous_until = NULL, updated_at = p_now
    WHERE account_id = p_account AND id = p_id;
    PERFORM webhooks_park(p_account, p_id);
    PERFORM webhooks_settle_rates(ARRAY (SELECT lane_id FROM endpoints WHERE account_id = p_account AND id = p_id));
END
$$;

-- Makes a new delivery, due at once, of each of the events (by sequence) for one endpoint that is enabled, and returns their ids.
CREATE FUNCTION webhooks_repeat(p_account text, p_endpoint text, p_sequences bigint[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    lane     text;
    ids      text[];
    new_jobs job_new[];
BEGIN
    -- Two at once would give one number to two deliveries.
    PERFORM pg_advisory_xact_lock(hashtextextended('webhooks_repeat:' || p_account || ':' || p_endpoint, 0));
    SELECT lane_id INTO lane FROM endpoints WHERE account_id = p_account AND id = p_endpoint AND status = 'enabled' FOR SHARE;
    IF lane IS NULL THEN
        RETURN;
    END IF;
    WITH again AS (
        SELECT event.id AS event_id, event.sequence, event.order_id, 1 + coalesce((
            SELECT max(generation) FROM deliveries
            WHERE deliveries.account_id = p_account AND deliveries.event_id = event.id AND deliveries.endpoint_id = p_endpoint
        ), 0) AS generation
        FROM unnest(p_sequences) asked (sequence) JOIN events event ON event.account_id = p_account AND event.sequence = asked.sequence
    ), named AS (
        SELECT again.*, derived_id('dlv_', event_id || ':' || p_endpoint || ':' || generation) AS id FROM again
    ), made AS (
        INSERT INTO deliveries (account_id, id, endpoint_id, event_id, event_sequence, order_id, generation, status, job_id, next_attempt_at, created_at)
        SELECT p_account, id, p_endpoint, event_id, sequence, order_id, generation, 'waiting', derived_id('job_', id), p_now, p_now FROM named
        RETURNING id, job_id, event_sequence
    )
    SELECT array_agg(id ORDER BY event_sequence),
           array_agg((job_id, lane, 'webhooks.deliver', p_account, id, p_now)::job_new ORDER BY event_sequence)
    INTO ids, new_jobs FROM made;
    IF ids IS NOT NULL THEN
        PERFORM jobs_push(new_jobs, p_now);
        RETURN QUERY SELECT unnest(ids);
    END IF;
END
$$;

-- A delivery is recorded as parked because its endpoint was disabled; if that was enabled again meanwhile, nobody else would resume it.
CREATE FUNCTION webhooks_resume_parked(p_results webhook_result[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    endpoint record;
BEGIN
    FOR endpoint IN
        SELECT account_id, id, status FROM endpoints WHERE (account_id, id) IN (
            SELECT deliveries.account_id, deliveries.endpoint_id FROM unnest(p_results) r
            JOIN deliveries ON deliveries.account_id = r.account_id AND deliveries.id = r.delivery_id AND deliveries.status = 'parked'
            WHERE r.status = 'parked')
        ORDER BY account_id, id FOR SHARE
    LOOP
        IF endpoint.status = 'enabled' THEN
            PERFORM webhooks_unpark(endpoint.account_id, endpoint.id, p_now);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION webhooks_record(p_results webhook_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held text[];
BEGIN
    held := ARRAY (SELECT jobs_finish(ARRAY (
        SELECT (r.job_id, r.lease_token, r.next_at, r.attempt + 1, endpoint.lane_id, r.target)::job_result
        FROM unnest(p_results) r
        LEFT JOIN deliveries delivery ON delivery.account_id = r.account_id AND delivery.id = r.delivery_id
        LEFT JOIN endpoints endpoint ON endpoint.account_id = r.account_id AND endpoint.id = delivery.endpoint_id
    ), p_now));
    WITH told AS (
        UPDATE deliveries SET
            status = r.status,
            attempts = attempts + CASE WHEN r.started_at IS NULL THEN 0 ELSE 1 END,
            first_attempt_at = coalesce(first_attempt_at, r.started_at),
            next_attempt_at = r.next_at,
            job_id = CASE WHEN r.status = 'waiting' THEN deliveries.job_id END,
            finished_at = CASE WHEN r.status IN ('delivered', 'given_up') THEN p_now END
        FROM unnest(p_results) r
        WHERE deliveries.account_id = r.account_id AND deliveries.id = r.delivery_id AND deliveries.job_id = r.job_id AND r.job_id = ANY (held)
        RETURNING deliveries.account_id, deliveries.id, deliveries.attempts
    )
    INSERT INTO attempts (account_id, id, delivery_id, number, started_at, duration_ms, status_code, stage, error, answer, address)
    SELECT r.account_id, r.attempt_id, r.delivery_id, told.attempts, r.started_at, r.duration_ms, r.status_code, r.stage, r.error, r.answer, r.address
    FROM unnest(p_results) r JOIN told ON told.account_id = r.account_id AND told.id = r.delivery_id
    WHERE r.started_at IS NOT NULL;
    IF EXISTS (SELECT FROM unnest(p_results) r WHERE r.status = 'parked') THEN
        PERFORM webhooks_resume_parked(p_results, p_now);
    END IF;
    RETURN QUERY SELECT unnest(held);
END
$$;

-- Whether the account has this listing. Offered to rooms that keep something beside one.
CREATE FUNCTION listings_has(p_account text, p_listing text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM listings WHERE account_id = p_account AND id = p_listing);
$$;
