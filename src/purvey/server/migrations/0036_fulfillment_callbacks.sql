-- The call that a dynamic order makes to its seller's server, and what came of it.

CREATE TABLE callbacks (
    account_id  text NOT NULL,
    order_id    text NOT NULL,
    listing_id  text NOT NULL,          -- where it leads and what signs it is asked of the listing at each attempt
    key         text NOT NULL,          -- by which the seller's server tells an order from another; the same in every attempt
    body        text NOT NULL,          -- the bytes that are sent, made with the order: the same in every attempt
    round       int NOT NULL,           -- 1, and one more each time that the seller asks for it again
    job_id      text NOT NULL,          -- the job of this round
    status      text NOT NULL CHECK (status IN ('waiting', 'answered', 'failed', 'withdrawn')),
    attempts    int NOT NULL DEFAULT 0, -- of all rounds
    created_at  timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (account_id, order_id),
    CHECK ((status = 'waiting') = (finished_at IS NULL))
);

CREATE TABLE callback_attempts (
    account_id  text NOT NULL,
    order_id    text NOT NULL,
    number      int NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms int NOT NULL,
    status_code int,                    -- null: there was no answer
    stage       text,                   -- in which it failed to get one
    error       text,                   -- why this attempt brought nothing
    answer      text,                   -- the beginning of an answer that brought nothing; what brought something is the order's
    address     text,
    PRIMARY KEY (account_id, order_id, number)
);

-- Where a listing's callback leads and what signs it, for whoever calls.
CREATE FUNCTION listings_callback(p_account text, p_listing text)
RETURNS TABLE (url text, secret bytea, secret_before bytea, secret_before_until timestamptz, on_failure text)
LANGUAGE sql STABLE AS $$
    SELECT dynamic_webhook, dynamic_secret, dynamic_before, dynamic_before_until, on_callback_failure
    FROM listings WHERE account_id = p_account AND id = p_listing;
$$;

CREATE TYPE callback_new AS (account_id text, order_id text, listing_id text, key text, body text, round int);

-- Queues the calls of orders, in the transaction that makes the order or asks for it again; then the body stays what it was. Each
-- listing has a lane of its own, so that one that hangs delays no other; it has no breaker and no rate, because a buyer waits.
CREATE FUNCTION callbacks_make(p_callbacks callback_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
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
    PERFORM jobs_push(array_agg((derived_id('job_', concat('call:', c.order_id, ':', c.round)), 'callback:' || c.listing_id,
                                 'fulfillment.call', c.account_id, c.order_id, p_now)::job_new), p_now)
    FROM unnest(p_callbacks) c;
END
$$;

-- What came of an attempt; `started_at` null: none was made. `status` is the callback's after it.
CREATE TYPE callback_result AS (
    account_id text, order_id text, job_id text, lease_token uuid, status text, started_at timestamptz, duration_ms int, status_code int,
    stage text, error text, answer text, address text
);

-- Locks the jobs of the results, and returns the orders of those whose lease is still held.
CREATE FUNCTION callbacks_hold(p_results callback_result[]) RETURNS SETOF text
LANGUAGE sql SET enable_seqscan = off AS $$
    SELECT r.order_id FROM jobs JOIN unnest(p_results) r ON jobs.id = r.job_id AND jobs.lease_token = r.lease_token
    ORDER BY jobs.id FOR UPDATE OF jobs;
$$;

CREATE FUNCTION callbacks_note(p_results callback_result[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    WITH noted AS (
        UPDATE callbacks SET
            status = r.status, attempts = attempts + (r.started_at IS NOT NULL)::int,
            finished_at = CASE WHEN r.status <> 'waiting' THEN p_now END
        FROM unnest(p_results) r
        WHERE callbacks.account_id = r.account_id AND callbacks.order_id = r.order_id AND callbacks.job_id = r.job_id
        RETURNING r.account_id, r.order_id, attempts, r.started_at, r.duration_ms, r.status_code, r.stage, r.error, r.answer, r.address
    )
    INSERT INTO callback_attempts (
        account_id, order_id, number, started_at, duration_ms, status_code, stage, error, answer, address)
    SELECT noted.* FROM noted WHERE started_at IS NOT NULL;
$$;

-- Records attempts that change no order, with the end of their jobs or the time of the next attempt (`p_jobs[i]` belongs to
-- `p_results[i]`), and returns the jobs that still held their lease: for the others nothing is written.
CREATE FUNCTION callbacks_record(p_results callback_result[], p_jobs job_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    held text[] := ARRAY (SELECT jobs_finish(p_jobs, p_now));
BEGIN
    PERFORM callbacks_note(ARRAY (SELECT r FROM unnest(p_results) r WHERE r.job_id = ANY (held)), p_now);
    RETURN QUERY SELECT unnest(held);
END
$$;

DROP FUNCTION fulfillment_commit;

-- One order transition, and all that follows from it, in one statement and so in one transaction: the orders made or changed, their
-- history, content, grants, refunds, mail, jobs, callbacks, notices, answers and events. Only what belongs to an order that was really
-- made or changed is written, so that whoever comes second, with whatever it brings, changes nothing. A change that was written by a
-- run before, whose connection was lost, counts as done, and nothing of it is written again. `p_ends` are orders whose live grant ends
-- before a new one is made; `p_pushed[i]` is the order that `p_jobs[i]` belongs to, and `p_answered[i]` that of `p_answers[i]`: a
-- request that lost its claim changes nothing, nor does the outcome of a call (`p_results`) whose worker lost its lease, nor an order
-- whose licence key is not held for it any more. The events come last: they lock the account's stream.
CREATE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[], p_ends text[],
    p_grants grant_new[], p_refunds refund_note[], p_messages message_new[], p_pushed text[], p_jobs job_new[],
    p_callbacks callback_new[], p_results callback_result[], p_notices notice_new[], p_keys key_sale[], p_answered text[],
    p_answers idempotency_answer[], p_events event_new[], p_now timestamptz
) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    before text[] := '{}';
    done   text[] := '{}';
    barred text[] := '{}';
BEGIN
    IF cardinality(p_answers) > 0 THEN
        barred := ARRAY (SELECT p_answered[i] FROM generate_subscripts(p_answers, 1) i
                         WHERE (p_answers[i]).token <> ALL (ARRAY (SELECT idempotency_hold(p_answers))));
    END IF;
    IF cardinality(p_results) > 0 THEN
        barred := barred || ARRAY (SELECT r.order_id FROM unnest(p_results) r
                                   WHERE r.order_id <> ALL (ARRAY (SELECT callbacks_hold(p_results))));
    END IF;
    IF cardinality(p_keys) > 0 THEN
        barred := barred || ARRAY (SELECT keys_lost(p_keys));
    END IF;
    IF cardinality(p_made) > 0 THEN
        done := ARRAY (SELECT orders_make(ARRAY (SELECT o FROM unnest(p_made) o WHERE o.id <> ALL (barred))));
        PERFORM checkouts_pay(array_agg(o.checkout_id), array_agg(o.id), p_now) FROM unnest(p_made) o WHERE o.id = ANY (done);
    END IF;
    IF cardinality(p_changes) > 0 THEN
        before := ARRAY (SELECT order_history_has(p_steps));
        done := done || ARRAY (SELECT orders_change(ARRAY (SELECT c FROM unnest(p_changes) c WHERE c.id <> ALL (before || barred))));
    END IF;
    IF cardinality(done) = 0 THEN
        RETURN before;
    END IF;
    PERFORM order_history_add(ARRAY (SELECT s FROM unnest(p_steps) s WHERE s.order_id = ANY (done)), p_now);
    IF cardinality(p_keys) > 0 THEN
        PERFORM keys_sell(ARRAY (SELECT k FROM unnest(p_keys) k WHERE k.order_id = ANY (done)), p_now);
    END IF;
    PERFORM deliverables_make(ARRAY (SELECT d FROM unnest(p_deliverables) d WHERE d.order_id = ANY (done)), p_now);
    IF cardinality(p_ends) > 0 THEN
        PERFORM grants_end(array_agg(c.account_id), array_agg(c.id), p_now)
        FROM unnest(p_changes) c WHERE c.id = ANY (p_ends) AND c.id = ANY (done);
    END IF;
    PERFORM grants_make(ARRAY (SELECT g FROM unnest(p_grants) g WHERE g.order_id = ANY (done)), p_now);
    IF cardinality(p_refunds) > 0 THEN
        PERFORM refunds_note(ARRAY (SELECT r FROM unnest(p_refunds) r WHERE r.order_id = ANY (done)), p_now);
    END IF;
    PERFORM messages_queue(ARRAY (SELECT m FROM unnest(p_messages) m WHERE m.order_id = ANY (done)), p_now);
    IF cardinality(p_jobs) > 0 THEN
        PERFORM jobs_push(ARRAY (SELECT p_jobs[i] FROM generate_subscripts(p_jobs, 1) i WHERE p_pushed[i] = ANY (done)), p_now);
    END IF;
    IF cardinality(p_callbacks) > 0 THEN
        PERFORM callbacks_make(ARRAY (SELECT c FROM unnest(p_callbacks) c WHERE c.order_id = ANY (done)), p_now);
    END IF;
    IF cardinality(p_results) > 0 THEN
        PERFORM callbacks_note(ARRAY (SELECT r FROM unnest(p_results) r WHERE r.order_id = ANY (done)), p_now);
    END IF;
    IF cardinality(p_notices) > 0 THEN
        PERFORM notices_handled(ARRAY (SELECT n FROM unnest(p_notices) n WHERE n.order_id = ANY (done)), p_now);
    END IF;
    IF cardinality(p_answers) > 0 THEN
        PERFORM idempotency_record(ARRAY (SELECT p_answers[i] FROM generate_subscripts(p_answers, 1) i WHERE p_answered[i] = ANY (done)));
    END IF;
    PERFORM events_append(ARRAY (SELECT e FROM unnest(p_events) e WHERE e.order_id = ANY (done)), p_now);
    RETURN before || done;
END
$$;
