-- What waits for an endpoint follows its changes: it is parked when the endpoint is disabled or deleted, resumed when it is enabled, and goes
-- through the lane of its new URL. Some hundreds do so with the change itself. With more the queue goes on, a batch at a time: a change
-- locks the endpoint against those who tell of events, so that a hundred thousand at once would hold up the orders of the account.

DROP FUNCTION webhooks_park;
DROP FUNCTION webhooks_unpark;

-- Parks up to `p_most` of the waiting deliveries of an endpoint, the oldest first; returns whether there may be more. One that is being sent
-- parks itself when its next attempt is due.
CREATE FUNCTION webhooks_park(p_account text, p_endpoint text, p_most int) RETURNS boolean
LANGUAGE sql SET enable_seqscan = off AS $$
    WITH chosen AS MATERIALIZED (
        SELECT id, job_id FROM deliveries WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'waiting'
        ORDER BY created_at, id LIMIT p_most
    ), withdrawn AS (
        SELECT jobs_withdraw(ARRAY (SELECT job_id FROM chosen)) AS job_id
    ), parked AS (
        UPDATE deliveries SET status = 'parked', job_id = NULL, next_attempt_at = NULL FROM chosen JOIN withdrawn USING (job_id)
        WHERE deliveries.account_id = p_account AND deliveries.id = chosen.id AND deliveries.status = 'waiting'
            AND deliveries.job_id = chosen.job_id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM chosen) = p_most AND EXISTS (SELECT FROM parked);
$$;

-- Lets up to `p_most` of the parked deliveries of an endpoint wait again, the oldest first, with all their attempts before them; returns
-- whether there may be more.
CREATE FUNCTION webhooks_unpark(p_account text, p_endpoint text, p_lane text, p_most int, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    new_jobs job_new[];
BEGIN
    WITH chosen AS MATERIALIZED (
        SELECT id FROM deliveries WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'parked'
        ORDER BY created_at, id LIMIT p_most
    ), resumed AS (
        UPDATE deliveries SET status = 'waiting', job_id = derived_id('job_', deliveries.id || ':' || extract(epoch FROM p_now)),
            first_attempt_at = NULL, next_attempt_at = p_now
        FROM chosen WHERE deliveries.account_id = p_account AND deliveries.id = chosen.id AND deliveries.status = 'parked'
        RETURNING deliveries.id, deliveries.job_id
    )
    SELECT array_agg((job_id, p_lane, 'webhooks.deliver', p_account, id, p_now)::job_new) INTO new_jobs FROM resumed;
    IF new_jobs IS NULL THEN
        RETURN false;
    END IF;
    PERFORM jobs_push(new_jobs, p_now);
    RETURN cardinality(new_jobs) = p_most;
END
$$;

-- Lets up to `p_most` of the waiting deliveries of an endpoint go through another lane than the one that its URL had; returns whether there
-- may be more.
CREATE FUNCTION webhooks_move(p_account text, p_endpoint text, p_from text, p_lane text, p_most int) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    chosen text[];
BEGIN
    IF p_from = p_lane THEN
        RETURN false;
    END IF;
    chosen := ARRAY (
        SELECT job.id FROM jobs job WHERE job.lane_id = p_from AND job.lease_token IS NULL AND job.account_id = p_account AND EXISTS (
            SELECT FROM deliveries WHERE deliveries.account_id = p_account AND deliveries.id = job.ref
                AND deliveries.endpoint_id = p_endpoint AND deliveries.job_id = job.id)
        ORDER BY job.due_at, job.id LIMIT p_most);
    PERFORM jobs_move(chosen, p_lane);
    RETURN cardinality(chosen) = p_most;
END
$$;

-- Lets up to `p_most` deliveries follow their endpoint as it is now, out of the lane `p_from` if that is given; returns whether there may be
-- more. The endpoint is locked against changes, not against those who tell of events.
CREATE FUNCTION webhooks_follow(p_account text, p_endpoint text, p_from text, p_most int, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    endpoint endpoints;
BEGIN
    SELECT * INTO endpoint FROM endpoints WHERE account_id = p_account AND id = p_endpoint FOR SHARE;
    IF p_from IS NOT NULL THEN
        RETURN webhooks_move(p_account, p_endpoint, p_from, endpoint.lane_id, p_most);
    ELSIF endpoint.status = 'enabled' THEN
        RETURN webhooks_unpark(p_account, p_endpoint, endpoint.lane_id, p_most, p_now);
    ELSE
        RETURN webhooks_park(p_account, p_endpoint, p_most);
    END IF;
END
$$;

-- Lets the first deliveries of an endpoint follow a change that was just made, and the queue go on when there are more.
CREATE FUNCTION webhooks_changed(p_account text, p_endpoint text, p_from text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    what text := p_endpoint || coalesce(' ' || p_from, '');
BEGIN
    IF webhooks_follow(p_account, p_endpoint, p_from, 500, p_now) THEN
        PERFORM lane_ensure('endpoints', 'endpoints', NULL, 'what follows a change of its endpoint', 4, p_now);
        PERFORM jobs_push(ARRAY[(derived_id('job_', 'follow:' || what || ':' || extract(epoch FROM p_now)), 'endpoints', 'webhooks.follow',
                                 p_account, what, p_now)::job_new], p_now);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION webhooks_redirect(p_account text, p_endpoint text, p_url text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lane   text := webhooks_lane(p_account, p_url, p_now);
    before text := (SELECT lane_id FROM endpoints WHERE account_id = p_account AND id = p_endpoint);
BEGIN
    UPDATE endpoints SET url = p_url, lane_id = lane, updated_at = p_now WHERE account_id = p_account AND id = p_endpoint;
    PERFORM webhooks_changed(p_account, p_endpoint, before, p_now);
END
$$;

CREATE OR REPLACE FUNCTION webhooks_disable(p_account text, p_endpoint text, p_reason text, p_url text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_disabled boolean;
BEGIN
    UPDATE endpoints SET status = 'disabled', disabled_reason = p_reason, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'enabled' AND (p_url IS NULL OR url = p_url);
    IF FOUND THEN
        PERFORM webhooks_changed(p_account, p_endpoint, NULL, p_now);
        INSERT INTO endpoint_notices (account_id, endpoint_id, stage, since, error, made_at)
        SELECT account_id, id, 'disabled', coalesce(failing_since, p_now), 'It answered HTTP 410.', p_now FROM endpoints
        WHERE account_id = p_account AND id = p_endpoint AND p_reason = 'gone'
        ON CONFLICT DO NOTHING;
    END IF;
    SELECT status <> 'enabled' INTO now_disabled FROM endpoints WHERE account_id = p_account AND id = p_endpoint;
    RETURN coalesce(now_disabled, true);
END
$$;

CREATE OR REPLACE FUNCTION webhooks_enable(p_account text, p_endpoint text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoints SET status = 'enabled', disabled_reason = NULL, failing_since = NULL, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'disabled';
    PERFORM webhooks_changed(p_account, p_endpoint, NULL, p_now);
END
$$;

CREATE OR REPLACE FUNCTION webhooks_endpoint_delete(p_account text, p_id text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoints SET status = 'deleted', disabled_reason = NULL, previous_secret = NULL, previous_until = NULL, updated_at = p_now
    WHERE account_id = p_account AND id = p_id;
    PERFORM webhooks_changed(p_account, p_id, NULL, p_now);
    PERFORM webhooks_settle_rates(ARRAY (SELECT lane_id FROM endpoints WHERE account_id = p_account AND id = p_id));
END
$$;

CREATE OR REPLACE FUNCTION webhooks_resume_parked(p_results webhook_result[], p_now timestamptz) RETURNS void
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
            PERFORM webhooks_changed(endpoint.account_id, endpoint.id, NULL, p_now);
        END IF;
    END LOOP;
END
$$;
