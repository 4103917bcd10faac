-- What a buyer bought, on one page: whoever can read the mail of an address sees its purchases. An ask is written for every address
-- alike; what becomes of it is found out later, by a job.

CREATE TABLE library_asks (
    id       text PRIMARY KEY,
    email    text NOT NULL,
    asked_at timestamptz NOT NULL
);

-- A link signs in once: `session_hash` is that of the session it was exchanged for.
CREATE TABLE library_links (
    token_hash   bytea PRIMARY KEY,     -- SHA-256 of the token in the link
    email        text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    session_hash bytea
);
CREATE INDEX library_links_recent ON library_links (lower(email), created_at);
CREATE INDEX library_links_over ON library_links (expires_at);

CREATE TABLE library_sessions (
    token_hash bytea PRIMARY KEY,       -- SHA-256 of the token in the cookie
    email      text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX library_sessions_over ON library_sessions (expires_at);

CREATE INDEX orders_of_buyer ON orders (lower(buyer_email), created_at DESC, id DESC);

-- Whether anything was bought with an address, of whichever seller.
CREATE FUNCTION orders_bought_with(p_email text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM orders WHERE lower(buyer_email) = lower(p_email));
$$;

CREATE FUNCTION library_ask(p_id text, p_email text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO library_asks (id, email, asked_at) VALUES (p_id, p_email, p_now) ON CONFLICT (id) DO NOTHING;
    PERFORM jobs_push(ARRAY[(derived_id('job_', 'library:' || p_id), 'library', 'library.invite', NULL, p_id, p_now)::job_new], p_now);
END
$$;

CREATE TYPE library_link AS (token_hash bytea, email text, created_at timestamptz, expires_at timestamptz);

-- Answers an ask together with the end of its job, and returns what came of it: `mailed`; `unknown`, when nothing was bought with the
-- address; `enough`, when `p_most` links were mailed to it since `p_since`; null, having done nothing, when the lease was lost. The job's
-- end locks the lane, so that two asks for one address are counted one after the other.
CREATE FUNCTION library_invite(
    p_ask text, p_link library_link, p_message message_new, p_since timestamptz, p_most int, p_job job_result, p_now timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM * FROM jobs_finish(ARRAY[p_job], p_now);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM library_asks WHERE id = p_ask;
    IF NOT orders_bought_with(p_link.email) THEN
        RETURN 'unknown';
    END IF;
    IF (SELECT count(*) FROM library_links WHERE lower(email) = lower(p_link.email) AND created_at > p_since) >= p_most THEN
        RETURN 'enough';
    END IF;
    INSERT INTO library_links (token_hash, email, created_at, expires_at)
    VALUES (p_link.token_hash, p_link.email, p_link.created_at, p_link.expires_at);
    PERFORM messages_queue(ARRAY[p_message], p_now);
    RETURN 'mailed';
END
$$;

-- Forgets up to `p_most` links and as many sessions that have run out: the links that ended before `p_before`, because those of the last
-- hour are still counted.
CREATE FUNCTION library_forget(p_before timestamptz, p_most int, p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM library_links WHERE token_hash IN (
        SELECT token_hash FROM library_links WHERE expires_at < p_before ORDER BY expires_at LIMIT p_most FOR UPDATE SKIP LOCKED);
    DELETE FROM library_sessions WHERE token_hash IN (
        SELECT token_hash FROM library_sessions WHERE expires_at < p_now ORDER BY expires_at LIMIT p_most FOR UPDATE SKIP LOCKED);
$$;

SELECT lane_ensure('library', 'library', NULL, 'sign-in links', 4, clock_timestamp());
