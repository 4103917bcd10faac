-- One order transition, and all that follows from it, in one statement and so in one transaction: the orders made or changed,
-- their history, content, grants, mail and events. Only what belongs to an order that was really made or changed is written, so
-- that whoever comes second, with whatever it brings, changes nothing. The events come last: they lock the account's stream.
CREATE FUNCTION fulfillment_commit(
    p_made order_new[], p_changes order_change[], p_steps order_step[], p_deliverables deliverable_new[],
    p_grants grant_new[], p_messages message_new[], p_notices notice_new[], p_events event_new[], p_now timestamptz
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
    PERFORM events_append(ARRAY (SELECT e FROM unnest(p_events) e WHERE e.order_id = ANY (done)), p_now);
    RETURN done;
END
$$;
