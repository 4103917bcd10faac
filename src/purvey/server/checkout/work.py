"""What the queue does for checkouts: it makes sure that what costs nothing is delivered."""

from collections.abc import Sequence

from purvey.server.checkout import store
from purvey.server.checkout.actions import confirm_free
from purvey.server.checkout.model import Checkout
from purvey.server.jobs.model import Done, Job, Outcome
from purvey.server.kit.tools import Tools
from purvey.server.payments.inbox import Inbox


class ConfirmFree:
    """Makes the order of a free checkout whose process died before it had done so."""

    name = store.JOB

    def __init__(self, tools: Tools, inbox: Inbox) -> None:
        self._tools = tools
        self._inbox = inbox

    async def load(self, jobs: Sequence[Job]) -> Sequence[Checkout | None]:
        """Return the checkouts that have no order yet."""
        found = await store.by_ids(self._tools.database, [job.ref for job in jobs])
        checkouts = [found.get(job.ref) for job in jobs]
        return [None if checkout is None or checkout.order_id else checkout for checkout in checkouts]

    async def run(self, job: Job, checkout: Checkout) -> Outcome:  # noqa: ARG002  # every kind is given its job
        """Confirm one checkout."""
        await confirm_free(self._inbox, checkout)
        return Done()
