-- A mail need not be about an order, and need not hold a link: what signs a buyer in to the library is about an address. `account_id` is
-- empty where no seller stands behind the mail; `facts` is then JSON's null.
ALTER TABLE messages
    ALTER COLUMN order_id DROP NOT NULL,
    ALTER COLUMN sealed DROP NOT NULL,
    ADD COLUMN good_until timestamptz;      -- from then on its link opens nothing, and it is not sent any more

ALTER TYPE message_new ADD ATTRIBUTE good_until timestamptz;

CREATE OR REPLACE FUNCTION messages_queue(p_messages message_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_messages) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO messages (account_id, id, template, order_id, recipient, facts, sealed, good_until, created_at)
    SELECT m.account_id, m.id, m.template, m.order_id, m.recipient, m.facts, m.sealed, m.good_until, p_now FROM unnest(p_messages) m;
    PERFORM jobs_push(
        array_agg((derived_id('job_', 'mail:' || m.id), 'mail', 'mail.send', nullif(m.account_id, ''), m.id, p_now)::job_new), p_now)
    FROM unnest(p_messages) m;
END
$$;
