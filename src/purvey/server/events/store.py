"""All SQL of the event log."""

from purvey.server.events.model import Filters
from purvey.server.kit.database import Database, Record


async def sequence_of(database: Database, account_id: str, event_id: str) -> int | None:
    """Return the event's sequence, or None when this account has no such event."""
    found: int | None = await database.value(
        "SELECT sequence FROM events WHERE account_id = $1 AND id = $2", account_id, event_id
    )
    return found


async def body_of(database: Database, account_id: str, event_id: str) -> str | None:
    """Return the event as stored, or None."""
    found: str | None = await database.value(
        "SELECT body FROM events WHERE account_id = $1 AND id = $2", account_id, event_id
    )
    return found


async def read(
    database: Database, account_id: str, filters: Filters, *, start: int | None, newest_first: bool, limit: int
) -> list[Record]:
    """Return up to `limit` events beyond the sequence `start` in the direction asked for, as (id, body)."""
    args: list[object] = [account_id, limit]
    conditions = ["account_id = $1"]
    for column in ("type", "listing_id", "order_id"):
        value = getattr(filters, column)
        if value is not None:
            args.append(str(value))
            conditions.append(f"{column} = ${len(args)}")
    if start is not None:
        args.append(start)
        conditions.append(f"sequence {'<' if newest_first else '>'} ${len(args)}")
    direction = "DESC" if newest_first else "ASC"
    return await database.rows(
        f"SELECT id, body FROM events WHERE {' AND '.join(conditions)} ORDER BY sequence {direction} LIMIT $2", *args
    )
