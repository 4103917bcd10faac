-- How many requests each caller may still make: a bucket that fills by `limit` a minute and holds as many. Unlogged, because a
-- crash may forget it; so taking from it waits for no disk.
CREATE UNLOGGED TABLE rate_limits (
    bucket   text PRIMARY KEY,
    room     double precision NOT NULL,
    granted  int NOT NULL,              -- by the statement that wrote the row last, which returns it
    taken_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Takes as many of `p_wants[i]` as there is room for in bucket i, and returns for each bucket how many were granted and what is left.
CREATE FUNCTION rate_limits_take(p_buckets text[], p_wants int[], p_limit int, p_now timestamptz)
RETURNS TABLE (taken_from text, granted int, room double precision)
LANGUAGE sql AS $$
    INSERT INTO rate_limits AS b (bucket, room, granted, taken_at)
    SELECT bucket, p_limit - least(want, p_limit), least(want, p_limit), p_now
    FROM unnest(p_buckets, p_wants) AS asked (bucket, want) ORDER BY bucket
    ON CONFLICT (bucket) DO UPDATE SET (room, granted, taken_at) = (
        SELECT filled - taken, taken, greatest(b.taken_at, p_now)
        FROM (SELECT least(p_limit, b.room + p_limit / 60.0 * greatest(0, extract(epoch FROM p_now - b.taken_at))) AS filled) bucket,
             LATERAL (SELECT least(asked.want, floor(filled + 1e-6)::int) AS taken
                      FROM unnest(p_buckets, p_wants) AS asked (bucket, want) WHERE asked.bucket = b.bucket) share
    )
    RETURNING b.bucket, b.granted, b.room;
$$;
