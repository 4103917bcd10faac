-- Recording an attempt, at less cost. An attempt is written by the statement that changes its delivery, so no foreign key has to look for
-- that again; it is found by its delivery and number, and its id needs no index. A result brings the endpoint, so that its delivery
-- need not be read for it.

ALTER TABLE attempts DROP CONSTRAINT attempts_account_id_delivery_id_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_pkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_account_id_delivery_id_number_key;
ALTER TABLE attempts ADD PRIMARY KEY (account_id, delivery_id, number);

ALTER TYPE webhook_result ADD ATTRIBUTE endpoint_id text;

CREATE OR REPLACE FUNCTION webhooks_record(p_results webhook_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held      text[];
    finished  job_result[];
    recovered boolean;
    failed    boolean;
    parked    boolean;
BEGIN
    SELECT array_agg((r.job_id, r.lease_token, r.next_at, r.attempt + 1, endpoint.lane_id, r.target)::job_result),
           bool_or(endpoint.failing_since IS NOT NULL AND r.status = 'delivered'), bool_or(r.target = 'failed'), bool_or(r.status = 'parked')
    INTO finished, recovered, failed, parked
    FROM unnest(p_results) r LEFT JOIN endpoints endpoint ON endpoint.account_id = r.account_id AND endpoint.id = r.endpoint_id;
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
        RETURNING deliveries.attempts, r.*
    )
    INSERT INTO attempts (account_id, id, delivery_id, number, started_at, duration_ms, status_code, stage, error, answer, address)
    SELECT account_id, attempt_id, delivery_id, attempts, started_at, duration_ms, status_code, stage, error, answer, address
    FROM told WHERE started_at IS NOT NULL;
    IF recovered THEN
        UPDATE endpoints SET failing_since = NULL FROM unnest(p_results) r
        WHERE endpoints.account_id = r.account_id AND endpoints.id = r.endpoint_id AND r.status = 'delivered' AND r.job_id = ANY (held);
    END IF;
    IF failed THEN
        PERFORM webhooks_notice(ARRAY (SELECT r::webhook_result FROM unnest(p_results) r WHERE r.job_id = ANY (held)), p_now);
    END IF;
    IF parked THEN
        PERFORM webhooks_resume_parked(p_results, p_now);
    END IF;
    RETURN QUERY SELECT unnest(held);
END
$$;
