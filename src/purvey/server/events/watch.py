"""Waiting for events: one look at the log for all who wait in this process, however many they are.

Whoever waits holds neither a thread nor a connection. The bell of the queue (`jobs.wake`) says that something was committed, here
or in another process; then one query reads what is new in the streams that are being waited for, and each waiter is told what
fits. A waiter whose account is quiet is not even woken. A lost ring costs at most `RECHECK_EVERY`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog

from purvey.server.events import store
from purvey.server.events.model import Filters
from purvey.server.jobs.wake import Wake
from purvey.server.kit.clock import Clock
from purvey.server.kit.database import Database, Record
from purvey.server.kit.problem import Unavailable

log = structlog.get_logger()

RECHECK_EVERY = 1.0
"""Seconds without a ring after which the streams are looked at all the same."""
PAUSE = 0.01
"""Seconds between two looks at least: what is committed meanwhile is seen together by the next one."""
MOST_NEW = 100
"""Events of one account that one look reads, and that are kept for one waiter; who is further behind reads for itself."""


class Waiter:
    """One request that waits for the events of an account that fit its filters."""

    def __init__(self, filters: Filters) -> None:
        self.stirred = asyncio.Event()
        self._filters = filters
        self._told: list[Record] = []
        self.is_behind = True

    def tell(self, events: Sequence[Record]) -> None:
        """Keep those of the new events that fit."""
        fitting = [
            event for event in events if self._filters.fit(event["type"], event["listing_id"], event["order_id"])
        ]
        if not fitting:
            return
        self._told += fitting
        if len(self._told) > MOST_NEW:
            self._told.clear()
            self.is_behind = True
        self.stirred.set()

    def catch_up(self) -> None:
        """Forget what was told: the log is about to be read, and what is told from now on may be missing there."""
        self._told.clear()
        self.stirred.clear()
        self.is_behind = False

    def take(self, beyond: int, most: int) -> list[Record]:
        """Return up to `most` of the events told, those beyond a sequence; the others stay."""
        left = [event for event in self._told if event["sequence"] > beyond]
        self._told = left[most:]
        if not self._told:
            self.stirred.clear()
        return left[:most]


class Watch:
    """The one who looks, for all requests of a process that wait."""

    def __init__(self, database: Database, clock: Clock, wake: Wake) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._waiters: dict[str, set[Waiter]] = {}
        self._seen: dict[str, int] = {}
        self._rung = asyncio.Event()
        self._stopped = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.waiting = 0
        """How many requests wait at this moment."""

    @contextlib.asynccontextmanager
    async def joined(self, account_id: str, filters: Filters) -> AsyncIterator[Waiter]:
        """Have a waiter be told of the account's events from here on: none falls between this and a reading that begins within."""
        waiter = Waiter(filters)
        self._waiters.setdefault(account_id, set()).add(waiter)
        try:
            if account_id not in self._seen:
                last = await store.last_sequence(self._database, account_id)
                self._seen.setdefault(account_id, last)
            self._begin()
            yield waiter
        finally:
            self._leave(account_id, waiter)

    async def wait(self, waiter: Waiter, seconds: float) -> None:
        """Wait until the waiter is told something, the time is over, or the process stops."""
        if self._stopped.is_set():
            return
        self.waiting += 1
        try:
            await self._clock.wait(waiter.stirred, seconds)
        finally:
            self.waiting -= 1

    @property
    def is_stopped(self) -> bool:
        """Whether nobody may wait any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let all who wait go on with what there is; from now on nobody waits."""
        self._stopped.set()
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.stirred.set()

    async def close(self) -> None:
        """Look no more."""
        self.stop()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _begin(self) -> None:
        if self._looking is None or self._looking.done():
            self._wake.subscribe(self._rung)
            self._looking = asyncio.create_task(self._look())

    def _leave(self, account_id: str, waiter: Waiter) -> None:
        waiters = self._waiters[account_id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[account_id]
            self._seen.pop(account_id, None)
            self._rung.set()

    async def _look(self) -> None:
        """Look whenever the bell rings, until nobody waits."""
        while self._waiters:
            await self._clock.wait(self._rung, RECHECK_EVERY)
            self._rung.clear()
            try:
                self._tell(await store.fresh(self._database, self._seen, MOST_NEW))
            except Unavailable:
                log.warning("events.blind", waiting=self.waiting)
            except Exception:
                log.exception("events.blind", waiting=self.waiting)
            await asyncio.sleep(PAUSE)
        self._wake.unsubscribe(self._rung)

    def _tell(self, events: Sequence[Record]) -> None:
        by_account: dict[str, list[Record]] = {}
        for event in events:
            by_account.setdefault(event["account_id"], []).append(event)
        for account_id, new in by_account.items():
            if account_id not in self._seen:
                continue
            self._seen[account_id] = max(self._seen[account_id], new[-1]["sequence"])
            if len(new) == MOST_NEW:
                self._rung.set()
            for waiter in self._waiters.get(account_id, ()):
                waiter.tell(new)
