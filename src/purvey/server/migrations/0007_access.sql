-- A buyer's right to open the content, and each use of it.

CREATE TABLE grants (
    account_id    text NOT NULL,
    id            text NOT NULL UNIQUE,
    order_id      text NOT NULL,
    max_downloads int NOT NULL CHECK (max_downloads > 0),
    downloads     int NOT NULL DEFAULT 0 CHECK (downloads BETWEEN 0 AND max_downloads),   -- n never becomes n + 1
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX grants_live ON grants (account_id, order_id) WHERE revoked_at IS NULL;

CREATE TABLE downloads (
    account_id     text NOT NULL,
    id             text NOT NULL,
    grant_id       text NOT NULL,
    deliverable_id text NOT NULL,
    opened_at      timestamptz NOT NULL,
    leased_until   timestamptz NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX downloads_grant ON downloads (account_id, grant_id, opened_at);

CREATE TYPE grant_new AS (account_id text, id text, order_id text, max_downloads int, expires_at timestamptz);

CREATE FUNCTION grants_make(p_grants grant_new[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO grants (account_id, id, order_id, max_downloads, created_at, expires_at)
    SELECT g.account_id, g.id, g.order_id, g.max_downloads, p_now, g.expires_at FROM unnest(p_grants) g;
$$;
