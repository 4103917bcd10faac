"""All SQL of the event log."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from purvey.server.events.model import Filters
from purvey.server.kit.database import Database, Record

EXPIRE = "events.expire"
"""The one job that lets old events go."""
LANE = "events"

LARGEST = 2**63 - 1
"""A sequence that no event has."""

FRESH = """
SELECT event.* FROM unnest($1::text[], $2::bigint[]) AS watched (account_id, seen) CROSS JOIN LATERAL (
    SELECT account_id, sequence, id, type, listing_id, order_id, body FROM events
    WHERE events.account_id = watched.account_id AND sequence > watched.seen ORDER BY sequence LIMIT $3
) event
"""


async def sequence_of(database: Database, account_id: str, event_id: str) -> int | None:
    """Return the event's sequence, or None when this account has no such event."""
    found: int | None = await database.value(
        "SELECT sequence FROM events WHERE account_id = $1 AND id = $2", account_id, event_id
    )
    return found


async def last_sequence(database: Database, account_id: str) -> int:
    """Return the sequence of the account's newest event, 0 before the first."""
    found: int | None = await database.value(
        "SELECT last_sequence FROM event_streams WHERE account_id = $1", account_id
    )
    return found or 0


async def fresh(database: Database, seen: Mapping[str, int], most: int) -> list[Record]:
    """Return of each account the events beyond the sequence that was seen, the first `most` of them, in order."""
    return await database.rows(FRESH, list(seen), list(seen.values()), most)


async def body_of(database: Database, account_id: str, event_id: str) -> str | None:
    """Return the event as stored, or None."""
    found: str | None = await database.value(
        "SELECT body FROM events WHERE account_id = $1 AND id = $2", account_id, event_id
    )
    return found


async def read(
    database: Database, account_id: str, filters: Filters, *, start: int | None, newest_first: bool, limit: int
) -> list[Record]:
    """Return up to `limit` events beyond the sequence `start` in the direction asked for, as (sequence, id, type, body)."""
    sql, args = page_query(account_id, filters, start=start, newest_first=newest_first, limit=limit)
    return await database.rows(sql, *args)


def page_query(
    account_id: str, filters: Filters, *, start: int | None, newest_first: bool, limit: int
) -> tuple[str, Sequence[object]]:
    """Return the statement that reads a page.

    It is a walk along one index, as long as the page, whatever the planner thinks of how rare something is. The column of the
    narrowest filter is bounded, not equated, or else the planner would know it does not matter for the order: as it is no other
    index has the order that is asked for. The walk begins at the row comparison and ends at the bound, because before version 18
    PostgreSQL ends none at a row comparison. What else is to fit is looked at on the way, in a form that no index is chosen by.
    """
    narrowest = _narrowest(filters)
    given = filters.given()
    onward, until, direction = ("<", ">=", "DESC") if newest_first else (">", "<=", "ASC")
    places = {column: f"${place}" for place, (column, _) in enumerate(given, 4)}
    bounds, order = f"sequence {onward} $2", f"sequence {direction}"
    if narrowest:
        place = places.pop(narrowest)
        bounds = f"({narrowest}, sequence) {onward} ({place}, $2) AND {narrowest} {until} {place}"
        order = f"{narrowest} {direction}, {order}"
    others = "".join(f" AND coalesce({column} = {place}, false)" for column, place in places.items())
    sql = f"""
        SELECT sequence, id, type, body FROM events WHERE account_id = $1 AND {bounds}{others} ORDER BY {order} LIMIT $3
    """
    # No event has sequence 0, or the largest.
    return sql, [account_id, start or (LARGEST if newest_first else 0), limit, *(value for _, value in given)]


def _narrowest(filters: Filters) -> str | None:
    """Return the column whose filter leaves the fewest events: an order has up to four, and few orders are refunded or disputed."""
    if filters.order_id is not None:
        return "order_id"
    if filters.type is not None and filters.type.is_rare:
        return "type"
    if filters.listing_id is not None:
        return "listing_id"
    return "type" if filters.type is not None else None


async def expired(database: Database, account_id: str) -> Record | None:
    """Return the last event that was let go, as (expired_sequence, expired_id, expired_at), and the `oldest_id` that is there."""
    return await database.row(
        """
        SELECT expired_sequence, expired_id, expired_at,
               (SELECT id FROM events WHERE events.account_id = $1 ORDER BY sequence LIMIT 1) AS oldest_id
        FROM event_streams WHERE account_id = $1 AND expired_sequence > 0
        """,
        account_id,
    )


async def accounts_after(database: Database, last: str) -> list[str]:
    """Return the accounts that have events or had some, a thousand of them at most, those that follow `last`."""
    rows = await database.rows(
        "SELECT account_id FROM event_streams WHERE account_id > $1 ORDER BY account_id LIMIT 1000", last
    )
    return [row["account_id"] for row in rows]


async def with_older(database: Database, accounts: Sequence[str], before: datetime) -> list[str]:
    """Return those of the accounts whose oldest event is older than `before`."""
    rows = await database.rows(
        """
        SELECT asked.account_id FROM unnest($1::text[]) AS asked (account_id) CROSS JOIN LATERAL (
            SELECT created_at FROM events WHERE events.account_id = asked.account_id ORDER BY sequence LIMIT 1
        ) oldest WHERE oldest.created_at < $2
        """,
        accounts,
        before,
    )
    return [row["account_id"] for row in rows]


async def expire(database: Database, account_id: str, before: datetime, most: int, now: datetime) -> Record:
    """Let up to `most` events of an account go that are older than `before`.

    `freed` is how many went, `given_up` how many deliveries were for it.
    """
    [row] = await database.write(
        "SELECT * FROM events_expire($1, $2, $3, $4)", account_id, before, most, now, again=True
    )
    return row


async def tidy(database: Database, accounts: Sequence[str], before: datetime) -> None:
    """Forget of these accounts what is older than `before` and was kept beside events: who was told again, and of what failures."""
    await database.write("SELECT webhooks_tidy($1, $2)", accounts, before, again=True)
