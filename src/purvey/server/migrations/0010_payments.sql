-- The inbox of provider notices: each is stored once, by the provider's own id, and handed on.

CREATE TABLE notices (
    provider    text NOT NULL,
    id          text NOT NULL,
    type        text NOT NULL,
    payload     text NOT NULL,          -- as it was signed
    payment     json NOT NULL,          -- what it says, in our words
    outcome     text CHECK (outcome IN ('handled', 'refused')),   -- null: not handed on yet
    reason      text,                   -- why it was refused, or why handing it on failed last
    tries       int NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    handled_at  timestamptz,
    PRIMARY KEY (provider, id),
    CHECK ((outcome IS NULL) = (handled_at IS NULL))
);

CREATE TYPE notice_new AS (provider text, id text, type text, payload text, payment json, checkout_id text);

-- Notes that these notices were handled, in the transaction that did it. A notice that waited for another try is settled by this too.
CREATE FUNCTION notices_handled(p_notices notice_new[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO notices AS notice (provider, id, type, payload, payment, outcome, received_at, handled_at)
    SELECT n.provider, n.id, n.type, n.payload, n.payment, 'handled', p_now, p_now FROM unnest(p_notices) n
    ON CONFLICT (provider, id) DO UPDATE SET outcome = 'handled', reason = NULL, handled_at = p_now
    WHERE notice.outcome IS DISTINCT FROM 'handled';
$$;

-- The sandbox's own books: a payment that went through, which it then reports like any provider.
CREATE TABLE sandbox_payments (
    reference   text PRIMARY KEY,
    checkout_id text NOT NULL UNIQUE,
    card        text NOT NULL,          -- the last four digits
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    paid_at     timestamptz NOT NULL
);

SELECT lane_ensure('payments', 'payments', NULL, 'provider notices', 32, clock_timestamp());
