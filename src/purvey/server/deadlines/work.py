"""What the queue does when the time for a delivery is over."""

from collections.abc import Sequence

from purvey.server.deadlines import rules
from purvey.server.deadlines.actions import Deadlines
from purvey.server.fulfillment.model import DUE_JOB
from purvey.server.jobs.model import Done, Job, Outcome
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order


class CheckDelivered:
    """Looks whether an order was delivered in time."""

    name = DUE_JOB

    def __init__(self, tools: Tools, deadlines: Deadlines) -> None:
        self._tools = tools
        self._deadlines = deadlines

    async def load(self, jobs: Sequence[Job]) -> Sequence[Order | None]:
        """Return the orders whose buyers still wait."""
        keys = [(job.account_id or "", job.ref) for job in jobs]
        found = await orders.load(self._tools, keys)
        return [order if (order := found.get(key)) and rules.waits(order) else None for key in keys]

    async def run(self, job: Job, order: Order) -> Outcome:  # noqa: ARG002  # every kind is given its job
        """Act on one order that is late."""
        await self._deadlines.passed(order.account_id, order.id)
        return Done()
