-- The same as before, and the licence keys that orders get: an order whose key is not held for it any more is neither made nor changed.
DROP FUNCTION fulfillment_commit;

CREATE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[], p_ends text[],
    p_grants grant_new[], p_refunds refund_note[], p_messages message_new[], p_pushed text[], p_jobs job_new[],
    p_notices notice_new[], p_keys key_sale[], p_answered text[], p_answers idempotency_answer[], p_events event_new[], p_now timestamptz
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
