"""The only place that asks what time it is.

The clock is the database's, so that a machine with a wrong clock steals no lease: the offset between it and this machine's
clock is measured at the start and every 30 seconds. Tests put a fake in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

MEASURE_EVERY = 30.0
"""Seconds between two measurements of the offset."""


LONGEST_ROUND_TRIP = timedelta(milliseconds=200)
"""A measurement that took longer leaves the offset as it was, unless there is none yet."""


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until `event` is set, at most `seconds`; return whether it was."""
        ...


class DatabaseClock:
    """The machine's clock, corrected by the offset of the database's.

    `ask` returns the database's time; it is called by `measure`.
    """

    def __init__(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        self._ask = ask
        self._offset = timedelta()
        self._measured: Literal["never", "once"] = "never"

    def now(self) -> datetime:
        """Return the database's present instant, as well as it is known here."""
        return datetime.now(UTC) + self._offset

    async def measure(self) -> None:
        """Measure the offset; the answer is taken to be from the middle of the round trip. A slow one tells too little."""
        before = datetime.now(UTC)
        theirs = await self._ask()
        after = datetime.now(UTC)
        if after - before <= LONGEST_ROUND_TRIP or self._measured == "never":
            self._offset = theirs - (before + (after - before) / 2)
            self._measured = "once"

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until `event` is set, at most `seconds`; return whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True
