"""Acting on time that has passed."""

from collections.abc import Collection
from functools import partial

from purvey.server.deadlines import rules
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Change, Changed


class Deadlines:
    """Does what was promised for the case that the content does not come. `reachable` are the payment providers in use."""

    def __init__(self, fulfillment: Fulfillment, reachable: Collection[str]) -> None:
        self._fulfillment = fulfillment
        self._reachable = reachable

    async def passed(self, account_id: str, order_id: str) -> Changed:
        """Remind, refund or deliver the fallback, once; an order whose buyer waits no more stays as it is."""
        decide = partial(rules.passed, self._reachable)
        return await self._fulfillment.change(Change(account_id=account_id, order_id=order_id, decide=decide))
