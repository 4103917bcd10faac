"""Reading the log."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.errors import CursorExpired, FieldError, NotFound, invalid, unknown
from purvey.server.events import store
from purvey.server.events.model import Filters, Page
from purvey.server.kit.database import Record
from purvey.server.kit.ids import time_of
from purvey.server.kit.tools import Tools

SLACK = timedelta(hours=1)
"""How much older than its row an event's id may be: ids are drawn before the transaction."""


async def read_page(
    tools: Tools,
    account_id: str,
    filters: Filters,
    *,
    after: str | None,
    cursor: str | None,
    newest_first: bool,
    limit: int,
) -> Page:
    """Return the events that follow `after` or `cursor` (event ids; empty means absent), oldest first by default (EV-10).

    Raises ValidationError when both are given, NotFound when the id is not one of this account's events.
    """
    start = await position(tools, account_id, after=after, cursor=cursor)
    found = await store.read(
        tools.database, account_id, filters, start=start, newest_first=newest_first, limit=limit + 1
    )
    return page_of(found, limit)


async def read_one(tools: Tools, account_id: str, event_id: str) -> str:
    """Return one event as stored, or raise NotFound."""
    body = await store.body_of(tools.database, account_id, event_id)
    if body is None:
        raise unknown("event", event_id)
    return body


async def position(tools: Tools, account_id: str, *, after: str | None, cursor: str | None) -> int | None:
    """Return the sequence of the event that `after` or `cursor` names, None when neither does; empty means absent."""
    if after and cursor:
        raise invalid([FieldError(loc=["cursor"], msg="give either `after` or `cursor`, not both", type="conflict")])
    event_id = after or cursor
    if not event_id:
        return None
    sequence = await store.sequence_of(tools.database, account_id, event_id)
    return (
        sequence
        if sequence is not None
        else await _expired(tools, account_id, event_id, "after" if after else "cursor")
    )


async def _expired(tools: Tools, account_id: str, event_id: str, param: str) -> int:
    """Return where an event was that is not there: nothing was missed by whoever has seen the last one that was let go.

    Raises CursorExpired for one that may have been let go before, NotFound for one that never was.
    """
    gone = await store.expired(tools.database, account_id)
    if gone is not None and gone["expired_id"] == event_id:
        return int(gone["expired_sequence"])
    made_at = time_of(event_id)
    if gone is None or made_at is None or made_at > gone["expired_at"] + SLACK:
        raise NotFound(f"No event with the id {event_id!r}.", param=param)
    raise CursorExpired(
        f"The event {event_id!r} is so old that it has been let go, and others after it with it. "
        + (f"The oldest that is there is {gone['oldest_id']!r}." if gone["oldest_id"] else "There is none left."),
        param=param,
        oldest_event_id=gone["oldest_id"],
    )


def page_of(found: Sequence[Record], limit: int) -> Page:
    """Return the page of up to `limit` events; whatever was found beyond them says that there are more."""
    rows = found[:limit]
    return Page(
        bodies=tuple(row["body"] for row in rows),
        has_more=len(found) > limit,
        cursor=rows[-1]["id"] if rows else None,
    )
