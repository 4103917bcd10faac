-- Messages to send. What a message says is made when it is sent, from the template and the facts kept here.

CREATE TABLE messages (
    account_id text NOT NULL,
    id         text NOT NULL,
    template   text NOT NULL,
    order_id   text NOT NULL,
    recipient  text NOT NULL,
    facts      json NOT NULL,
    sealed     bytea NOT NULL,          -- the token of the access link, sealed: no link lies in the clear
    status     text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'given_up')),
    attempts   int NOT NULL DEFAULT 0,
    error      text,                    -- of the last attempt
    created_at timestamptz NOT NULL,
    sent_at    timestamptz,
    PRIMARY KEY (account_id, id),
    CHECK ((status = 'sent') = (sent_at IS NOT NULL))
);
-- Each of these goes out once in an order's life.
CREATE UNIQUE INDEX messages_once ON messages (account_id, order_id, template) WHERE template IN ('confirmation', 'ready');

-- The built-in mailbox: where mail goes on a laptop.
CREATE TABLE mailbox (
    message_id  text PRIMARY KEY,       -- a message that is sent twice arrives once
    recipient   text NOT NULL,
    subject     text NOT NULL,
    text        text NOT NULL,
    html        text NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX mailbox_newest ON mailbox (received_at DESC, message_id DESC);

CREATE TYPE message_new AS (account_id text, id text, template text, order_id text, recipient text, facts json, sealed bytea);

CREATE FUNCTION messages_queue(p_messages message_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_messages) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO messages (account_id, id, template, order_id, recipient, facts, sealed, created_at)
    SELECT m.account_id, m.id, m.template, m.order_id, m.recipient, m.facts, m.sealed, p_now FROM unnest(p_messages) m;
    PERFORM jobs_push(array_agg((derived_id('job_', 'mail:' || m.id), 'mail', 'mail.send', m.account_id, m.id, p_now)::job_new), p_now)
    FROM unnest(p_messages) m;
END
$$;

CREATE TYPE message_result AS (account_id text, id text, status text, attempts int, error text, sent_at timestamptz);

-- Records what came of an attempt together with the end of its job, and returns whether the lease was still held: who lost it
-- records nothing.
CREATE FUNCTION messages_record(p_message message_result, p_job job_result, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM * FROM jobs_finish(ARRAY[p_job], p_now);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE messages SET status = p_message.status, attempts = p_message.attempts, error = p_message.error, sent_at = p_message.sent_at
    WHERE account_id = p_message.account_id AND id = p_message.id;
    RETURN true;
END
$$;

SELECT lane_ensure('mail', 'mail', NULL, 'the mail server', 8, clock_timestamp());
