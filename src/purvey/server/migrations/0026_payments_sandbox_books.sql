-- A refund is looked for by our id alone, and by the payment that it is of, when a provider speaks of it.
CREATE UNIQUE INDEX refunds_id ON refunds (id);
CREATE INDEX refunds_payment ON refunds (provider, payment_reference);

-- The sandbox's books, complete: payments, refunds and disputes, and every notice that it owes us. A checkout can be paid more than
-- once, as at any provider where a buyer has two pages open.
ALTER TABLE sandbox_payments
    DROP CONSTRAINT sandbox_payments_checkout_id_key,
    ADD COLUMN number int NOT NULL DEFAULT 1 CHECK (number > 0),    -- the first payment of its checkout, the second ...
    ADD UNIQUE (checkout_id, number);

CREATE TABLE sandbox_refunds (
    reference   text PRIMARY KEY,
    asked_by    text UNIQUE,            -- the id under which we asked for it; null: it was made on the sandbox's own page
    payment     text NOT NULL REFERENCES sandbox_payments,
    amount      bigint NOT NULL CHECK (amount > 0),
    reason      text,
    refunded_at timestamptz NOT NULL
);
CREATE INDEX sandbox_refunds_payment ON sandbox_refunds (payment);

CREATE TABLE sandbox_disputes (
    reference text PRIMARY KEY,
    payment   text NOT NULL UNIQUE REFERENCES sandbox_payments,
    status    text NOT NULL CHECK (status IN ('needs_response', 'under_review', 'won', 'lost')),
    reason    text NOT NULL,
    due_at    timestamptz NOT NULL,
    told      int NOT NULL              -- how many notices told of it
);

-- A notice that is sent until it was taken. `said` is its object, as it is signed.
CREATE TABLE sandbox_notices (
    id         text PRIMARY KEY,
    type       text NOT NULL,
    said       json NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE FUNCTION sandbox_notify(p_id text, p_type text, p_said json, p_due_at timestamptz, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO sandbox_notices (id, type, said, created_at) VALUES (p_id, p_type, p_said, p_now) ON CONFLICT (id) DO NOTHING;
    SELECT jobs_push(ARRAY[(derived_id('job_', 'sandbox:' || p_id), 'payments', 'payments.sandbox_notice', NULL, p_id, p_due_at)::job_new],
                     p_now);
$$;

-- What a notice of a dispute says.
CREATE FUNCTION sandbox_dispute_said(p_dispute sandbox_disputes, p_at timestamptz) RETURNS json
LANGUAGE sql AS $$
    SELECT json_build_object('provider', 'sandbox', 'reference', p_dispute.reference, 'payment_reference', p_dispute.payment,
        'status', p_dispute.status, 'reason', p_dispute.reason, 'due_at', rfc3339(p_dispute.due_at), 'at', rfc3339(p_at));
$$;

-- Books payment number `p_number` of a checkout, unless there is one. `p_dispute` is the reference of the dispute that follows by
-- itself at `p_dispute_at`, or null.
CREATE FUNCTION sandbox_pay(
    p_reference text, p_checkout text, p_number int, p_card text, p_amount bigint, p_currency text, p_dispute text,
    p_dispute_at timestamptz, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    dispute sandbox_disputes;
BEGIN
    INSERT INTO sandbox_payments (reference, checkout_id, number, card, amount, currency, paid_at)
    VALUES (p_reference, p_checkout, p_number, p_card, p_amount, p_currency, p_now) ON CONFLICT (checkout_id, number) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM sandbox_notify('notice_' || p_reference, 'payment.succeeded', json_build_object(
        'provider', 'sandbox', 'reference', p_reference, 'checkout_id', p_checkout, 'amount', p_amount, 'currency', p_currency
    ), p_now, p_now);
    IF p_dispute IS NOT NULL THEN
        INSERT INTO sandbox_disputes (reference, payment, status, reason, due_at, told)
        VALUES (p_dispute, p_reference, 'needs_response', 'fraudulent', p_dispute_at + interval '7 days', 1) RETURNING * INTO dispute;
        PERFORM sandbox_notify('notice_' || p_dispute || '_1', 'dispute.opened', sandbox_dispute_said(dispute, p_dispute_at),
                               p_dispute_at, p_now);
    END IF;
END
$$;

-- Books a refund of a payment and the notice of it, and returns it, or why there is none. Asked again by the same id it is the same
-- refund. `p_amount` null means all that is left.
CREATE FUNCTION sandbox_refund(
    p_reference text, p_asked_by text, p_payment text, p_amount bigint, p_reason text, p_now timestamptz
) RETURNS TABLE (reference text, amount bigint, currency text, refusal text)
LANGUAGE plpgsql AS $$
DECLARE
    paid    sandbox_payments;
    booked  sandbox_refunds;
    standing bigint;
BEGIN
    SELECT * INTO paid FROM sandbox_payments p WHERE p.reference = p_payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::text, NULL::bigint, NULL::text, format('no payment %s', p_payment);
        RETURN;
    END IF;
    SELECT * INTO booked FROM sandbox_refunds r WHERE r.asked_by = p_asked_by;
    IF NOT FOUND THEN
        standing := paid.amount - coalesce((SELECT sum(r.amount) FROM sandbox_refunds r WHERE r.payment = p_payment), 0);
        IF EXISTS (SELECT FROM sandbox_disputes d WHERE d.payment = p_payment AND d.status <> 'won') THEN
            RETURN QUERY SELECT NULL::text, NULL::bigint, NULL::text, 'the payment is disputed';
            RETURN;
        ELSIF standing = 0 OR p_amount > standing THEN
            RETURN QUERY SELECT NULL::text, NULL::bigint, NULL::text, format('%s %s of the payment are left', standing, paid.currency);
            RETURN;
        END IF;
        INSERT INTO sandbox_refunds (reference, asked_by, payment, amount, reason, refunded_at)
        VALUES (p_reference, p_asked_by, p_payment, coalesce(p_amount, standing), p_reason, p_now) RETURNING * INTO booked;
        PERFORM sandbox_notify('notice_' || booked.reference, 'refund.succeeded', json_build_object(
            'provider', 'sandbox', 'reference', booked.reference, 'payment_reference', p_payment, 'amount', booked.amount,
            'currency', paid.currency, 'refund_id', p_asked_by), p_now, p_now);
    END IF;
    RETURN QUERY SELECT booked.reference, booked.amount, paid.currency::text, NULL::text;
END
$$;

-- Opens a dispute of a payment or moves it on, and books the notice of it. Nothing happens when it is there already, was decided, or
-- there is no such payment; returns whether anything did.
CREATE FUNCTION sandbox_dispute(p_reference text, p_payment text, p_status text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    dispute sandbox_disputes;
BEGIN
    PERFORM 1 FROM sandbox_payments p WHERE p.reference = p_payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO sandbox_disputes AS d (reference, payment, status, reason, due_at, told)
    VALUES (p_reference, p_payment, p_status, 'fraudulent', p_now + interval '7 days', 1)
    ON CONFLICT (payment) DO UPDATE SET status = excluded.status, told = d.told + 1
    WHERE d.status NOT IN ('won', 'lost') AND d.status <> excluded.status
    RETURNING * INTO dispute;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM sandbox_notify(
        'notice_' || dispute.reference || '_' || dispute.told,
        CASE WHEN p_status IN ('won', 'lost') THEN 'dispute.closed' WHEN dispute.told = 1 THEN 'dispute.opened' ELSE 'dispute.updated' END,
        sandbox_dispute_said(dispute, p_now), p_now, p_now);
    RETURN true;
END
$$;
