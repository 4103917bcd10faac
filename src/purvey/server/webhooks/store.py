"""All SQL of webhooks."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.jobs.model import Job
from purvey.server.kit.database import Connection, Database
from purvey.server.kit.paging import Position
from purvey.server.webhooks.explaining import MOST_AHEAD, Facts
from purvey.server.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryFilters,
    Due,
    Endpoint,
    Record,
    Redelivered,
    Replay,
    ReplayPlan,
)

JOB = "webhooks.deliver"
"""The kind of the jobs that the trigger on the log makes."""

_DELIVERY = """
SELECT delivery.id, endpoint_id, event_id, event.type AS event_type, delivery.order_id, generation, status,
       delivery.attempts AS attempt_count, next_attempt_at, delivery.created_at, finished_at
FROM deliveries delivery JOIN events event ON event.account_id = delivery.account_id AND event.sequence = delivery.event_sequence
"""


async def due(database: Database, jobs: Sequence[Job]) -> list[Due | None]:
    """Return what each job is to deliver; None where the delivery is settled, or another job's."""
    rows = await database.rows(
        """
        SELECT delivery.account_id, delivery.id AS delivery_id, first_attempt_at, attempts, endpoint_id,
               endpoint.status AS endpoint_status, url, signature_format, secret, previous_secret, previous_until,
               event.id AS event_id, event.type AS event_type, body
        FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS job (account_id, ref, id, place)
        LEFT JOIN deliveries delivery
            ON delivery.account_id = job.account_id AND delivery.id = job.ref AND delivery.job_id = job.id
        LEFT JOIN endpoints endpoint ON endpoint.account_id = delivery.account_id AND endpoint.id = endpoint_id
        LEFT JOIN events event ON event.account_id = delivery.account_id AND event.sequence = event_sequence
        ORDER BY place
        """,
        [job.account_id for job in jobs],
        [job.ref for job in jobs],
        [job.id for job in jobs],
    )
    return [Due(*row) if row["event_id"] is not None else None for row in rows]


async def record(database: Database, records: Sequence[Record], now: datetime) -> set[str]:
    """Record results and return the ids of the jobs that still held their lease; for the others nothing is written."""
    rows = await database.write(
        "SELECT webhooks_record($1::webhook_result[], $2) AS job_id",
        [msgspec.structs.astuple(record) for record in records],
        now,
        again=True,
    )
    return {row["job_id"] for row in rows}


async def disable_gone(database: Database, due: Due, now: datetime) -> bool:
    """Disable the endpoint that answered 410, unless it has another URL by now; return whether it is disabled."""
    rows = await database.write(
        "SELECT webhooks_disable($1, $2, 'gone', $3, $4) AS disabled",
        due.account_id,
        due.endpoint_id,
        due.url,
        now,
        again=True,
    )
    return bool(rows[0]["disabled"])


async def has_endpoint(database: Database, account_id: str, endpoint_id: str) -> bool:
    """Return whether the account has this endpoint."""
    found = await database.value("SELECT 1 FROM endpoints WHERE account_id = $1 AND id = $2", account_id, endpoint_id)
    return found is not None


async def deliveries_page(
    database: Database,
    account_id: str,
    endpoint_id: str,
    wanted: DeliveryFilters,
    *,
    after: Position | None,
    limit: int,
) -> list[Delivery]:
    """Return up to `limit` deliveries of the endpoint, the newest first, beginning after the place `after`."""
    args: list[object] = [account_id, endpoint_id, limit]
    conditions = ["delivery.account_id = $1", "endpoint_id = $2"]
    if wanted.status is not None:
        # Spelled out, because only then PostgreSQL knows that the partial index holds them.
        conditions.append(f"status = '{wanted.status.value}'")
    if wanted.event_id is not None:
        args.append(wanted.event_id)
        conditions.append(f"event_id = ${len(args)}")
    if wanted.order_id is not None:
        args.append(wanted.order_id)
        events = f"SELECT id FROM events WHERE account_id = $1 AND order_id = ${len(args)}"
        conditions.append(f"event_id IN ({events})")
    if after is not None:
        args += [after.created_at, after.id]
        conditions.append(f"(delivery.created_at, delivery.id) < (${len(args) - 1}, ${len(args)})")
    rows = await database.rows(
        f"{_DELIVERY} WHERE {' AND '.join(conditions)} ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT $3",
        *args,
    )
    return [msgspec.convert(dict(row), Delivery) for row in rows]


async def delivery(source: "Database | Connection", account_id: str, delivery_id: str) -> Delivery | None:
    """Return one delivery, or None."""
    read = source.row if isinstance(source, Database) else source.fetchrow
    row = await read(f"{_DELIVERY} WHERE delivery.account_id = $1 AND delivery.id = $2", account_id, delivery_id)
    return None if row is None else msgspec.convert(dict(row), Delivery)


async def attempts(database: Database, account_id: str, delivery_id: str) -> list[Attempt]:
    """Return the attempts of a delivery, the first one first."""
    rows = await database.rows(
        "SELECT id, number, started_at, duration_ms, status_code, stage, error, answer, address FROM attempts"
        " WHERE account_id = $1 AND delivery_id = $2 ORDER BY number",
        account_id,
        delivery_id,
    )
    return [msgspec.convert(dict(row), Attempt) for row in rows]


_ENDPOINT = """
SELECT endpoint.id, endpoint.account_id, endpoint.kind, listing_id, name, url, events, status, disabled_reason, signature_format,
       endpoint.rate_per_second, secret, previous_secret, previous_until, endpoint.created_at, updated_at, breaker, failed_in_row,
       held_until
FROM {} endpoint JOIN lanes ON lanes.id = endpoint.lane_id
"""
_ENDPOINTS = _ENDPOINT.format("endpoints")


async def endpoints_page(database: Database, account_id: str, *, after: Position | None, limit: int) -> list[Endpoint]:
    """Return up to `limit` of the account's endpoints of both kinds, the newest first, beginning after the place `after`."""
    args: list[object] = [account_id, limit]
    conditions = "endpoint.account_id = $1 AND status <> 'deleted'"
    if after is not None:
        args += [after.created_at, after.id]
        conditions += " AND (endpoint.created_at, endpoint.id) < ($3, $4)"
    rows = await database.rows(
        f"{_ENDPOINTS} WHERE {conditions} ORDER BY endpoint.created_at DESC, endpoint.id DESC LIMIT $2", *args
    )
    return [Endpoint(**row) for row in rows]


async def endpoint(source: "Database | Connection", account_id: str, endpoint_id: str) -> Endpoint | None:
    """Return an endpoint that is not deleted, or None."""
    sql = f"{_ENDPOINTS} WHERE endpoint.account_id = $1 AND endpoint.id = $2 AND status <> 'deleted'"
    read = source.row if isinstance(source, Database) else source.fetchrow
    row = await read(sql, account_id, endpoint_id)
    return None if row is None else Endpoint(**row)


async def locked(
    connection: Connection, account_id: str, endpoint_id: str, url: str | None, now: datetime
) -> Endpoint | None:
    """Return an endpoint that nobody else changes until the commit, or None. `url` is where it is to go, if elsewhere."""
    row = await connection.fetchrow(
        _ENDPOINT.format("webhooks_lock($1, $2, $3, $4)"), account_id, endpoint_id, url, now
    )
    return None if row is None else Endpoint(**row)


async def own_endpoints(connection: Connection, account_id: str) -> int:
    """Return how many endpoints of its own the account has; until the commit nobody else makes one for it."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('webhooks_endpoints:' || $1, 0))", account_id
    )
    sql = "SELECT count(*) FROM endpoints WHERE account_id = $1 AND kind = 'account' AND status <> 'deleted'"
    found: int = await connection.fetchval(sql, account_id)
    return found


async def has_listing(connection: Connection, account_id: str, listing_id: str) -> bool:
    """Return whether the account has this listing."""
    found: bool = await connection.fetchval("SELECT listings_has($1, $2)", account_id, listing_id)
    return found


async def make_endpoint(connection: Connection, made: Endpoint) -> None:
    """Make an endpoint of the account's own."""
    await connection.execute(
        "SELECT webhooks_endpoint_make($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        made.account_id,
        made.id,
        made.name,
        made.url,
        made.events,
        made.listing_id,
        made.status,
        made.signature_format,
        made.rate_per_second,
        made.secret,
        made.created_at,
    )


async def set_endpoint(connection: Connection, changed: Endpoint) -> None:
    """Change a locked endpoint, all but its secrets, and let what waits for it follow."""
    await connection.execute(
        "SELECT webhooks_endpoint_set($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        changed.account_id,
        changed.id,
        changed.name,
        changed.url,
        changed.events,
        changed.listing_id,
        changed.status,
        changed.signature_format,
        changed.rate_per_second,
        changed.updated_at,
    )


async def set_secret(connection: Connection, changed: Endpoint, until: datetime | None) -> None:
    """Let a locked endpoint sign with another secret, and with the one before it too until `until`, if that is given."""
    await connection.execute(
        "UPDATE endpoints SET previous_secret = CASE WHEN $4::timestamptz IS NOT NULL THEN secret END, previous_until = $4,"
        " secret = $3, updated_at = $5 WHERE account_id = $1 AND id = $2",
        changed.account_id,
        changed.id,
        changed.secret,
        until,
        changed.updated_at,
    )


async def delete_endpoint(connection: Connection, endpoint: Endpoint, now: datetime) -> None:
    """Delete a locked endpoint; what waits for it is parked."""
    await connection.execute("SELECT webhooks_endpoint_delete($1, $2, $3)", endpoint.account_id, endpoint.id, now)


async def retry(connection: Connection, account_id: str, delivery_id: str, now: datetime) -> str | None:
    """Have a delivery attempted at once; return the id of the one that is, None when its endpoint is not enabled."""
    found: str | None = await connection.fetchval("SELECT webhooks_retry($1, $2, $3)", account_id, delivery_id, now)
    return found


async def redeliver(
    database: Database, account_id: str, order_id: str, key_id: str, per_order: int, per_key: int, now: datetime
) -> Redelivered:
    """Tell an order's events again, unless that was asked too often within an hour for the order or with the key."""
    rows = await database.write(
        "SELECT scheduled, again_at FROM webhooks_redeliver($1, $2, $3, $4, $5, $6)",
        account_id,
        order_id,
        key_id,
        per_order,
        per_key,
        now,
    )
    return Redelivered(*rows[0])


async def sequence_of(connection: Connection, account_id: str, event_id: str) -> int | None:
    """Return the event's place in the log, or None when the account has no such event."""
    found: int | None = await connection.fetchval(
        "SELECT sequence FROM events WHERE account_id = $1 AND id = $2", account_id, event_id
    )
    return found


async def begin_replay(connection: Connection, plan: ReplayPlan, most: int, busy: int, now: datetime) -> Replay:
    """Begin a replay, or count what it would tell."""
    row = await connection.fetchrow(
        f"SELECT {_REPLAY} FROM webhooks_replay_begin($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        *msgspec.structs.astuple(plan),
        most,
        busy,
        now,
    )
    assert row is not None  # noqa: S101  # the function returns one row
    replay = Replay(**row)
    return msgspec.structs.replace(replay, id=None, status="dry_run") if plan.dry_run else replay


async def go_on_with_replay(
    database: Database, account_id: str, replay_id: str, most: int, busy: int, now: datetime
) -> str:
    """Tell up to `most` more events of a replay; return its status, or `busy` when as many jobs wait as `busy` says."""
    rows = await database.write(
        "SELECT webhooks_replay_on($1, $2, $3, $4, $5) AS status", account_id, replay_id, most, busy, now
    )
    return str(rows[0]["status"])


async def follow(
    database: Database, account_id: str, endpoint_id: str, lane: str | None, most: int, now: datetime
) -> bool:
    """Let up to `most` deliveries follow their endpoint as it is now, out of `lane` if given; return whether there may be more."""
    rows = await database.write(
        "SELECT webhooks_follow($1, $2, $3, $4, $5) AS more", account_id, endpoint_id, lane, most, now, again=True
    )
    return bool(rows[0]["more"])


async def replay(database: Database, account_id: str, replay_id: str) -> Replay | None:
    """Return one replay, or None."""
    row = await database.row(f"SELECT {_REPLAY} FROM replays WHERE account_id = $1 AND id = $2", account_id, replay_id)
    return None if row is None else Replay(**row)


_REPLAY = "id, endpoint_id, status, found, made, created_at, finished_at"


async def facts_of(database: Database, account_id: str, delivery_id: str) -> Facts:
    """Return what is known beside a delivery that is there: its endpoint, its lane, its job, and how many are before it."""
    row = await database.row(
        f"""
        SELECT url, endpoint.status AS endpoint_status, disabled_reason, breaker, failed_in_row, held_until, in_flight,
               max_in_flight, room, job.due_at, leased_until, (SELECT count(*) FROM (
                   SELECT FROM jobs other WHERE other.lane_id = job.lane_id AND other.lease_token IS NULL
                       AND (other.due_at, other.id) < (job.due_at, job.id) LIMIT {MOST_AHEAD}) before) AS ahead
        FROM deliveries delivery
        JOIN endpoints endpoint ON endpoint.account_id = delivery.account_id AND endpoint.id = delivery.endpoint_id
        JOIN lanes lane ON lane.id = endpoint.lane_id
        LEFT JOIN jobs job ON job.id = delivery.job_id
        WHERE delivery.account_id = $1 AND delivery.id = $2
        """,
        account_id,
        delivery_id,
    )
    assert row is not None  # noqa: S101  # a delivery is removed together with nothing that is asked for here
    return Facts(**row)
