-- Old events go by their age alone. An endpoint that stays disabled, or a receiver that stays dead, would otherwise keep the whole log for
-- ever: whatever still waits for it after all that time is given up, and goes with its event. What is being sent at this very moment, or
-- was made again not so long ago, is waited for.

DROP FUNCTION events_expire;
DROP FUNCTION webhooks_holding;

-- Gives up what is parked of the events, and what has waited since before `p_before`. Returns which of them somebody still waits for, and
-- counts what was given up. Until the commit nobody makes another delivery of them: that is done with the endpoint locked against this.
-- Locks as parking does: the endpoints, jobs that wait, deliveries.
CREATE FUNCTION webhooks_release(
    p_account text, p_events text[], p_before timestamptz, p_now timestamptz, OUT held text[], OUT given_up int
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    withdrawn text[];
BEGIN
    PERFORM 1 FROM endpoints WHERE account_id = p_account ORDER BY id FOR NO KEY UPDATE;
    withdrawn := ARRAY (SELECT jobs_withdraw(ARRAY (
        SELECT job_id FROM deliveries
        WHERE account_id = p_account AND event_id = ANY (p_events) AND status = 'waiting' AND created_at < p_before)));
    UPDATE deliveries SET status = 'given_up', job_id = NULL, next_attempt_at = NULL, finished_at = p_now
    WHERE account_id = p_account AND event_id = ANY (p_events)
        AND (status = 'parked' OR status = 'waiting' AND job_id = ANY (withdrawn));
    GET DIAGNOSTICS given_up = ROW_COUNT;
    held := ARRAY (SELECT DISTINCT event_id FROM deliveries
                   WHERE account_id = p_account AND event_id = ANY (p_events) AND status = 'waiting');
END
$$;

-- Forgets what else is older than `p_before` of what was told to endpoints: replays that have ended, notices of failures that have ended, and
-- who had an order's events told again.
CREATE FUNCTION webhooks_tidy(p_accounts text[], p_before timestamptz) RETURNS void
LANGUAGE sql SET enable_seqscan = off AS $$
    DELETE FROM replays WHERE account_id = ANY (p_accounts) AND finished_at < p_before;
    -- A stage of a failure that lasts is told once: its notice stays as long as it does.
    DELETE FROM endpoint_notices notice USING endpoints endpoint
    WHERE notice.account_id = ANY (p_accounts) AND made_at < p_before
        AND endpoint.account_id = notice.account_id AND endpoint.id = endpoint_id AND failing_since IS DISTINCT FROM since;
    DELETE FROM redeliveries WHERE account_id = ANY (p_accounts) AND asked_at < p_before;
$$;

-- Lets up to `p_most` events of an account go that are older than `p_before`, the oldest first: `freed` is how many, `given_up` how many
-- deliveries were given up for it. It stops at the first one that somebody holds. The stream is locked first, as by whoever appends.
CREATE FUNCTION events_expire(p_account text, p_before timestamptz, p_most int, p_now timestamptz, OUT freed int, OUT given_up int)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held text[];
    old  text[];
BEGIN
    PERFORM 1 FROM event_streams WHERE account_id = p_account FOR NO KEY UPDATE;
    old := ARRAY (
        SELECT id FROM (SELECT sequence, id, created_at FROM events WHERE account_id = p_account ORDER BY sequence LIMIT p_most) oldest
        WHERE created_at < p_before);
    SELECT released.held, released.given_up INTO held, given_up FROM webhooks_release(p_account, old, p_before, p_now) released;
    WITH oldest AS (
        SELECT sequence, id, created_at FROM events WHERE account_id = p_account ORDER BY sequence LIMIT p_most
    ), judged AS (
        SELECT sequence, bool_or(created_at >= p_before OR id = ANY (held)) OVER (ORDER BY sequence) AS stays FROM oldest
    ), freeing AS (
        DELETE FROM events USING judged WHERE events.account_id = p_account AND events.sequence = judged.sequence AND NOT judged.stays
        RETURNING events.sequence, events.id, events.created_at
    ), last AS (
        UPDATE event_streams SET expired_sequence = newest.sequence, expired_id = newest.id, expired_at = newest.created_at
        FROM (SELECT sequence, id, created_at FROM freeing ORDER BY sequence DESC LIMIT 1) newest WHERE account_id = p_account
    )
    SELECT count(*) INTO freed FROM freeing;
END
$$;
