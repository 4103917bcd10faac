-- Uploads. A row is there before the first byte, together with the job that removes both, so that whatever dies in between leaves
-- nothing behind. What may follow what is in files/model.py.

CREATE TABLE files (
    account_id   text NOT NULL,
    id           text NOT NULL,
    status       text NOT NULL CHECK (status IN ('arriving', 'waiting', 'attached', 'leaving')),
    filename     text NOT NULL,
    content_type text NOT NULL,
    blob         text NOT NULL UNIQUE,      -- its name in the storage, made by chance
    size         bigint CHECK (size > 0),
    sha256       bytea CHECK (length(sha256) = 32),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,               -- null: it is attached, and stays
    PRIMARY KEY (account_id, id),
    CHECK ((status = 'attached') = (expires_at IS NULL)),
    CHECK (status NOT IN ('waiting', 'attached') OR (size IS NOT NULL AND sha256 IS NOT NULL))
);

CREATE FUNCTION files_begin(
    p_account_id text, p_id text, p_filename text, p_content_type text, p_blob text, p_now timestamptz, p_expires_at timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO files (account_id, id, status, filename, content_type, blob, created_at, expires_at)
    VALUES (p_account_id, p_id, 'arriving', p_filename, p_content_type, p_blob, p_now, p_expires_at)
    ON CONFLICT (account_id, id) DO NOTHING;
    PERFORM jobs_push(
        ARRAY[(derived_id('job_', 'files.remove:' || p_id), 'files', 'files.remove', p_account_id, p_id, p_expires_at)::job_new], p_now);
END
$$;

-- Has the files stay, in the transaction of what names them. Raises PVF01 for one that is not there, or whose time is over.
CREATE FUNCTION files_attach(p_account_ids text[], p_ids text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    IF cardinality(p_ids) = 0 THEN
        RETURN;
    END IF;
    PERFORM 1 FROM files JOIN unnest(p_account_ids, p_ids) AS named (account_id, id) USING (account_id, id)
    WHERE status = 'waiting' ORDER BY files.account_id, files.id FOR NO KEY UPDATE OF files;
    UPDATE files SET status = 'attached', expires_at = NULL
    FROM unnest(p_account_ids, p_ids) AS named (account_id, id)
    WHERE files.account_id = named.account_id AND files.id = named.id AND status = 'waiting' AND expires_at > p_now;
    SELECT named.id INTO missing FROM unnest(p_account_ids, p_ids) AS named (account_id, id)
    WHERE NOT EXISTS (
        SELECT FROM files WHERE files.account_id = named.account_id AND files.id = named.id AND status = 'attached'
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PVF01', MESSAGE = format('the file %s cannot be attached', missing);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION deliverables_make(p_deliverables deliverable_new[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM files_attach(array_agg(d.account_id), array_agg(d.token), p_now) FROM unnest(p_deliverables) d
    WHERE d.token IS NOT NULL HAVING count(*) > 0;
    INSERT INTO deliverables (account_id, id, order_id, type, value, token, format, created_at)
    SELECT d.account_id, d.id, d.order_id, d.type, d.value, d.token, d.format, p_now FROM unnest(p_deliverables) d;
END
$$;

SELECT lane_ensure('files', 'files', NULL, 'the file storage', 8, clock_timestamp());
