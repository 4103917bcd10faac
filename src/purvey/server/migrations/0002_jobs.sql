-- The queue of lanes. A lane is what shares one rate limit, one in-flight cap and one breaker: a webhook URL of an account, the
-- mail server. Locks are taken in this order, so that no two callers wait for each other: lanes by id, then jobs by id.

CREATE TABLE lanes (
    id               text PRIMARY KEY,            -- its kind, or its kind and a colon and more
    kind             text NOT NULL,
    account_id       text,
    target           text NOT NULL,               -- for people: the URL, or what the lane leads to
    first_at         timestamptz,                 -- no waiting job is due before this; null: none waits
    held_until       timestamptz,                 -- nothing is claimed before this: the bucket is empty, or the breaker open
    served_at        timestamptz,                 -- the last claim; whoever was served last waits behind the others
    in_flight        int NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    max_in_flight    int NOT NULL CHECK (max_in_flight > 0),
    rate_per_second  real CHECK (rate_per_second > 0),   -- null: as its kind
    tokens           double precision,
    tokens_at        timestamptz,
    breaker          text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open')),
    failed_in_row    int NOT NULL DEFAULT 0,
    failed_in_hour   int NOT NULL DEFAULT 0,
    hour_began_at    timestamptz,
    created_at       timestamptz NOT NULL,
    -- An open breaker lets one probe through at a time, and so does a lane that failed five times in a row: what a dead
    -- receiver holds up is then one slot of a worker, not all of them.
    room             int GENERATED ALWAYS AS
                     (CASE WHEN breaker = 'open' OR failed_in_row >= 5 THEN 1 ELSE max_in_flight END - in_flight) STORED,
    due_at           timestamptz GENERATED ALWAYS AS
                     (CASE WHEN first_at IS NOT NULL THEN greatest(first_at, held_until, served_at) END) STORED,
    CHECK (split_part(id, ':', 1) = kind)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX lanes_due ON lanes (kind, due_at) WHERE due_at IS NOT NULL AND room > 0;

CREATE TABLE jobs (
    id           text PRIMARY KEY,
    lane_id      text NOT NULL,
    kind         text NOT NULL,
    account_id   text,
    ref          text NOT NULL,                   -- the id of what the job is about
    attempt      int NOT NULL DEFAULT 1,          -- the number of the next attempt
    due_at       timestamptz NOT NULL,
    lease_token  uuid,                            -- whoever holds it may record the result
    leased_until timestamptz,
    claims       int NOT NULL DEFAULT 0,          -- since the last result: more than one means that somebody died of it
    created_at   timestamptz NOT NULL,
    CHECK ((lease_token IS NULL) = (leased_until IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX jobs_waiting ON jobs (lane_id, due_at, id) WHERE lease_token IS NULL;
CREATE INDEX jobs_leased ON jobs (leased_until) WHERE lease_token IS NOT NULL;

-- A push locks no lane: it leaves a wake, which the next claim absorbs. Otherwise every order in the shop would wait for one row, the mail server's.
CREATE TABLE lane_wakes (
    lane_id text NOT NULL,
    due_at  timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TYPE job_new AS (id text, lane_id text, kind text, account_id text, ref text, due_at timestamptz);

-- Queues jobs in the caller's transaction. A job whose id is there already is left as it is. No foreign key holds a job to its
-- lane, because its check would lock the lane; a lane that is not there is refused here.
CREATE FUNCTION jobs_push(p_jobs job_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    SELECT j.lane_id INTO missing FROM unnest(p_jobs) j
    WHERE NOT EXISTS (SELECT FROM lanes WHERE lanes.id = j.lane_id) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('no lane %s: make it with lane_ensure first', missing);
    END IF;
    INSERT INTO jobs (id, lane_id, kind, account_id, ref, due_at, created_at)
    SELECT j.id, j.lane_id, j.kind, j.account_id, j.ref, j.due_at, p_now FROM unnest(p_jobs) j ORDER BY j.id
    ON CONFLICT (id) DO NOTHING;
    INSERT INTO lane_wakes (lane_id, due_at)
    SELECT j.lane_id, min(j.due_at) FROM unnest(p_jobs) j GROUP BY j.lane_id;
END
$$;

-- A wake is seen together with its jobs, so `first_at` stays a lower bound without a look at them.
CREATE FUNCTION lanes_absorb_wakes() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    woken text[];
    dues  timestamptz[];
BEGIN
    WITH taken AS (
        DELETE FROM lane_wakes WHERE ctid = ANY (ARRAY (SELECT ctid FROM lane_wakes LIMIT 1000 FOR UPDATE SKIP LOCKED))
        RETURNING lane_id, due_at
    ), merged AS (SELECT lane_id, min(due_at) AS due_at FROM taken GROUP BY lane_id)
    SELECT array_agg(lane_id), array_agg(due_at) INTO woken, dues FROM merged;
    IF woken IS NOT NULL THEN
        PERFORM 1 FROM lanes WHERE id = ANY (woken) ORDER BY id FOR NO KEY UPDATE;
        UPDATE lanes SET first_at = least(lanes.first_at, wake.due_at)
        FROM unnest(woken, dues) AS wake (lane_id, due_at)
        WHERE lanes.id = wake.lane_id AND (lanes.first_at IS NULL OR lanes.first_at > wake.due_at);
    END IF;
END
$$;

-- Leases due jobs of the lane kinds asked for, at most `p_wants[i]` of kind i and `p_per_lane` of one lane; `p_rates[i]` is the
-- number of jobs a second of a lane that has no rate of its own (null: no limit). Lanes take turns, and those that are due
-- together share what is wanted evenly. The planner is told what is always true here: go by index.
CREATE FUNCTION jobs_claim(
    p_kinds text[], p_wants int[], p_rates real[], p_per_lane int, p_token uuid, p_now timestamptz, p_until timestamptz
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
            WHERE lanes.kind = asked.kind AND due_at IS NOT NULL AND due_at <= p_now AND room > 0
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

-- The second half of a claim, a statement of its own, because only a statement that begins after the lock was taken sees what
-- was committed before: every lane looked at learns when its next job is due, whether anything was claimed or not.
CREATE FUNCTION lanes_settle_claim(
    p_lanes text[], p_rates real[], p_balances double precision[], p_claimed jobs[], p_now timestamptz
) RETURNS void
LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    UPDATE lanes SET
        in_flight = lanes.in_flight + taken.n,
        first_at = (SELECT jobs.due_at FROM jobs WHERE jobs.lane_id = lanes.id AND lease_token IS NULL AND jobs.due_at >= lanes.first_at
                    ORDER BY jobs.due_at, jobs.id LIMIT 1),
        served_at = p_now,
        tokens = taken.balance,
        tokens_at = CASE WHEN taken.balance IS NOT NULL THEN p_now END,
        held_until = CASE WHEN taken.balance < 1 THEN p_now + make_interval(secs => (1 - taken.balance) / taken.rate) END
    FROM (
        SELECT lane.id, lane.rate, coalesce(counted.n, 0) AS n, lane.balance - coalesce(counted.n, 0) AS balance
        FROM unnest(p_lanes, p_rates, p_balances) AS lane (id, rate, balance)
        LEFT JOIN (SELECT lane_id, count(*)::int AS n FROM unnest(p_claimed) GROUP BY lane_id) counted ON counted.lane_id = lane.id
    ) taken
    WHERE lanes.id = taken.id;
$$;

-- `next_at` null: the job is done and goes. Otherwise it waits until then, for attempt number `attempt`; null: no attempt was
-- made, so the number stays and the claims count on. `lane_id` null: the lane stays. `target` is what was learnt about where the
-- lane leads: 'answered', 'failed', or null for nothing.
CREATE TYPE job_result AS (id text, lease_token uuid, next_at timestamptz, attempt int, lane_id text, target text);

-- Records results in the caller's transaction and returns the ids of those that still held their lease; the others record nothing.
CREATE FUNCTION jobs_finish(p_results job_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    ids      text[];
    lane_ids text[];
    dues     timestamptz[];
    targets  text[];
BEGIN
    PERFORM 1 FROM lanes WHERE id = ANY (ARRAY (
        SELECT jobs.lane_id FROM jobs JOIN unnest(p_results) r ON jobs.id = r.id AND jobs.lease_token = r.lease_token
    )) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM jobs JOIN unnest(p_results) r ON jobs.id = r.id AND jobs.lease_token = r.lease_token
    ORDER BY jobs.id FOR UPDATE OF jobs;
    WITH held AS (
        SELECT jobs.id, jobs.lane_id, coalesce(r.lane_id, jobs.lane_id) AS next_lane, r.next_at, r.attempt, r.target
        FROM jobs JOIN unnest(p_results) r ON jobs.id = r.id AND jobs.lease_token = r.lease_token
    ), gone AS (
        DELETE FROM jobs USING held WHERE jobs.id = held.id AND held.next_at IS NULL
    ), again AS (
        UPDATE jobs SET
            lease_token = NULL, leased_until = NULL, due_at = held.next_at, lane_id = held.next_lane,
            attempt = coalesce(held.attempt, jobs.attempt), claims = CASE WHEN held.attempt IS NULL THEN jobs.claims ELSE 0 END
        FROM held WHERE jobs.id = held.id AND held.next_at IS NOT NULL
    ), elsewhere AS (
        INSERT INTO lane_wakes (lane_id, due_at)
        SELECT next_lane, min(next_at) FROM held WHERE next_at IS NOT NULL AND next_lane <> lane_id GROUP BY next_lane
    )
    SELECT array_agg(id), array_agg(lane_id), array_agg(CASE WHEN next_lane = lane_id THEN next_at END), array_agg(target)
    INTO ids, lane_ids, dues, targets FROM held;
    IF ids IS NOT NULL THEN
        PERFORM lanes_settle_results(lane_ids, dues, targets, p_now);
        RETURN QUERY SELECT unnest(ids);
    END IF;
END
$$;

-- Each of the jobs (one entry each) left the lane or waits in it again until `p_dues[i]`. More than 50 failures in an hour open
-- the breaker for 15 minutes; then one job at a time probes, and the first that is answered closes it.
CREATE FUNCTION lanes_settle_results(p_lanes text[], p_dues timestamptz[], p_targets text[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE lanes SET
        in_flight = lanes.in_flight - ended.n,
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

-- Lengthens the leases that are still held.
CREATE FUNCTION jobs_renew(p_ids text[], p_tokens uuid[], p_until timestamptz) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM jobs JOIN unnest(p_ids, p_tokens) AS held (id, token) ON jobs.id = held.id AND jobs.lease_token = held.token
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs;
    UPDATE jobs SET leased_until = greatest(leased_until, p_until) FROM unnest(p_ids, p_tokens) AS held (id, token)
    WHERE jobs.id = held.id AND jobs.lease_token = held.token;
END
$$;

-- Takes back the leases that ran out: their worker died. The jobs are due at once, at the same attempt; but a job that has been
-- claimed three times without a result may be what they died of, and waits longer each time (10 s, 20 s ... an hour).
CREATE FUNCTION jobs_rescue(p_now timestamptz) RETURNS int
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lost     text[];
    lane_ids text[];
    dues     timestamptz[];
BEGIN
    SELECT array_agg(id), array_agg(lane_id) INTO lost, lane_ids
    FROM (SELECT id, lane_id FROM jobs WHERE lease_token IS NOT NULL AND leased_until <= p_now ORDER BY leased_until LIMIT 500) expired;
    IF lost IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM lanes WHERE id = ANY (lane_ids) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM jobs WHERE id = ANY (lost) AND lease_token IS NOT NULL AND leased_until <= p_now ORDER BY id FOR UPDATE;
    WITH freed AS (
        UPDATE jobs SET lease_token = NULL, leased_until = NULL,
            due_at = CASE WHEN claims < 3 THEN p_now ELSE p_now + least(interval '1 hour', interval '10 seconds' * 2 ^ least(claims - 3, 12)) END
        WHERE id = ANY (lost) AND lease_token IS NOT NULL AND leased_until <= p_now
        RETURNING lane_id, due_at
    )
    SELECT array_agg(lane_id), array_agg(due_at) INTO lane_ids, dues FROM freed;
    IF lane_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM lanes_settle_results(lane_ids, dues, array_fill(NULL::text, ARRAY[cardinality(lane_ids)]), p_now);
    RETURN cardinality(lane_ids);
END
$$;

-- When the next claim for these lane kinds can find something; null: not before something changes.
CREATE FUNCTION jobs_next_due(p_kinds text[]) RETURNS timestamptz
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT min(next.due_at) FROM unnest(p_kinds) AS asked (kind) CROSS JOIN LATERAL (
        SELECT due_at FROM lanes WHERE lanes.kind = asked.kind AND due_at IS NOT NULL AND room > 0 ORDER BY due_at LIMIT 1
    ) next;
$$;

-- Moves those of the jobs named that wait (an endpoint's URL was changed) to another lane. One that is being run stays.
CREATE FUNCTION jobs_move(p_ids text[], p_lane text) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM jobs WHERE id = ANY (p_ids) AND lease_token IS NULL ORDER BY id FOR UPDATE;
    WITH moved AS (
        UPDATE jobs SET lane_id = p_lane WHERE id = ANY (p_ids) AND lease_token IS NULL RETURNING due_at
    )
    INSERT INTO lane_wakes (lane_id, due_at) SELECT p_lane, min(due_at) FROM moved HAVING count(*) > 0;
END
$$;

-- Takes those of the jobs named that wait out of the queue, and returns their ids. One that is being run stays.
CREATE FUNCTION jobs_withdraw(p_ids text[]) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM jobs WHERE id = ANY (p_ids) AND lease_token IS NULL ORDER BY id FOR UPDATE;
    RETURN QUERY DELETE FROM jobs WHERE id = ANY (p_ids) AND lease_token IS NULL RETURNING id;
END
$$;

-- Makes a lane if it is not there; its limits stay as they are if it is.
CREATE FUNCTION lane_ensure(p_id text, p_kind text, p_account_id text, p_target text, p_max_in_flight int, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO lanes (id, kind, account_id, target, max_in_flight, created_at)
    VALUES (p_id, p_kind, p_account_id, p_target, p_max_in_flight, p_now) ON CONFLICT (id) DO NOTHING;
$$;
