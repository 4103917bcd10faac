"""What the queue does for Stripe: every hour it catches up on what was missed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from purvey.server.errors import Conflict, Unavailable
from purvey.server.jobs.model import Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools
from purvey.server.payments.stripe import store
from purvey.server.payments.stripe.client import StripeRefusedError
from purvey.server.payments.stripe.merchants import Merchants
from purvey.server.payments.stripe.model import Merchant
from purvey.server.payments.stripe.reconciling import KEPT, Reconciler

log = structlog.get_logger()

EVERY = timedelta(hours=1)
"""How often Stripe's books are compared with ours."""
LOOKS_BACK = timedelta(hours=3)
"""How far beyond what was compared before: what Stripe tries again by itself within the hour is none of its business yet."""


async def begin_reconciling(tools: Tools) -> None:
    """Queue the job, unless it is there: how the merchants stand is to be known before the first sale."""
    await store.queue_reconciling(tools.database, tools.clock.now())


class Reconcile:
    """Compares Stripe's books with ours and feeds what was missed through the inbox. Its one job comes again for ever."""

    name = store.RECONCILE

    def __init__(self, tools: Tools, merchants: Merchants, reconciler: Reconciler) -> None:
        self._tools = tools
        self._merchants = merchants
        self._reconciler = reconciler

    async def load(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs: they are about everything."""
        return jobs

    async def run(self, job: Job, _: Job) -> Outcome:
        """Catch up with each merchant on all that happened since that was done last, and a while before.

        One whose key opens too little does not keep the others from being looked at.
        """
        del job
        now = self._tools.clock.now()
        for merchant in await self._merchants.everyone():
            whose = merchant.whose.owner or merchant.whose.stripe_account or "the installation"
            try:
                mended = await self._catch_up(merchant, now)
            except (Conflict, Unavailable, StripeRefusedError) as error:
                log.error("stripe.not_reconciled", whose=whose, reason=str(error))  # noqa: TRY400  # a sentence says it
                continue
            log.info("stripe.reconciled", whose=whose, mended=mended)
            await self._ask_standing(merchant)
        return RetryAt(now + EVERY)

    async def _catch_up(self, merchant: Merchant, now: datetime) -> int:
        """Return how much was mended. What came up before this is known then, however long nobody could look."""
        since = max((await self._reconciler.caught_up(merchant) or now) - LOOKS_BACK, now - KEPT)
        mended = 0
        async for difference in self._reconciler.differences(merchant, since):
            log.warning("stripe.missed", what=difference.kind, id=difference.id, type=difference.type)
            await self._reconciler.mend(difference)
            mended += 1
        await self._reconciler.note_caught_up(merchant, now)
        return mended

    async def _ask_standing(self, merchant: Merchant) -> None:
        """Ask how a merchant stands; a restricted key may not be allowed to, and nothing else depends on it."""
        try:
            await self._reconciler.ask_standing(merchant)
        except (Conflict, Unavailable, StripeRefusedError) as error:
            log.info("stripe.standing_unknown", reason=str(error))
