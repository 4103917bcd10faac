-- What a change was about, where its name does not say it: the address before a correction, and after.
ALTER TABLE order_history ADD COLUMN detail json;
ALTER TYPE order_step ADD ATTRIBUTE detail json;

CREATE OR REPLACE FUNCTION order_history_add(p_steps order_step[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO order_history (account_id, order_id, version, action, from_status, to_status, actor, mark, detail, changed_at)
    SELECT s.account_id, s.order_id, s.version, s.action, s.from_status, s.to_status, s.actor, s.mark, s.detail, p_now FROM unnest(p_steps) s;
$$;

-- Where an order's page is now, and whose it is: a mail to its buyer leaves with this link and to this address, however long it waited.
CREATE FUNCTION orders_link(p_account text, p_order text) RETURNS TABLE (sealed bytea, email text)
LANGUAGE sql STABLE AS $$
    SELECT access_sealed, buyer_email FROM orders WHERE account_id = p_account AND id = p_order;
$$;

ALTER TYPE message_result ADD ATTRIBUTE recipient text;      -- whom it was offered to

CREATE OR REPLACE FUNCTION messages_record(p_message message_result, p_job job_result, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM * FROM jobs_finish(ARRAY[p_job], p_now);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE messages SET status = p_message.status, attempts = p_message.attempts, error = p_message.error,
        sent_at = p_message.sent_at, recipient = p_message.recipient
    WHERE account_id = p_message.account_id AND id = p_message.id;
    RETURN true;
END
$$;
