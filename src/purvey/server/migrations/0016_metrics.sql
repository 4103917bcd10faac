-- What is asked again and again while everything else goes on: how much is waiting, and for how long. Each answer comes from an index
-- and stops counting at `p_most`, so that it costs the same with ten million rows.

CREATE INDEX lanes_first ON lanes (kind, breaker, first_at) WHERE first_at IS NOT NULL;

-- Of each lane kind: the seconds that the oldest due job has waited, lanes with an open breaker aside, because there nobody but the
-- receiver is late; the jobs that wait and the jobs that are leased; the lanes whose breaker is open and that have something waiting.
-- What was pushed and no worker has looked at since is found by its wakes.
CREATE FUNCTION jobs_depths(p_kinds text[], p_most int, p_now timestamptz)
RETURNS TABLE (kind text, due_for double precision, waiting bigint, leased bigint, open_breakers bigint)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH wakes AS MATERIALIZED (
        SELECT split_part(lane_id, ':', 1) AS kind, lane_id, min(due_at) AS due_at
        FROM (SELECT lane_id, due_at FROM lane_wakes LIMIT p_most) counted GROUP BY lane_id
    ), held AS MATERIALIZED (
        SELECT split_part(lane_id, ':', 1) AS kind, count(*) AS jobs
        FROM (SELECT lane_id FROM jobs WHERE lease_token IS NOT NULL LIMIT p_most) counted GROUP BY 1
    )
    SELECT
        asked.kind,
        greatest(0, extract(epoch FROM p_now - least(
            (SELECT first_at FROM lanes
             WHERE lanes.kind = asked.kind AND breaker = 'closed' AND first_at IS NOT NULL ORDER BY first_at LIMIT 1),
            (SELECT min(due_at) FROM wakes WHERE wakes.kind = asked.kind)
        )), 0)::double precision,
        (SELECT count(*) FROM (
            SELECT FROM (
                (SELECT id FROM lanes WHERE lanes.kind = asked.kind AND first_at IS NOT NULL ORDER BY breaker, first_at LIMIT p_most)
                UNION
                SELECT lane_id FROM wakes WHERE wakes.kind = asked.kind
            ) lane CROSS JOIN LATERAL (
                SELECT FROM jobs WHERE jobs.lane_id = lane.id AND lease_token IS NULL LIMIT p_most
            ) job LIMIT p_most
        ) counted),
        coalesce((SELECT held.jobs FROM held WHERE held.kind = asked.kind), 0),
        (SELECT count(*) FROM (
            SELECT FROM lanes WHERE lanes.kind = asked.kind AND breaker = 'open' AND first_at IS NOT NULL LIMIT p_most
        ) counted)
    FROM unnest(p_kinds) AS asked (kind);
$$;

CREATE INDEX orders_unfulfilled ON orders (paid_at) WHERE status IN ('paid', 'processing') AND payment_status <> 'refunded';

-- How many orders are paid and neither fulfilled nor handed off, by how long ago they were paid. Each is counted once.
CREATE FUNCTION orders_by_wait(p_most int, p_now timestamptz) RETURNS TABLE (age text, orders bigint)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT span.age, (SELECT count(*) FROM (
        SELECT FROM orders
        WHERE status IN ('paid', 'processing') AND payment_status <> 'refunded' AND paid_at > span.after AND paid_at <= span.until
        LIMIT p_most
    ) counted)
    FROM (VALUES
        ('under_1m', p_now - interval '1 minute', timestamptz 'infinity'),
        ('under_10m', p_now - interval '10 minutes', p_now - interval '1 minute'),
        ('under_1h', p_now - interval '1 hour', p_now - interval '10 minutes'),
        ('under_1d', p_now - interval '1 day', p_now - interval '1 hour'),
        ('over_1d', timestamptz '-infinity', p_now - interval '1 day')
    ) AS span (age, after, until);
$$;
