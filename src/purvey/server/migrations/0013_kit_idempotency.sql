-- What was answered to requests that carried an Idempotency-Key: the same request again gets the first answer.

CREATE TABLE idempotency_records (
    account_id   text NOT NULL,
    id           bytea NOT NULL,        -- SHA-256 of who asked, method, path and key
    fingerprint  bytea NOT NULL,        -- SHA-256 of what was asked: query and body
    token        uuid NOT NULL,         -- the run that holds the claim
    leased_until timestamptz,           -- the run is under way until then at most; null: it has ended
    answer       bytea,                 -- the body of the answer, sealed; null: nothing was done yet
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (account_id, id),
    CHECK (leased_until IS NOT NULL OR answer IS NOT NULL)
);
CREATE INDEX idempotency_records_expiry ON idempotency_records (expires_at);

CREATE TYPE idempotency_claim AS (account_id text, id bytea, fingerprint bytea, token uuid);

-- Claims keys that are fresh, have expired, or whose run died before it did anything, and returns what each key's record says
-- now: whoever finds its own token in it may run. Claiming again with the same token changes nothing. Every call also forgets a
-- few records that have expired, so that nobody has to sweep.
CREATE FUNCTION idempotency_claim(p_claims idempotency_claim[], p_now timestamptz, p_until timestamptz, p_expires_at timestamptz)
RETURNS SETOF idempotency_records
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM idempotency_records WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM idempotency_records WHERE expires_at <= p_now
        ORDER BY expires_at LIMIT 2 * cardinality(p_claims) FOR UPDATE SKIP LOCKED
    ));
    INSERT INTO idempotency_records AS record (account_id, id, fingerprint, token, leased_until, expires_at)
    SELECT c.account_id, c.id, c.fingerprint, c.token, p_until, p_expires_at FROM unnest(p_claims) c ORDER BY c.account_id, c.id
    ON CONFLICT (account_id, id) DO UPDATE SET
        fingerprint = excluded.fingerprint, token = excluded.token, leased_until = excluded.leased_until, answer = NULL,
        expires_at = excluded.expires_at
    WHERE record.expires_at <= p_now OR (record.answer IS NULL AND record.leased_until <= p_now);
    RETURN QUERY
    SELECT record.* FROM unnest(p_claims) c
    JOIN idempotency_records record ON record.account_id = c.account_id AND record.id = c.id;
END
$$;

-- An answer, to be written in the transaction of what it answers. With `leased_until` the run goes on and may better its answer.
CREATE TYPE idempotency_answer AS (account_id text, id bytea, token uuid, answer bytea, leased_until timestamptz);

-- Writes answers, and returns the tokens of the runs that still held their claims.
CREATE FUNCTION idempotency_record(p_answers idempotency_answer[]) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
BEGIN
    -- In the order in which claims are made, so that neither waits for the other in a circle.
    PERFORM 1 FROM idempotency_records record JOIN unnest(p_answers) a ON record.account_id = a.account_id AND record.id = a.id
    ORDER BY record.account_id, record.id FOR NO KEY UPDATE OF record;
    RETURN QUERY
    UPDATE idempotency_records record SET answer = a.answer, leased_until = a.leased_until
    FROM unnest(p_answers) a
    WHERE record.account_id = a.account_id AND record.id = a.id AND record.token = a.token
    RETURNING record.token;
END
$$;
