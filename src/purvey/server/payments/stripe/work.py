"""What the queue does for Stripe: every hour it catches up on what was missed."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from purvey.server.errors import Conflict, Unavailable
from purvey.server.jobs.model import Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools
from purvey.server.payments.stripe import store
from purvey.server.payments.stripe.client import StripeRefusedError
from purvey.server.payments.stripe.reconciling import KEPT, Reconciler

log = structlog.get_logger()

EVERY = timedelta(hours=1)
"""How often Stripe's books are compared with ours."""
LOOKS_BACK = timedelta(hours=3)
"""How far, counted from when it was due: what Stripe tries again by itself within the hour is none of its business yet."""


class Reconcile:
    """Compares Stripe's books with ours and feeds what was missed through the inbox. Its one job comes again for ever."""

    name = store.RECONCILE

    def __init__(self, tools: Tools, reconciler: Reconciler) -> None:
        self._tools = tools
        self._reconciler = reconciler

    async def load(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs: they are about everything."""
        return jobs

    async def run(self, job: Job, _: Job) -> Outcome:
        """Catch up on all that happened since the job was due, and a while before."""
        now = self._tools.clock.now()
        since = max(job.due_at - LOOKS_BACK, now - KEPT)
        mended = 0
        try:
            async for difference in self._reconciler.differences(since):
                log.warning("stripe.missed", what=difference.kind, id=difference.id, type=difference.type)
                await self._reconciler.mend(difference)
                mended += 1
        except (Conflict, Unavailable) as error:
            log.error("stripe.not_reconciled", reason=error.detail)  # noqa: TRY400  # a sentence says it
        else:
            await self._ask_standings()
            log.info("stripe.reconciled", since=since.isoformat(), mended=mended)
        return RetryAt(now + EVERY)

    async def _ask_standings(self) -> None:
        """Ask how the merchants stand; a restricted key may not be allowed to, and nothing else depends on it."""
        try:
            await self._reconciler.ask_standings()
        except (Conflict, Unavailable, StripeRefusedError) as error:
            log.info("stripe.standing_unknown", reason=str(error))
