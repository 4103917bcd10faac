"""Forgetting who opened what: a job that comes back every day. Each batch is one transaction; the next run goes on."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.access import store
from purvey.server.jobs import returning
from purvey.server.jobs.model import Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools

EVERY = timedelta(days=1)
"""How often old visits are looked for."""
BATCH = 1000
"""Visits that are deleted in one transaction at most."""
BATCHES = 100
"""Batches of one run at most; what is left is done by the next one, at once."""


async def begin_forgetting(tools: Tools) -> None:
    """Queue the job, unless it is there."""
    await returning.ensure(tools.database, store.LANE, store.FORGET, "who opened what", tools.clock.now())


class Forget:
    """Deletes visits that are older than so many days. Again finds nothing more to delete."""

    name = store.FORGET

    def __init__(self, tools: Tools, retention_days: int) -> None:
        self._tools = tools
        self._kept_for = timedelta(days=retention_days)

    async def load(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs: they are about everything."""
        return jobs

    async def run(self, job: Job, _: Job) -> Outcome:
        """Delete what is too old."""
        del job
        now = self._tools.clock.now()
        for _batch in range(BATCHES):
            if await store.forget(self._tools.database, now - self._kept_for, BATCH) < BATCH:
                return RetryAt(now + EVERY)
        return RetryAt(now)
