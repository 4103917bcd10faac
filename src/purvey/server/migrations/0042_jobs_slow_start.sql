-- What hangs must not take the slots of what answers. A lane that has proved nothing begins with few in flight, gets one more with
-- each answer and half with each failure, in its row, so that it holds for all workers. And a worker says which lanes it wants
-- nothing from, because they hold up too much of it already.

ALTER TABLE lanes ADD COLUMN width int CHECK (width > 0);   -- how many may be in flight, of `max_in_flight`, by what the last ones came to; null: all
ALTER TABLE lanes DROP COLUMN room;
ALTER TABLE lanes ADD COLUMN room int GENERATED ALWAYS AS
    (CASE WHEN breaker = 'open' OR failed_in_row >= 5 THEN 1 ELSE least(width, max_in_flight) END - in_flight) STORED;
CREATE INDEX lanes_due ON lanes (kind, due_at) WHERE due_at IS NOT NULL AND room > 0;

-- Makes a lane if it is not there; its limits stay as they are if it is. With `p_width` it begins with so many in flight, and learns.
DROP FUNCTION lane_ensure;
CREATE FUNCTION lane_ensure(
    p_id text, p_kind text, p_account_id text, p_target text, p_max_in_flight int, p_now timestamptz, p_width int DEFAULT NULL
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO lanes (id, kind, account_id, target, max_in_flight, created_at, width)
    VALUES (p_id, p_kind, p_account_id, p_target, p_max_in_flight, p_now, p_width) ON CONFLICT (id) DO NOTHING;
$$;

CREATE OR REPLACE FUNCTION webhooks_lane(p_account text, p_url text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    lane text := derived_id('webhook:' || p_account || ':', p_url);
BEGIN
    PERFORM lane_ensure(lane, 'webhook', p_account, p_url, 32, p_now, 2);
    RETURN lane;
END
$$;

-- As before, and the lane's width follows.
CREATE OR REPLACE FUNCTION lanes_settle_results(p_lanes text[], p_dues timestamptz[], p_targets text[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE lanes SET
        in_flight = lanes.in_flight - ended.n,
        width = CASE WHEN lanes.width IS NOT NULL THEN
            greatest(1, least(lanes.max_in_flight, lanes.width + ended.answered) >> least(ended.failed, 30)) END,
        first_at = least(lanes.first_at, ended.due_at),
        failed_in_row = ended.in_row,
        failed_in_hour = ended.in_hour,
        hour_began_at = CASE WHEN ended.new_hour THEN p_now ELSE lanes.hour_began_at END,
        breaker = CASE WHEN ended.trips THEN 'open' WHEN ended.answered > 0 THEN 'closed' ELSE lanes.breaker END,
        held_until = CASE WHEN ended.trips THEN p_now + interval '15 minutes' ELSE lanes.held_until END
    FROM (
        SELECT judged.*, failed > 0 AND (in_hour > 50 OR (breaker = 'open' AND answered = 0)) AS trips FROM (
            SELECT counted.*, lane.breaker, hour.is_new AS new_hour,
                   CASE WHEN answered > 0 THEN 0 ELSE lane.failed_in_row + failed END AS in_row,
                   CASE WHEN answered > 0 AND lane.breaker = 'open' THEN 0 WHEN hour.is_new THEN failed
                        ELSE lane.failed_in_hour + failed END AS in_hour
            FROM (
                SELECT lane_id, count(*)::int AS n, min(due_at) AS due_at,
                       (count(*) FILTER (WHERE target = 'failed'))::int AS failed,
                       (count(*) FILTER (WHERE target = 'answered'))::int AS answered
                FROM unnest(p_lanes, p_dues, p_targets) AS ended (lane_id, due_at, target) GROUP BY lane_id
            ) counted
            JOIN lanes lane ON lane.id = counted.lane_id
            CROSS JOIN LATERAL (
                SELECT failed > 0 AND (lane.hour_began_at IS NULL OR lane.hour_began_at <= p_now - interval '1 hour') AS is_new
            ) hour
        ) judged
    ) ended
    WHERE lanes.id = ended.lane_id;
$$;

-- Leases due jobs as before, none of them of the lanes `p_without`.
DROP FUNCTION jobs_claim;
CREATE FUNCTION jobs_claim(
    p_kinds text[], p_wants int[], p_rates real[], p_per_lane int, p_token uuid, p_now timestamptz, p_until timestamptz,
    p_without text[] DEFAULT '{}'
) RETURNS SETOF jobs
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    claimed  jobs[];
    visited  text[];
    rates    real[];
    balances double precision[];
BEGIN
    PERFORM lanes_absorb_wakes();
    WITH due AS MATERIALIZED (
        SELECT lane.id, lane.room, lane.first_at, lane.rate,
               CASE WHEN lane.rate IS NOT NULL THEN
                   least(greatest(lane.rate, 1), coalesce(lane.tokens, greatest(lane.rate, 1))
                         + lane.rate * greatest(0, extract(epoch FROM p_now - coalesce(lane.tokens_at, p_now))))
               END AS balance,
               asked.want / count(*) OVER (PARTITION BY asked.kind) AS share
        FROM unnest(p_kinds, p_wants, p_rates) AS asked (kind, want, rate)
        CROSS JOIN LATERAL (
            SELECT id, room, first_at, tokens, tokens_at, coalesce(rate_per_second, asked.rate) AS rate FROM lanes
            WHERE lanes.kind = asked.kind AND due_at IS NOT NULL AND due_at <= p_now AND room > 0 AND id <> ALL (p_without)
            ORDER BY due_at LIMIT asked.want FOR NO KEY UPDATE SKIP LOCKED
        ) lane
    ), waiting AS MATERIALIZED (
        SELECT job.id FROM due CROSS JOIN LATERAL (
            SELECT jobs.id FROM jobs
            WHERE jobs.lane_id = due.id AND lease_token IS NULL AND jobs.due_at >= due.first_at AND jobs.due_at <= p_now
            ORDER BY jobs.due_at, jobs.id LIMIT least(due.room, due.share, p_per_lane, floor(due.balance + 0.001)::int)
            FOR UPDATE SKIP LOCKED
        ) job
    ), leased AS (
        UPDATE jobs SET lease_token = p_token, leased_until = p_until, claims = claims + 1
        FROM waiting WHERE jobs.id = waiting.id
        RETURNING jobs.*
    )
    SELECT (SELECT array_agg(leased::jobs) FROM leased), array_agg(due.id), array_agg(due.rate), array_agg(due.balance)
    INTO claimed, visited, rates, balances FROM due;
    IF visited IS NOT NULL THEN
        PERFORM lanes_settle_claim(visited, rates, balances, claimed, p_now);
        RETURN QUERY SELECT * FROM unnest(claimed);
    END IF;
END
$$;

DROP FUNCTION jobs_next_due;
CREATE FUNCTION jobs_next_due(p_kinds text[], p_without text[] DEFAULT '{}') RETURNS timestamptz
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT min(next.due_at) FROM unnest(p_kinds) AS asked (kind) CROSS JOIN LATERAL (
        SELECT due_at FROM lanes
        WHERE lanes.kind = asked.kind AND due_at IS NOT NULL AND room > 0 AND id <> ALL (p_without) ORDER BY due_at LIMIT 1
    ) next;
$$;
