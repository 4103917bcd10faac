"""What the queue does for refunds: it finishes those that were begun."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools
from purvey.server.refunds import store
from purvey.server.refunds.actions import Refunds
from purvey.server.refunds.model import JOB, Refund

LONGEST_WAIT = timedelta(hours=1)
"""The waits double from 30 seconds up to this. Money that was promised back is never given up."""


class CarryOut:
    """Asks the provider for a refund that was written down, until it says yes or no."""

    name = JOB

    def __init__(self, tools: Tools, refunds: Refunds) -> None:
        self._tools = tools
        self._refunds = refunds

    async def load(self, jobs: Sequence[Job]) -> Sequence[Refund | None]:
        """Return the refunds that have not ended."""
        keys = [(job.account_id or "", job.ref) for job in jobs]
        found = await store.by_keys(self._tools.database, keys)
        return [one if (one := found.get(key)) and one.note.status == "requested" else None for key in keys]

    async def run(self, job: Job, refund: Refund) -> Outcome:
        """Carry out one refund, or wait longer."""
        if await self._refunds.carry_out(refund.note.account_id, refund.note.id):
            return Done()
        wait = min(timedelta(seconds=30 * 2.0 ** min(job.attempt - 1, 20)), LONGEST_WAIT)
        return RetryAt(self._tools.clock.now() + wait)
