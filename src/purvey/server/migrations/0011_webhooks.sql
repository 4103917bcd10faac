-- Who wants to be told of events, and how far the telling has got.
-- Locks are taken in this order: lanes, jobs that are being run, deliveries, endpoints, jobs that wait.

CREATE TABLE endpoints (
    account_id       text NOT NULL,
    id               text NOT NULL UNIQUE,
    kind             text NOT NULL CHECK (kind IN ('listing_callback', 'account')),
    listing_id       text,                        -- null: the events of all listings
    name             text NOT NULL,
    url              text NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2048),
    lane_id          text NOT NULL REFERENCES lanes,
    events           text[] NOT NULL DEFAULT '{}' -- the types it wants; empty: all
                     CHECK (events <@ ARRAY['order.paid', 'order.fulfilled', 'order.refunded', 'order.disputed']),
    status           text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    disabled_reason  text CHECK (disabled_reason IN ('gone', 'removed', 'by_seller')),
    signature_format text NOT NULL DEFAULT 'body' CHECK (signature_format IN ('body', 'timestamped')),
    secret           bytea NOT NULL,              -- sealed
    previous_secret  bytea,                       -- sealed; signs beside the new one during the overlap of a rotation
    previous_until   timestamptz,
    rate_per_second  real CHECK (rate_per_second > 0),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (account_id, id),
    CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CHECK (kind = 'account' OR listing_id IS NOT NULL)
);
CREATE UNIQUE INDEX endpoints_callback ON endpoints (account_id, listing_id) WHERE kind = 'listing_callback';
CREATE INDEX endpoints_wanting ON endpoints (account_id, coalesce(listing_id, ''));

-- One event for one endpoint. It is made together with its event, so no foreign key is needed for that.
CREATE TABLE deliveries (
    account_id       text NOT NULL,
    id               text NOT NULL,
    endpoint_id      text NOT NULL,
    event_id         text NOT NULL,
    event_sequence   bigint NOT NULL,
    order_id         text,
    generation       int NOT NULL CHECK (generation > 0),   -- a replay is a new delivery of the same event
    status           text NOT NULL CHECK (status IN ('waiting', 'delivered', 'given_up', 'parked')),
    job_id           text,                        -- the one job that may work on it
    attempts         int NOT NULL DEFAULT 0,
    first_attempt_at timestamptz,                 -- since it last began to wait: what the schedule counts from
    next_attempt_at  timestamptz,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, event_id, endpoint_id, generation),
    FOREIGN KEY (account_id, endpoint_id) REFERENCES endpoints,
    CHECK ((status = 'waiting') = (job_id IS NOT NULL)),
    CHECK ((status = 'waiting') = (next_attempt_at IS NOT NULL)),
    CHECK ((status IN ('delivered', 'given_up')) = (finished_at IS NOT NULL))
);
CREATE INDEX deliveries_newest ON deliveries (account_id, endpoint_id, created_at DESC, id DESC);
-- Most are delivered; these are what people look for.
CREATE INDEX deliveries_others ON deliveries (account_id, endpoint_id, status, created_at DESC, id DESC) WHERE status <> 'delivered';

CREATE TABLE attempts (
    account_id  text NOT NULL,
    id          text NOT NULL,
    delivery_id text NOT NULL,
    number      int NOT NULL CHECK (number > 0),
    started_at  timestamptz NOT NULL,
    duration_ms int NOT NULL CHECK (duration_ms >= 0),
    status_code int,                              -- null: there was no answer
    stage       text,                             -- where it ended then
    error       text,                             -- and why
    answer      text CHECK (char_length(answer) <= 2048),
    address     text,                             -- the IP address that was talked to
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, delivery_id, number),
    FOREIGN KEY (account_id, delivery_id) REFERENCES deliveries,
    CHECK ((status_code IS NULL) = (stage IS NOT NULL)),
    CHECK ((stage IS NULL) = (error IS NULL))
);

-- Tells every endpoint that wants them of new events, in the transaction that appends them. The endpoints stay locked against
-- being disabled until the commit, so that whoever parks the deliveries of one misses none.
CREATE FUNCTION webhooks_fan_out() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    new_jobs job_new[];
    now_at   timestamptz;
BEGIN
    WITH wanted AS (
        SELECT fresh.account_id, fresh.id AS event_id, fresh.sequence, fresh.order_id, fresh.created_at,
               endpoint.id AS endpoint_id, endpoint.lane_id, endpoint.status = 'enabled' AS enabled,
               derived_id('dlv_', fresh.id || ':' || endpoint.id || ':1') AS delivery_id
        FROM fresh CROSS JOIN LATERAL (
            SELECT id, lane_id, status FROM endpoints
            WHERE endpoints.account_id = fresh.account_id AND coalesce(endpoints.listing_id, '') IN ('', coalesce(fresh.listing_id, ''))
                AND (cardinality(endpoints.events) = 0 OR fresh.type = ANY (endpoints.events))
            FOR SHARE
        ) endpoint
    ), made AS (
        INSERT INTO deliveries (account_id, id, endpoint_id, event_id, event_sequence, order_id, generation, status, job_id, next_attempt_at, created_at)
        SELECT account_id, delivery_id, endpoint_id, event_id, sequence, order_id, 1, CASE WHEN enabled THEN 'waiting' ELSE 'parked' END,
               CASE WHEN enabled THEN derived_id('job_', delivery_id) END, CASE WHEN enabled THEN created_at END, created_at
        FROM wanted
        RETURNING id, job_id, account_id, next_attempt_at
    )
    SELECT array_agg((made.job_id, wanted.lane_id, 'webhooks.deliver', made.account_id, made.id, made.next_attempt_at)::job_new),
           max(made.next_attempt_at)
    INTO new_jobs, now_at FROM made JOIN wanted ON wanted.delivery_id = made.id WHERE made.job_id IS NOT NULL;
    IF new_jobs IS NOT NULL THEN
        PERFORM jobs_push(new_jobs, now_at);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER webhooks_fan_out AFTER INSERT ON events REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION webhooks_fan_out();

-- Returns the lane of (account, URL), made if it is not there: endpoints with one URL share it.
CREATE FUNCTION webhooks_lane(p_account text, p_url text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    lane text := derived_id('webhook:' || p_account || ':', p_url);
BEGIN
    PERFORM lane_ensure(lane, 'webhook', p_account, p_url, 32, p_now);
    RETURN lane;
END
$$;

-- Parks the waiting deliveries of an endpoint that was disabled. One that is being sent parks itself when its next attempt is due.
CREATE FUNCTION webhooks_park(p_account text, p_endpoint text) RETURNS void
LANGUAGE sql AS $$
    WITH withdrawn AS (
        SELECT jobs_withdraw(ARRAY (
            SELECT job_id FROM deliveries WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'waiting'
        )) AS job_id
    )
    UPDATE deliveries SET status = 'parked', job_id = NULL, next_attempt_at = NULL FROM withdrawn
    WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'waiting' AND deliveries.job_id = withdrawn.job_id;
$$;

-- Lets the parked deliveries of an endpoint that was enabled wait again, with all their attempts before them.
CREATE FUNCTION webhooks_unpark(p_account text, p_endpoint text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    new_jobs job_new[];
BEGIN
    WITH resumed AS (
        UPDATE deliveries SET
            status = 'waiting', job_id = derived_id('job_', id || ':' || extract(epoch FROM p_now)), first_attempt_at = NULL, next_attempt_at = p_now
        WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'parked'
        RETURNING id, job_id
    )
    SELECT array_agg((resumed.job_id, endpoint.lane_id, 'webhooks.deliver', p_account, resumed.id, p_now)::job_new) INTO new_jobs
    FROM resumed, endpoints endpoint WHERE endpoint.account_id = p_account AND endpoint.id = p_endpoint;
    IF new_jobs IS NOT NULL THEN
        PERFORM jobs_push(new_jobs, p_now);
    END IF;
END
$$;

-- Disables an endpoint, if it is enabled and (unless `p_url` is null) still has the URL that gave the reason; returns whether it
-- is disabled now.
CREATE FUNCTION webhooks_disable(p_account text, p_endpoint text, p_reason text, p_url text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_disabled boolean;
BEGIN
    UPDATE endpoints SET status = 'disabled', disabled_reason = p_reason, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'enabled' AND (p_url IS NULL OR url = p_url);
    IF FOUND THEN
        PERFORM webhooks_park(p_account, p_endpoint);
    END IF;
    SELECT status = 'disabled' INTO now_disabled FROM endpoints WHERE account_id = p_account AND id = p_endpoint;
    RETURN coalesce(now_disabled, true);
END
$$;

-- Gives an endpoint another URL: its waiting deliveries go there, through that URL's lane.
CREATE FUNCTION webhooks_redirect(p_account text, p_endpoint text, p_url text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lane text := webhooks_lane(p_account, p_url, p_now);
BEGIN
    UPDATE endpoints SET url = p_url, lane_id = lane, updated_at = p_now WHERE account_id = p_account AND id = p_endpoint;
    PERFORM jobs_move(ARRAY (
        SELECT job_id FROM deliveries WHERE account_id = p_account AND endpoint_id = p_endpoint AND status = 'waiting'
    ), lane);
END
$$;

-- Makes, changes or (with `p_url` null) disables a listing's callback, in the transaction that changes the listing. Returns the
-- id of its endpoint, `p_endpoint_id` if it had none; null when it has no URL. A new URL enables an endpoint that was disabled.
CREATE FUNCTION webhooks_callback_set(
    p_account text, p_listing text, p_endpoint_id text, p_url text, p_secret bytea, p_now timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    endpoint endpoints;
BEGIN
    SELECT * INTO endpoint FROM endpoints
    WHERE account_id = p_account AND listing_id = p_listing AND kind = 'listing_callback' FOR NO KEY UPDATE;
    IF p_url IS NULL THEN
        PERFORM webhooks_disable(p_account, endpoint.id, 'removed', NULL, p_now);
        RETURN NULL;
    END IF;
    IF endpoint.id IS NULL THEN
        INSERT INTO endpoints (account_id, id, kind, listing_id, name, url, lane_id, secret, created_at, updated_at)
        VALUES (p_account, p_endpoint_id, 'listing_callback', p_listing, 'callback of ' || p_listing, p_url,
                webhooks_lane(p_account, p_url, p_now), p_secret, p_now, p_now);
        RETURN p_endpoint_id;
    END IF;
    UPDATE endpoints SET secret = p_secret, updated_at = p_now WHERE account_id = p_account AND id = endpoint.id;
    IF endpoint.url <> p_url THEN
        PERFORM webhooks_redirect(p_account, endpoint.id, p_url, p_now);
    END IF;
    IF endpoint.disabled_reason = 'removed' OR (endpoint.disabled_reason = 'gone' AND endpoint.url <> p_url) THEN
        PERFORM webhooks_enable(p_account, endpoint.id, p_now);
    END IF;
    RETURN endpoint.id;
END
$$;

-- Enables an endpoint and resumes what was parked meanwhile.
CREATE FUNCTION webhooks_enable(p_account text, p_endpoint text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE endpoints SET status = 'enabled', disabled_reason = NULL, updated_at = p_now
    WHERE account_id = p_account AND id = p_endpoint AND status = 'disabled';
    PERFORM webhooks_unpark(p_account, p_endpoint, p_now);
END
$$;

-- What came of one job: the delivery's new status and, unless `started_at` is null, the attempt that was made.
CREATE TYPE webhook_result AS (
    account_id text, delivery_id text, job_id text, lease_token uuid, attempt int, status text, next_at timestamptz, target text,
    attempt_id text, started_at timestamptz, duration_ms int, status_code int, stage text, error text, answer text, address text
);

-- Records results, and returns the ids of the jobs that still held their lease; for the others nothing is written. A retry goes
-- on in the lane that the endpoint has now.
CREATE FUNCTION webhooks_record(p_results webhook_result[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held text[];
BEGIN
    held := ARRAY (SELECT jobs_finish(ARRAY (
        SELECT (r.job_id, r.lease_token, r.next_at, r.attempt + 1, endpoint.lane_id, r.target)::job_result
        FROM unnest(p_results) r
        LEFT JOIN deliveries delivery ON delivery.account_id = r.account_id AND delivery.id = r.delivery_id
        LEFT JOIN endpoints endpoint ON endpoint.account_id = r.account_id AND endpoint.id = delivery.endpoint_id
    ), p_now));
    WITH told AS (
        UPDATE deliveries SET
            status = r.status,
            attempts = attempts + CASE WHEN r.started_at IS NULL THEN 0 ELSE 1 END,
            first_attempt_at = coalesce(first_attempt_at, r.started_at),
            next_attempt_at = r.next_at,
            job_id = CASE WHEN r.status = 'waiting' THEN deliveries.job_id END,
            finished_at = CASE WHEN r.status IN ('delivered', 'given_up') THEN p_now END
        FROM unnest(p_results) r
        WHERE deliveries.account_id = r.account_id AND deliveries.id = r.delivery_id AND deliveries.job_id = r.job_id AND r.job_id = ANY (held)
        RETURNING deliveries.account_id, deliveries.id, deliveries.attempts
    )
    INSERT INTO attempts (account_id, id, delivery_id, number, started_at, duration_ms, status_code, stage, error, answer, address)
    SELECT r.account_id, r.attempt_id, r.delivery_id, told.attempts, r.started_at, r.duration_ms, r.status_code, r.stage, r.error, r.answer, r.address
    FROM unnest(p_results) r JOIN told ON told.account_id = r.account_id AND told.id = r.delivery_id
    WHERE r.started_at IS NOT NULL;
    RETURN QUERY SELECT unnest(held);
END
$$;
