"""Rate limits that hold across processes: a token bucket a caller and category, in the database.

Requests that come in together take their tokens in one statement. With the database away nobody is limited: the request will
find that out for itself.
"""

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from purvey.server.kit.batching import Batcher
from purvey.server.kit.clock import Clock
from purvey.server.kit.database import Database
from purvey.server.kit.problem import Unavailable

WINDOW = 60.0
"""Seconds in which an empty bucket fills."""
SWEEP_EVERY = timedelta(minutes=5)
"""How often a process forgets the buckets that are full again."""

TAKE = "SELECT * FROM rate_limits_take($1::text[], $2::int[], $3, $4)"
SWEEP = "DELETE FROM rate_limits WHERE taken_at < $1"


class Allowance(msgspec.Struct, frozen=True):
    """What came of one request: whether it may go on, and what its bucket holds now. `full_at` is a Unix time."""

    allowed: bool
    limit: int
    remaining: int
    full_at: int
    retry_after: int


class RateLimits:
    """Lets each caller make `limit` requests a minute and category; at once or spread, as it likes."""

    def __init__(self, database: Database, clock: Clock, limit: int) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._numbers = itertools.count()
        # Each command has a key of its own: many requests of one caller may share a batch, because their tokens are added up.
        self._takes: Batcher[tuple[int, str], Allowance] = Batcher(self._take_all, key=lambda command: command[0])
        self._swept_at = clock.now()
        self._sweeping: asyncio.Task[None] | None = None

    async def take(self, caller: str, category: str) -> Allowance | None:
        """Count one request of `caller`; None when that is not known, because the database is away."""
        try:
            return await self._takes.submit((next(self._numbers), f"{category} {caller}"))
        except Unavailable:
            return None

    async def _take_all(self, commands: Sequence[tuple[int, str]]) -> list[Allowance]:
        now = self._clock.now()
        wants = Counter(bucket for _, bucket in commands)
        rows = await self._database.write(TAKE, list(wants), list(wants.values()), self._limit, now)
        left = {row["taken_from"]: row["granted"] for row in rows}
        room = {row["taken_from"]: row["room"] for row in rows}
        self._sweep_sometimes(now)
        allowances = []
        for _, bucket in commands:
            left[bucket] -= 1
            allowances.append(self._allowance(left[bucket] >= 0, max(0, left[bucket]) + room[bucket], now))
        return allowances

    def _allowance(self, allowed: bool, room: float, now: datetime) -> Allowance:  # noqa: FBT001  # a fact, not a switch
        each = WINDOW / self._limit
        return Allowance(
            allowed=allowed,
            limit=self._limit,
            remaining=math.floor(room + 1e-6),
            full_at=math.ceil(now.timestamp() + (self._limit - room) * each),
            retry_after=max(1, math.ceil((1 - room) * each)),
        )

    def _sweep_sometimes(self, now: datetime) -> None:
        if now - self._swept_at >= SWEEP_EVERY and self._sweeping is None:
            self._swept_at = now
            self._sweeping = asyncio.create_task(self._sweep(now))

    async def _sweep(self, now: datetime) -> None:
        try:
            await self._database.write(SWEEP, now - timedelta(seconds=WINDOW))
        except Unavailable:
            return
        finally:
            self._sweeping = None
