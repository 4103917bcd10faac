-- Whose payments Stripe takes, where it is not the installation's own: an account with its own key, or a connected account that the
-- installation's key acts for.
CREATE TABLE stripe_merchants (
    account_id       text PRIMARY KEY REFERENCES accounts,
    secret_key       bytea,                  -- sealed
    webhook_secret   bytea,                  -- sealed
    stripe_account   text,
    fee_basis_points int NOT NULL DEFAULT 0 CHECK (fee_basis_points BETWEEN 0 AND 10000),   -- the installation's share: 100 is 1 %
    updated_at       timestamptz NOT NULL,
    CHECK ((secret_key IS NULL) <> (stripe_account IS NULL)),
    CHECK ((secret_key IS NULL) = (webhook_secret IS NULL)),
    CHECK (fee_basis_points = 0 OR stripe_account IS NOT NULL)
);

-- What Stripe said of an account at Stripe last. `owner` is the account whose own key was used, or '' for the installation's;
-- `stripe_account` the connected account, or ''.
CREATE TABLE stripe_standings (
    owner           text NOT NULL,
    stripe_account  text NOT NULL,
    charges_enabled boolean NOT NULL,
    due             text[] NOT NULL,         -- what Stripe wants to know
    disabled_reason text,
    told_at         timestamptz NOT NULL,
    PRIMARY KEY (owner, stripe_account)
);

-- The sessions that we opened, before anybody could pay them: only these can pay for anything.
CREATE TABLE stripe_sessions (
    id             text PRIMARY KEY,
    checkout_id    text NOT NULL UNIQUE,
    account_id     text NOT NULL,            -- who sells
    owner          text,
    stripe_account text,
    opened_at      timestamptz NOT NULL
);

-- Their payments, by Stripe's payment intents: more than one when a session was paid twice.
CREATE TABLE stripe_payments (
    reference  text PRIMARY KEY,
    session_id text NOT NULL REFERENCES stripe_sessions
);
