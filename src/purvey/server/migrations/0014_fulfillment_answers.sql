-- A transition may carry the answer to a request with an Idempotency-Key, which is then written in the same transaction.
-- `p_answered[i]` is the order that `p_answers[i]` belongs to.
CREATE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[],
    p_grants grant_new[], p_messages message_new[], p_notices notice_new[], p_events event_new[],
    p_answered text[], p_answers idempotency_answer[], p_now timestamptz
) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    done text[] := '{}';
BEGIN
    IF cardinality(p_made) > 0 THEN
        done := ARRAY (SELECT orders_make(p_made));
        PERFORM checkouts_pay(array_agg(o.checkout_id), array_agg(o.id), p_now) FROM unnest(p_made) o WHERE o.id = ANY (done);
        PERFORM notices_handled(ARRAY (SELECT n FROM unnest(p_notices) n JOIN unnest(p_made) o ON o.checkout_id = n.checkout_id
                                       WHERE o.id = ANY (done)), p_now);
    END IF;
    IF cardinality(p_changes) > 0 THEN
        done := done || ARRAY (SELECT orders_change(p_changes));
    END IF;
    IF cardinality(done) = 0 THEN
        RETURN done;
    END IF;
    PERFORM order_history_add(ARRAY (SELECT s FROM unnest(p_steps) s WHERE s.order_id = ANY (done)), p_now);
    PERFORM deliverables_make(ARRAY (SELECT d FROM unnest(p_deliverables) d WHERE d.order_id = ANY (done)), p_now);
    PERFORM grants_make(ARRAY (SELECT g FROM unnest(p_grants) g WHERE g.order_id = ANY (done)), p_now);
    PERFORM messages_queue(ARRAY (SELECT m FROM unnest(p_messages) m WHERE m.order_id = ANY (done)), p_now);
    IF cardinality(p_answers) > 0 THEN
        PERFORM idempotency_record(ARRAY (SELECT p_answers[i] FROM generate_subscripts(p_answers, 1) i WHERE p_answered[i] = ANY (done)));
    END IF;
    PERFORM events_append(ARRAY (SELECT e FROM unnest(p_events) e WHERE e.order_id = ANY (done)), p_now);
    RETURN done;
END
$$;

-- For processes of the version before, while they still run.
CREATE OR REPLACE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[],
    p_grants grant_new[], p_messages message_new[], p_notices notice_new[], p_events event_new[], p_now timestamptz
) RETURNS text[]
LANGUAGE sql AS $$
    SELECT fulfillment_commit(p_made, p_changes, p_steps, p_deliverables, p_grants, p_messages, p_notices, p_events, '{}', '{}', p_now);
$$;
