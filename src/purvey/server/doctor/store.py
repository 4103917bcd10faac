"""All SQL of the room; it only reads."""

from datetime import datetime, timedelta

import msgspec

from purvey.server.kit.database import Database


class Facts(msgspec.Struct, frozen=True):
    """What a PostgreSQL server says about itself and about who asks."""

    version: str
    is_standby: bool
    is_superuser: bool
    may_create: bool
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    autovacuum: str
    track_counts: str
    connections: int


async def facts(database: Database) -> Facts:
    """Ask the server about itself."""
    row = await database.row("""
        SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby,
               (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
               coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
               current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
               current_setting('synchronous_commit') AS synchronous_commit, current_setting('autovacuum') AS autovacuum,
               current_setting('track_counts') AS track_counts,
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections
    """)
    assert row  # noqa: S101  # for the type checker: without FROM there is always one
    return Facts(**dict(row))


async def instant(database: Database) -> datetime:
    """Return what time it is for the database."""
    found: datetime = await database.value("SELECT clock_timestamp()")
    return found


async def broken_targets(database: Database, most: int) -> list[str]:
    """Return where lanes with an open breaker lead, up to `most` of them."""
    rows = await database.rows(
        "SELECT target FROM lanes WHERE breaker = 'open' AND first_at IS NOT NULL ORDER BY first_at LIMIT $1", most
    )
    return [row["target"] for row in rows]


async def disabled_endpoints(database: Database) -> dict[str, int]:
    """Return how many endpoints are disabled, by the reason."""
    rows = await database.rows(
        "SELECT disabled_reason, count(*) AS n FROM endpoints WHERE status = 'disabled' GROUP BY disabled_reason"
    )
    return {row["disabled_reason"]: row["n"] for row in rows}


async def unsettled_notices(database: Database, within: timedelta) -> tuple[int, int]:
    """Return how many notices about money wait for more than an hour, and how many were refused lately."""
    row = await database.row(
        """
        SELECT count(*) FILTER (WHERE outcome IS NULL AND received_at < clock_timestamp() - interval '1 hour') AS waiting,
               count(*) FILTER (WHERE outcome = 'refused') AS refused
        FROM notices WHERE received_at > clock_timestamp() - $1::interval
        """,
        within,
    )
    return (row["waiting"], row["refused"]) if row else (0, 0)
