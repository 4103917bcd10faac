-- Telling a seller that an endpoint keeps failing, in stages: when a delivery is given up or the breaker opens, a day later if nothing has
-- arrived since, and when the endpoint is disabled because it answered that it is gone.

ALTER TABLE endpoints ADD COLUMN failing_since timestamptz;     -- when the first of these was told; null since something arrived

-- Whoever is to be told has a trigger on it: this room knows nobody who writes mails.
CREATE TABLE endpoint_notices (
    account_id  text NOT NULL,
    endpoint_id text NOT NULL,
    stage       text NOT NULL CHECK (stage IN ('failing', 'still_failing', 'disabled')),
    since       timestamptz NOT NULL,             -- `failing_since` of then: each stage is told once for each
    error       text,                             -- of the last attempt, for people
    made_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, endpoint_id, since, stage),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES endpoints
);

-- Looks at results that were just recorded. A receiver that comes and goes is told of once a day at most.
CREATE FUNCTION webhooks_notice(p_results webhook_result[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH failed AS (
        SELECT endpoint.account_id, endpoint.id, max(coalesce(r.error, 'It answered HTTP ' || r.status_code || '.')) AS error
        FROM unnest(p_results) r
        JOIN deliveries ON deliveries.account_id = r.account_id AND deliveries.id = r.delivery_id
        JOIN endpoints endpoint ON endpoint.account_id = r.account_id AND endpoint.id = deliveries.endpoint_id
        JOIN lanes lane ON lane.id = endpoint.lane_id
        WHERE r.target = 'failed' AND (r.status = 'given_up' OR lane.breaker = 'open') AND endpoint.status = 'enabled'
        GROUP BY endpoint.account_id, endpoint.id
    ), noticed AS (
        SELECT endpoint.account_id, endpoint.id, endpoint.failing_since, failed.error
        FROM endpoints endpoint JOIN failed ON failed.account_id = endpoint.account_id AND failed.id = endpoint.id
        WHERE endpoint.failing_since IS NULL OR endpoint.failing_since <= p_now - interval '1 day'
        ORDER BY endpoint.account_id, endpoint.id FOR NO KEY UPDATE OF endpoint
    ), begun AS (
        UPDATE endpoints SET failing_since = p_now FROM noticed
        WHERE endpoints.account_id = noticed.account_id AND endpoints.id = noticed.id AND endpoints.failing_since IS NULL
    )
    INSERT INTO endpoint_notices (account_id, endpoint_id, stage, since, error, made_at)
    SELECT account_id, id, CASE WHEN failing_since IS NULL THEN 'failing' ELSE 'still_failing' END, coalesce(failing_since, p_now), error, p_now
    FROM noticed
    WHERE failing_since IS NOT NULL OR NOT EXISTS (
        SELECT FROM endpoint_notices told WHERE told.account_id = noticed.account_id AND told.endpoint_id = noticed.id
            AND told.stage = 'failing' AND told.made_at > p_now - interval '1 day')
    ON CONFLICT DO NOTHING;
END
$$;

-- The same as before, and what it means for the seller.
CREATE OR REPLACE FUNCTION webhooks_record(p_results webhook_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held      text[];
    finished  job_result[];
    recovered boolean;
BEGIN
    SELECT array_agg((r.job_id, r.lease_token, r.next_at, r.attempt + 1, endpoint.lane_id, r.target)::job_result),
           bool_or(endpoint.failing_since IS NOT NULL AND r.status = 'delivered')
    INTO finished, recovered
    FROM unnest(p_results) r
    LEFT JOIN deliveries delivery ON delivery.account_id = r.account_id AND delivery.id = r.delivery_id
    LEFT JOIN endpoints endpoint ON endpoint.account_id = r.account_id AND endpoint.id = delivery.endpoint_id;
    held := ARRAY (SELECT jobs_finish(finished, p_now));
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
    IF recovered THEN
        UPDATE endpoints SET failing_since = NULL
        FROM unnest(p_results) r JOIN deliveries delivery ON delivery.account_id = r.account_id AND delivery.id = r.delivery_id
        WHERE endpoints.account_id = r.account_id AND endpoints.id = delivery.endpoint_id AND r.status = 'delivered' AND r.job_id = ANY (held);
    END IF;
    IF EXISTS (SELECT FROM unnest(p_results) r WHERE r.target = 'failed') THEN
        PERFORM webhooks_notice(ARRAY (SELECT r::webhook_result FROM unnest(p_results) r WHERE r.job_id = ANY (held)), p_now);
    END IF;
    IF EXISTS (SELECT FROM unnest(p_results) r WHERE r.status = 'parked') THEN
        PERFORM webhooks_resume_parked(p_results, p_now);
    END IF;
    RETURN QUERY SELECT unnest(held);
END
$$;

-- The same as before; that an endpoint is gone is told as well.
CREATE OR REPLACE FUNCTION webhooks_disable(p_account text, p_endpoint text, p_reason text, p_url text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_disabled boolean;
BEGIN
    UPDATE endpoints SET status = 'disabled', disabled_reason = p_reason, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'enabled' AND (p_url IS NULL OR url = p_url);
    IF FOUND THEN
        PERFORM webhooks_park(p_account, p_endpoint);
        INSERT INTO endpoint_notices (account_id, endpoint_id, stage, since, error, made_at)
        SELECT account_id, id, 'disabled', coalesce(failing_since, p_now), 'It answered HTTP 410.', p_now FROM endpoints
        WHERE account_id = p_account AND id = p_endpoint AND p_reason = 'gone'
        ON CONFLICT DO NOTHING;
    END IF;
    SELECT status <> 'enabled' INTO now_disabled FROM endpoints WHERE account_id = p_account AND id = p_endpoint;
    RETURN coalesce(now_disabled, true);
END
$$;

-- The same as before; whoever enables an endpoint is told anew if it fails.
CREATE OR REPLACE FUNCTION webhooks_enable(p_account text, p_endpoint text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoints SET status = 'enabled', disabled_reason = NULL, failing_since = NULL, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'disabled';
    PERFORM webhooks_unpark(p_account, p_endpoint, p_now);
END
$$;
