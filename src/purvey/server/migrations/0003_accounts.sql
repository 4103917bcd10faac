-- Sellers and their API keys.

CREATE TABLE accounts (
    id         text PRIMARY KEY,
    email      text NOT NULL,
    name       text NOT NULL,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),   -- the default of its listings
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));

CREATE TABLE api_keys (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    name       text NOT NULL,
    hash       bytea NOT NULL UNIQUE,   -- SHA-256 of the key; the key itself is shown once
    preview    text NOT NULL,           -- its last four characters
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX api_keys_account ON api_keys (account_id);
