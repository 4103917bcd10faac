"""Letting old events go: a job that comes back every hour, as long as a retention is set.

Each batch is one transaction, so that it may be cut short anywhere; the next run goes on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from purvey.server.events import store
from purvey.server.jobs import returning
from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools

log = structlog.get_logger()

EVERY = timedelta(hours=1)
"""How often old events are looked for."""
BATCH = 500
"""Events of one account that are let go in one transaction at most."""
BATCHES = 200
"""Batches of one run at most; what is left is done by the next one, at once."""


async def begin_expiring(tools: Tools, retention_days: int | None) -> None:
    """Queue the job, unless it is there or nothing is to be let go."""
    if retention_days is not None:
        await returning.ensure(tools.database, store.LANE, store.EXPIRE, "the log of events", tools.clock.now())


class Expire:
    """Lets go what is older than so many days. Again finds nothing more to let go."""

    name = store.EXPIRE

    def __init__(self, tools: Tools, retention_days: int | None) -> None:
        self._tools = tools
        self._retention_days = retention_days

    async def load(self, jobs: Sequence[Job]) -> Sequence[Job | None]:
        """Return the job, unless nothing is to be let go any more."""
        return [job if self._retention_days is not None else None for job in jobs]

    async def run(self, job: Job, loaded: Job) -> Outcome:
        """Let go what is too old, account by account."""
        del job, loaded
        if self._retention_days is None:
            return Done()
        now = self._tools.clock.now()
        before = now - timedelta(days=self._retention_days)
        left, last = BATCHES, ""
        while left > 0 and (accounts := await store.accounts_after(self._tools.database, last)):
            last = accounts[-1]
            await store.tidy(self._tools.database, accounts, before)
            for account_id in await store.with_older(self._tools.database, accounts, before):
                left -= await self._expire(account_id, left, before)
        return RetryAt(now + EVERY if left > 0 else now)

    async def _expire(self, account_id: str, most: int, before: datetime) -> int:
        """Return how many batches it took."""
        now = self._tools.clock.now()
        for batch in range(1, most + 1):
            went = await store.expire(self._tools.database, account_id, before, BATCH, now)
            if went["freed"] or went["given_up"]:
                log.info("events.expired", account=account_id, events=went["freed"], given_up=went["given_up"])
            if went["freed"] < BATCH:
                return batch
        return most
