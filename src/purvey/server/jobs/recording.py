"""Recording what has been done, although the database is away for a while."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from purvey.server.kit.clock import Clock
from purvey.server.kit.problem import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

TRY_EVERY = 1.0
"""Seconds between two tries to reach a database that is away."""


async def insist(clock: Clock, write: Callable[[], Awaitable[T]]) -> T:
    """Run `write` until the database takes it, and return its result.

    What has happened has happened; losing the record of it would mean doing it twice. `write` must be guarded by the job's
    lease, so that it does nothing when somebody else has taken over meanwhile.
    """
    while True:
        try:
            return await write()
        except Unavailable as error:
            log.warning("jobs.record_delayed", reason=error.detail)
        await clock.sleep(TRY_EVERY)
