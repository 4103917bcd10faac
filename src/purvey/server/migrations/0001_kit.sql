-- What the installation knows of itself.

CREATE TABLE installation (
    key   text PRIMARY KEY,
    value bytea NOT NULL
);

-- A 22-character id for a row that follows from another row: the same seed gives the same id, so that writing it twice writes it once.
CREATE FUNCTION derived_id(p_prefix text, p_seed text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_prefix || translate(encode(substring(sha256(convert_to(p_seed, 'UTF8')) FROM 1 FOR 16), 'base64'), '+/=', '01');

-- An instant as the API writes it.
CREATE FUNCTION rfc3339(p_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
