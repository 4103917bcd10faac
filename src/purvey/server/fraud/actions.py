"""Acting on early warnings of fraud."""

from functools import partial
from typing import Literal

from purvey.server.errors import MissingPayment, RefundNotAllowed
from purvey.server.fraud import rules
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Change
from purvey.server.kit.crypto import sha256
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order
from purvey.server.payments.model import Accepted, FraudWarning, Noted, Notice, NotYet, Verdict
from purvey.server.refunds.actions import Refunds
from purvey.server.refunds.model import Ask

Policy = Literal["hold", "refund", "ignore"]


class Fraud:
    """Holds or refunds the orders that a card's network warns of, as the `policy` says."""

    def __init__(self, tools: Tools, fulfillment: Fulfillment, refunds: Refunds, policy: Policy) -> None:
        self._tools = tools
        self._fulfillment = fulfillment
        self._refunds = refunds
        self._policy = policy

    async def warned(self, warning: FraudWarning, notice: Notice | None = None) -> Verdict:
        """Act on a warning, once: a notice that was acted on is not acted on again."""
        order = await orders.by_payment(self._tools, warning.provider, warning.payment_reference)
        if order is None:
            return NotYet(f"no order was paid by {warning.payment_reference}")
        match self._policy:
            case "hold":
                return await self._hold(order, warning, notice)
            case "refund":
                return await self._give_back(order, warning)
            case "ignore":
                return Noted("early warnings of fraud are ignored here")

    async def _hold(self, order: Order, warning: FraudWarning, notice: Notice | None) -> Verdict:
        decide = partial(rules.hold, warning, notice)
        done = await self._fulfillment.change(Change(account_id=order.account_id, order_id=order.id, decide=decide))
        return Accepted(order.account_id, order.id, stored=done.written and notice is not None)

    async def _give_back(self, order: Order, warning: FraudWarning) -> Verdict:
        # The id is the warning's, so that who died in between asks for the same refund again.
        ask = Ask(
            account_id=order.account_id,
            order_id=order.id,
            refund_id=f"rfd_{sha256(warning.reference).hex()[:22]}",
            amount=None,
            reason="fraudulent",
            origin="provider",
        )
        try:
            await self._refunds.ask(ask)
        except (RefundNotAllowed, MissingPayment) as error:
            return Noted(str(error.detail))
        return Accepted(order.account_id, order.id, stored=False)
