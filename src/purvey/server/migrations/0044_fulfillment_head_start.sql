-- A process that makes a dynamic order makes its call as well, without claiming the job first: the transaction that queues the job
-- leases it. Should the process die then, the lease runs out, as that of any job does.

-- Queues jobs as `jobs_push` does, but leased until `p_until` by whoever has `p_token`, as far as their lanes have room. A lane that
-- is full, is held back, or has others waiting is left alone: its jobs wait behind the others. Locks are taken in the order of all:
-- lanes by id, then jobs; what locks an account's stream comes later. A wake is left for the jobs that wait alone.
CREATE FUNCTION jobs_push_leased(p_jobs job_new[], p_token uuid, p_until timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    roomy  text[];
    leased text[];
    others job_new[];
BEGIN
    roomy := ARRAY (
        SELECT id FROM lanes WHERE id = ANY (ARRAY (SELECT j.lane_id FROM unnest(p_jobs) j))
            AND room > 0 AND breaker = 'closed' AND rate_per_second IS NULL AND held_until IS NULL AND (first_at IS NULL OR first_at > p_now)
        ORDER BY id FOR NO KEY UPDATE
    );
    WITH placed AS (
        SELECT j.*, row_number() OVER (PARTITION BY j.lane_id ORDER BY j.id) AS place FROM unnest(p_jobs) j WHERE j.lane_id = ANY (roomy)
    ), made AS (
        INSERT INTO jobs (id, lane_id, kind, account_id, ref, due_at, lease_token, leased_until, claims, created_at)
        SELECT j.id, j.lane_id, j.kind, j.account_id, j.ref, j.due_at, p_token, p_until, 1, p_now
        FROM placed j JOIN lanes ON lanes.id = j.lane_id WHERE j.place <= lanes.room ORDER BY j.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, lane_id
    ), counted AS (
        UPDATE lanes SET in_flight = in_flight + n FROM (SELECT lane_id, count(*)::int AS n FROM made GROUP BY lane_id) taken
        WHERE lanes.id = taken.lane_id
    )
    SELECT array_agg(id) INTO leased FROM made;
    others := ARRAY (SELECT j FROM unnest(p_jobs) j WHERE j.id <> ALL (coalesce(leased, '{}')));
    IF cardinality(others) > 0 THEN
        PERFORM jobs_push(others, p_now);
    END IF;
END
$$;

-- Null: the job waits for whoever claims it.
ALTER TYPE callback_new ADD ATTRIBUTE lease_token uuid, ADD ATTRIBUTE leased_until timestamptz;

-- Queues the calls of orders, in the transaction that makes the order or asks for it again; then the body stays what it was. Each
-- listing has a lane of its own, so that one that hangs delays no other; it has no breaker and no rate, because a buyer waits.
CREATE OR REPLACE FUNCTION callbacks_make(p_callbacks callback_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lease  record;
    pushed job_new[];
BEGIN
    IF cardinality(p_callbacks) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO lanes (id, kind, account_id, target, max_in_flight, created_at)
    SELECT DISTINCT 'callback:' || c.listing_id, 'callback', c.account_id, c.listing_id, 64, p_now
    FROM unnest(p_callbacks) c WHERE NOT EXISTS (SELECT FROM lanes WHERE lanes.id = 'callback:' || c.listing_id)
    ORDER BY 1 ON CONFLICT (id) DO NOTHING;
    INSERT INTO callbacks (account_id, order_id, listing_id, key, body, round, job_id, status, created_at)
    SELECT c.account_id, c.order_id, c.listing_id, c.key, c.body, c.round, derived_id('job_', concat('call:', c.order_id, ':', c.round)),
           'waiting', p_now
    FROM unnest(p_callbacks) c
    ON CONFLICT (account_id, order_id) DO UPDATE SET
        round = excluded.round, job_id = excluded.job_id, status = 'waiting', finished_at = NULL;
    FOR lease IN SELECT DISTINCT c.lease_token AS token, c.leased_until AS until FROM unnest(p_callbacks) c LOOP
        pushed := ARRAY (
            SELECT (derived_id('job_', concat('call:', c.order_id, ':', c.round)), 'callback:' || c.listing_id, 'fulfillment.call',
                    c.account_id, c.order_id, p_now)::job_new
            FROM unnest(p_callbacks) c WHERE c.lease_token IS NOT DISTINCT FROM lease.token);
        IF lease.token IS NULL THEN
            PERFORM jobs_push(pushed, p_now);
        ELSE
            PERFORM jobs_push_leased(pushed, lease.token, lease.until, p_now);
        END IF;
    END LOOP;
END
$$;
