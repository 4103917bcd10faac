"""The few things that tests fake: the clock, and chance where it must repeat."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)


class FakeClock:
    """A clock that moves only when told to. Sleepers wake in the order of their times."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self._sleepers: list[tuple[datetime, int, asyncio.Event]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return the fake present."""
        return self.at

    def advance(self, **by: float) -> None:
        """Move on by a timedelta given as keywords (`seconds=30`), waking whoever's time has come."""
        self.at += timedelta(**by)
        while self._sleepers and self._sleepers[0][0] <= self.at:
            heapq.heappop(self._sleepers)[2].set()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved on by `seconds`."""
        await self.wait(asyncio.Event(), seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for `event` or until the clock has been moved on by `seconds`; return whether the event was set."""
        over = asyncio.Event()
        heapq.heappush(self._sleepers, (self.at + timedelta(seconds=seconds), next(self._order), over))
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set()
