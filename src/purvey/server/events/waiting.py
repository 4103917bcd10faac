"""Reading the log as it grows: a page that waits for its first event, and a stream that goes on."""

from collections.abc import AsyncIterator

from purvey.server.events import actions, store
from purvey.server.events.model import Filters, Page
from purvey.server.events.watch import Waiter, Watch
from purvey.server.kit.database import Database, Record
from purvey.server.kit.tools import Tools

CHUNK = 100
"""Events that a stream reads at once."""
HEARTBEAT_AFTER = 15.0
"""Seconds without an event after which a stream says that it is still there."""


async def await_page(
    tools: Tools,
    watch: Watch,
    account_id: str,
    filters: Filters,
    *,
    after: str | None,
    cursor: str | None,
    limit: int,
    wait: float,
) -> Page:
    """Do as `read_page`, oldest first; where nothing follows yet, wait up to `wait` seconds until an event comes that fits."""
    start = await actions.position(tools, account_id, after=after, cursor=cursor)
    found = await store.read(tools.database, account_id, filters, start=start, newest_first=False, limit=limit + 1)
    if not found:
        async with watch.joined(account_id, filters) as waiter:
            reader = Reader(watch, waiter, tools.database, account_id, filters, start or 0)
            found = await reader.next(limit + 1, wait)
    return actions.page_of(found, limit)


async def stream(
    tools: Tools, watch: Watch, account_id: str, filters: Filters, start: int | None
) -> AsyncIterator[list[Record]]:
    """Yield the events beyond a sequence, some at a time, until the process stops; an empty list when none came for a while."""
    async with watch.joined(account_id, filters) as waiter:
        reader = Reader(watch, waiter, tools.database, account_id, filters, start or 0)
        while (found := await reader.next(CHUNK, HEARTBEAT_AFTER)) or not watch.is_stopped:
            yield found


class Reader:
    """Reads an account's log from a sequence on, and waits where it ends."""

    def __init__(
        self, watch: Watch, waiter: Waiter, database: Database, account_id: str, filters: Filters, start: int
    ) -> None:
        self._watch = watch
        self._waiter = waiter
        self._database = database
        self._account_id = account_id
        self._filters = filters
        self._start = start

    async def next(self, most: int, seconds: float) -> list[Record]:
        """Return up to `most` events that come next; wait for the first at most `seconds`."""
        found = await self._there(most)
        if not found:
            await self._watch.wait(self._waiter, seconds)
            found = await self._there(most)
        return found

    async def _there(self, most: int) -> list[Record]:
        if self._waiter.is_behind:
            self._waiter.catch_up()
            found = await store.read(
                self._database, self._account_id, self._filters, start=self._start, newest_first=False, limit=most
            )
            if len(found) == most:
                self._waiter.is_behind = True
        else:
            found = self._waiter.take(self._start, most)
        if found:
            self._start = found[-1]["sequence"]
        return found
