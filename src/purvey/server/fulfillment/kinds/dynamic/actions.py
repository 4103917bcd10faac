"""What a seller asks of a dynamic order's callback."""

from collections.abc import Sequence

import msgspec

from purvey.server.errors import unknown
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.kinds.dynamic import outcomes, store
from purvey.server.fulfillment.kinds.dynamic.model import Attempt, Callback
from purvey.server.fulfillment.model import Change, Changed
from purvey.server.kit.idempotency import Claim
from purvey.server.kit.tools import Tools
from purvey.server.orders.model import Order


class Told(msgspec.Struct, frozen=True):
    """A callback and its attempts."""

    callback: Callback
    attempts: Sequence[Attempt]


async def call_again(
    tools: Tools, fulfillment: Fulfillment, account_id: str, order_id: str, claim: Claim | None
) -> Changed:
    """Have the seller's server called again: the same key and body, three attempts anew.

    While a call is under way nothing changes. Raises NotFound, and InvalidTransition for an order that is not dynamic or waits
    for nothing.
    """

    async def beside(order: Order) -> Callback | None:
        return await store.of_order(tools.database, order.account_id, order.id)

    command = Change(account_id=account_id, order_id=order_id, decide=outcomes.called_again, claim=claim, beside=beside)
    return await fulfillment.change(command)


async def read(tools: Tools, account_id: str, order_id: str) -> Told:
    """Return the order's callback; raise NotFound for an order that has none, or is not the account's."""
    callback = await store.of_order(tools.database, account_id, order_id)
    if callback is None:
        raise unknown("callback of an order", order_id)
    return Told(callback, await store.attempts(tools.database, account_id, order_id))
