-- Everything that a change of an order may set, and all that one transition may bring along. The types and the functions are made
-- anew: only one version of each stays.
DROP FUNCTION fulfillment_commit(
    order_new[], order_change[], order_step[], deliverable_new[], grant_new[], message_new[], notice_new[], event_new[], timestamptz);
DROP FUNCTION fulfillment_commit(
    order_new[], order_change[], order_step[], deliverable_new[], grant_new[], message_new[], notice_new[], event_new[], text[],
    idempotency_answer[], timestamptz);
DROP FUNCTION orders_make;
DROP FUNCTION orders_change;
DROP FUNCTION order_history_add;
DROP FUNCTION notices_handled;
DROP TYPE order_new;
DROP TYPE order_change;
DROP TYPE order_step;
DROP TYPE notice_new;

ALTER TABLE orders
    ADD COLUMN refund_pending bigint NOT NULL DEFAULT 0 CHECK (refund_pending >= 0),   -- asked of the provider, not yet answered
    ADD COLUMN dispute_reference text,             -- the provider's id of the dispute that the other columns are about
    ADD COLUMN dispute_reason    text,
    ADD COLUMN dispute_due_at    timestamptz,      -- the seller's evidence must have come by then
    ADD COLUMN dispute_told_at   timestamptz,      -- the provider's instant of what we know last
    ADD COLUMN fresh_links       int NOT NULL DEFAULT 0 CHECK (fresh_links >= 0),      -- that the buyer asked for
    ADD COLUMN fulfill_due_at    timestamptz,      -- the seller's promise, where there is one
    ADD COLUMN on_late           text NOT NULL DEFAULT 'remind' CHECK (on_late IN ('remind', 'refund', 'fallback')),
    ADD COLUMN late_text         text,
    ADD COLUMN late_at           timestamptz,      -- the promise was not kept
    ADD CHECK ((payment_status = 'refunded') = (refunded_at IS NOT NULL)),
    ADD CHECK ((dispute_status IS NULL) = (disputed_at IS NULL));

-- The command that made the change: whoever does not know whether it was written, because the connection was lost, finds it by this.
ALTER TABLE order_history ADD COLUMN mark text;

CREATE TYPE order_new AS (
    account_id text, id text, version int, checkout_id text, listing_id text, content_type text, status text, payment_status text,
    delivery_status text, buyer_email text, amount bigint, currency text, checkout_data json, deliverables text[], metadata json,
    listing json, seller json, payment_provider text, payment_reference text, grant_after int, grant_downloads int, access_hash bytea,
    access_sealed bytea, fulfill_due_at timestamptz, on_late text, late_text text, paid_at timestamptz, fulfilled_at timestamptz,
    handed_off_at timestamptz, created_at timestamptz
);

-- Makes the orders whose checkout and payment have none yet, and returns their ids. Two processes meet at the checkout, since the ids are
-- fresh: in the order of the checkouts neither waits for the other in a circle.
CREATE FUNCTION orders_make(p_orders order_new[]) RETURNS SETOF text
LANGUAGE sql AS $$
    INSERT INTO orders (
        account_id, id, version, checkout_id, listing_id, content_type, status, payment_status, delivery_status, buyer_email, amount,
        currency, checkout_data, deliverables, metadata, listing, seller, payment_provider, payment_reference, grant_after, grant_downloads,
        access_hash, access_sealed, fulfill_due_at, on_late, late_text, paid_at, fulfilled_at, handed_off_at, created_at)
    SELECT o.* FROM unnest(p_orders) o ORDER BY o.checkout_id
    ON CONFLICT DO NOTHING
    RETURNING id;
$$;

-- The whole changeable state after the change, and the state before it: `version`, which must still be the order's, and the
-- statuses that `allowed` the transition.
CREATE TYPE order_change AS (
    account_id text, id text, version int, allowed text[], status text, payment_status text, dispute_status text, delivery_status text,
    buyer_email text, deliverables text[], delivered_items json, metadata json, refund_amount bigint, refund_pending bigint,
    dispute_reference text, dispute_reason text, dispute_due_at timestamptz, dispute_told_at timestamptz, access_hash bytea,
    access_sealed bytea, fresh_links int, late_at timestamptz, fulfilled_at timestamptz, handed_off_at timestamptz,
    refunded_at timestamptz, disputed_at timestamptz
);

-- Changes the orders that are still as the caller read them, and returns their ids. Rows are locked in (account, order) order.
CREATE FUNCTION orders_change(p_changes order_change[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders JOIN unnest(p_changes) c ON orders.account_id = c.account_id AND orders.id = c.id
    ORDER BY orders.account_id, orders.id FOR NO KEY UPDATE OF orders;
    RETURN QUERY
    UPDATE orders SET
        version = c.version + 1, status = c.status, payment_status = c.payment_status, dispute_status = c.dispute_status,
        delivery_status = c.delivery_status, buyer_email = c.buyer_email, deliverables = c.deliverables,
        delivered_items = c.delivered_items, metadata = c.metadata, refund_amount = c.refund_amount,
        refund_pending = c.refund_pending, dispute_reference = c.dispute_reference, dispute_reason = c.dispute_reason,
        dispute_due_at = c.dispute_due_at, dispute_told_at = c.dispute_told_at, access_hash = c.access_hash,
        access_sealed = c.access_sealed, fresh_links = c.fresh_links, late_at = c.late_at, fulfilled_at = c.fulfilled_at,
        handed_off_at = c.handed_off_at, refunded_at = c.refunded_at, disputed_at = c.disputed_at
    FROM unnest(p_changes) c
    WHERE orders.account_id = c.account_id AND orders.id = c.id AND orders.version = c.version AND orders.status = ANY (c.allowed)
    RETURNING orders.id;
END
$$;

CREATE TYPE order_step AS (
    account_id text, order_id text, version int, action text, from_status text, to_status text, actor text, mark text
);

CREATE FUNCTION order_history_add(p_steps order_step[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO order_history (account_id, order_id, version, action, from_status, to_status, actor, mark, changed_at)
    SELECT s.account_id, s.order_id, s.version, s.action, s.from_status, s.to_status, s.actor, s.mark, p_now FROM unnest(p_steps) s;
$$;

-- Returns the orders of steps that are in the history already.
CREATE FUNCTION order_history_has(p_steps order_step[]) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT s.order_id FROM unnest(p_steps) s
    JOIN order_history h ON h.account_id = s.account_id AND h.order_id = s.order_id AND h.version = s.version AND h.mark = s.mark;
$$;

-- Ends the live grants of orders: what they open is closed, whatever links there are.
CREATE FUNCTION grants_end(p_accounts text[], p_orders text[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE grants SET revoked_at = p_now FROM unnest(p_accounts, p_orders) AS ended (account_id, order_id)
    WHERE grants.account_id = ended.account_id AND grants.order_id = ended.order_id AND grants.revoked_at IS NULL;
$$;

-- A notice may tell of anything that happened to money.
ALTER TABLE notices RENAME COLUMN payment TO said;
CREATE TYPE notice_new AS (provider text, id text, type text, payload text, said json, order_id text);

-- Notes that these notices were handled, in the transaction that did it. A notice that waited for another try is settled by this too.
CREATE FUNCTION notices_handled(p_notices notice_new[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO notices AS notice (provider, id, type, payload, said, outcome, received_at, handled_at)
    SELECT n.provider, n.id, n.type, n.payload, n.said, 'handled', p_now, p_now FROM unnest(p_notices) n
    ON CONFLICT (provider, id) DO UPDATE SET outcome = 'handled', reason = NULL, handled_at = p_now
    WHERE notice.outcome IS DISTINCT FROM 'handled';
$$;

-- Money on its way back to a buyer. What is asked of the provider is written down first, so that whoever dies in between, another
-- asks again by the same id, which the provider knows.
CREATE TABLE refunds (
    account_id        text NOT NULL,
    id                text NOT NULL,
    order_id          text NOT NULL,
    provider          text NOT NULL,
    payment_reference text NOT NULL,          -- the order's payment, or one that was made beside it
    amount            bigint NOT NULL CHECK (amount > 0),
    currency          text NOT NULL,
    reason            text,
    origin            text NOT NULL CHECK (origin IN ('seller', 'provider', 'deadline', 'second_payment')),
    status            text NOT NULL CHECK (status IN ('requested', 'succeeded', 'failed')),
    reference         text,                   -- the provider's own id for it
    error             text,                   -- why the provider refused
    requested_at      timestamptz NOT NULL,
    ended_at          timestamptz,
    PRIMARY KEY (account_id, id),
    UNIQUE (provider, reference),             -- counted once, whoever reports it and how often
    CHECK ((status = 'requested') = (ended_at IS NULL)),
    CHECK ((status = 'failed') = (error IS NOT NULL)),
    CHECK (status <> 'succeeded' OR reference IS NOT NULL)
);
CREATE INDEX refunds_order ON refunds (account_id, order_id, requested_at, id);
CREATE UNIQUE INDEX refunds_payment_once ON refunds (provider, payment_reference) WHERE origin = 'second_payment';

CREATE TYPE refund_note AS (
    account_id text, id text, order_id text, provider text, payment_reference text, amount bigint, currency text, reason text,
    origin text, status text, reference text, error text
);

-- Notes refunds as they are now, each together with the change of its order, whose version guards it.
CREATE FUNCTION refunds_note(p_refunds refund_note[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO refunds AS refund (account_id, id, order_id, provider, payment_reference, amount, currency, reason, origin, status,
                                   reference, error, requested_at, ended_at)
    SELECT r.*, p_now, CASE WHEN r.status <> 'requested' THEN p_now END FROM unnest(p_refunds) r
    ON CONFLICT (account_id, id) DO UPDATE SET
        status = excluded.status, reference = excluded.reference, error = excluded.error, ended_at = excluded.ended_at;
$$;

-- Locks the claims of these answers, and returns the tokens of those that are still held: who lost its claim writes nothing.
CREATE FUNCTION idempotency_hold(p_answers idempotency_answer[]) RETURNS SETOF uuid
LANGUAGE sql AS $$
    SELECT record.token FROM idempotency_records record
    JOIN unnest(p_answers) a ON record.account_id = a.account_id AND record.id = a.id AND record.token = a.token
    ORDER BY record.account_id, record.id FOR NO KEY UPDATE OF record;
$$;

-- One order transition, and all that follows from it, in one statement and so in one transaction: the orders made or changed,
-- their history, content, grants, refunds, mail, jobs, notices, answers and events. Only what belongs to an order that was really
-- made or changed is written, so that whoever comes second, with whatever it brings, changes nothing. A change that was written by
-- a run before, whose connection was lost, counts as done, and nothing of it is written again. `p_ends` are orders whose live grant
-- ends before a new one is made; `p_pushed[i]` is the order that `p_jobs[i]` belongs to, and `p_answered[i]` that of `p_answers[i]`:
-- a request that lost its claim changes nothing. The events come last: they lock the account's stream.
CREATE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[], p_ends text[],
    p_grants grant_new[], p_refunds refund_note[], p_messages message_new[], p_pushed text[], p_jobs job_new[],
    p_notices notice_new[], p_answered text[], p_answers idempotency_answer[], p_events event_new[], p_now timestamptz
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
    IF cardinality(p_made) > 0 THEN
        done := ARRAY (SELECT orders_make(p_made));
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
