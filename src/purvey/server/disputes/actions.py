"""Hearing of disputes."""

from functools import partial

import structlog

from purvey.server.disputes import rules
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Change
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.payments.model import Accepted, DisputeReport, Notice, NotYet, Verdict
from purvey.server.refunds.actions import Refunds

log = structlog.get_logger()


class Disputes:
    """Records how disputes stand. `refunds` knows the payments that no order was made of."""

    def __init__(self, tools: Tools, fulfillment: Fulfillment, refunds: Refunds) -> None:
        self._tools = tools
        self._fulfillment = fulfillment
        self._refunds = refunds

    async def reported(self, report: DisputeReport, notice: Notice | None = None) -> Verdict:
        """Act on a provider's word about a dispute: the first of it, the last of it, late, twice or out of order."""
        order = await orders.by_payment(self._tools, report.provider, report.payment_reference)
        if order is None:
            return await self._of_no_order(report)
        decide = partial(rules.reported, report, notice)
        done = await self._fulfillment.change(Change(account_id=order.account_id, order_id=order.id, decide=decide))
        return Accepted(order.account_id, order.id, stored=done.written and notice is not None)

    async def _of_no_order(self, report: DisputeReport) -> Verdict:
        """Return what becomes of a dispute about a payment beside an order's own: that one is given back in any case."""
        beside = await self._refunds.order_of_payment(report.provider, report.payment_reference)
        if beside is None:
            return NotYet(f"no order was paid by {report.payment_reference}")
        log.warning("dispute.of_second_payment", order_id=beside[1], reference=report.payment_reference)
        return Accepted(*beside, stored=False)
