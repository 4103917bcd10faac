-- What is for sale.

CREATE TABLE listings (
    id                      text PRIMARY KEY,
    account_id              text NOT NULL REFERENCES accounts,
    version                 int NOT NULL DEFAULT 1,
    status                  text NOT NULL CHECK (status IN ('draft', 'published', 'archived')),
    slug                    text NOT NULL,
    name                    text NOT NULL,
    price                   bigint NOT NULL CHECK (price >= 0),          -- minor units; 0 is free
    currency                text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    content_type            text NOT NULL CHECK (content_type IN ('static', 'generated', 'webhook', 'dynamic')),
    checkout_schema         json NOT NULL,
    deliverables            text[] NOT NULL DEFAULT '{}' CHECK (cardinality(deliverables) <= 3),   -- FU-7; ids, in the order shown
    page                    json NOT NULL,      -- what only the product page shows: description, highlights, faqs ...
    metadata                json NOT NULL,
    agent_callback_url      text,
    callback_endpoint_id    text,               -- the webhooks room's endpoint for it; kept when the URL goes
    signing_secret          bytea NOT NULL,     -- sealed
    signing_preview         text NOT NULL,      -- its last four characters
    signing_before          bytea,              -- the secret before it, sealed, which still signs until then
    signing_before_until    timestamptz,
    dynamic_webhook         text,
    dynamic_secret          bytea,              -- sealed
    dynamic_preview         text,
    dynamic_before          bytea,
    dynamic_before_until    timestamptz,
    on_callback_failure     text NOT NULL CHECK (on_callback_failure IN ('pending', 'generated')),
    grant_after             int NOT NULL CHECK (grant_after > 0),        -- hours that a grant lives (FU-11)
    grant_downloads         int NOT NULL CHECK (grant_downloads > 0),
    fulfill_within          int CHECK (fulfill_within > 0),              -- seconds
    on_late                 text NOT NULL CHECK (on_late IN ('remind', 'refund', 'fallback')),
    late_text               text,
    stock                   int CHECK (stock >= 0),                      -- null: unlimited
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL,
    published_at            timestamptz,
    CHECK (status <> 'published' OR published_at IS NOT NULL),
    CHECK (content_type = 'static' OR cardinality(deliverables) = 0),   -- only static listings hold content
    CHECK (dynamic_webhook IS NULL OR content_type = 'dynamic'),
    CHECK ((dynamic_webhook IS NULL) = (dynamic_secret IS NULL)),
    CHECK ((dynamic_secret IS NULL) = (dynamic_preview IS NULL)),
    CHECK ((agent_callback_url IS NULL) OR (callback_endpoint_id IS NOT NULL)),
    CHECK ((signing_before IS NULL) = (signing_before_until IS NULL)),
    CHECK ((dynamic_before IS NULL) = (dynamic_before_until IS NULL))
);
CREATE INDEX listings_account ON listings (account_id, created_at DESC, id DESC);

-- What a buyer receives. A row never changes: a listing or an order names the rows that are its own, so that what was
-- sold stays what it was when the listing moves on.
CREATE TABLE deliverables (
    account_id text NOT NULL,
    id         text NOT NULL,
    order_id   text,                            -- the order it was made for; null: a listing's
    type       text NOT NULL CHECK (type IN ('file', 'url', 'text')),
    value      text,                            -- the URL or the text
    token      text,                            -- the file's id
    format     text CHECK (format = 'markdown'),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, id),
    CHECK ((type = 'file') = (token IS NOT NULL)),
    CHECK ((type = 'file') = (value IS NULL)),
    CHECK (format IS NULL OR type = 'text')
);

CREATE TYPE deliverable_new AS (account_id text, id text, order_id text, type text, value text, token text, format text);

CREATE FUNCTION deliverables_make(p_deliverables deliverable_new[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO deliverables (account_id, id, order_id, type, value, token, format, created_at)
    SELECT d.account_id, d.id, d.order_id, d.type, d.value, d.token, d.format, p_now FROM unnest(p_deliverables) d;
$$;
