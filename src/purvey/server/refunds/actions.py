"""Giving money back, and hearing that it was given back."""

from collections.abc import Mapping
from functools import partial

import msgspec
import structlog

from purvey.server.errors import RefundNotAllowed
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Change, Changed, Decide
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order
from purvey.server.payments.model import (
    Accepted,
    Notice,
    NotYet,
    Payment,
    RefundFailure,
    RefundNote,
    RefundReport,
    RefundRequest,
    Refused,
    Verdict,
)
from purvey.server.payments.provider import Provider
from purvey.server.refunds import rules, store
from purvey.server.refunds.model import Ask, AskedBySeller, Refund, RefundOut

log = structlog.get_logger()

MADE_SURE_AFTER = 30
"""Seconds after which a job asks the provider, if the request that the seller waits for has not: longer than that may take."""


class Refunds:
    """Gives money back through the `providers`, by their names. `records` are those of Idempotency-Keys."""

    def __init__(
        self, tools: Tools, fulfillment: Fulfillment, records: Idempotency, providers: Mapping[str, Provider]
    ) -> None:
        self._tools = tools
        self._fulfillment = fulfillment
        self._records = records
        self._providers = providers

    async def refund(self, asked: AskedBySeller) -> Changed:
        """Give money back as a seller asks, and return the order as it is then.

        The provider is asked at once. When nobody knows what it did, the order says so (`refund_pending`), and a job asks again.
        Raises RefundNotAllowed (nothing or not enough is left, or the provider refuses), MissingPayment, NotFound.
        """
        ask = Ask(
            account_id=asked.account_id,
            order_id=asked.order_id,
            refund_id=self._tools.ids.new("rfd_"),
            amount=asked.amount,
            reason=asked.reason,
            carry_out_after=MADE_SURE_AFTER,
        )
        change = self._change(ask.account_id, ask.order_id, partial(rules.request, ask, self._providers))
        requested = await self._fulfillment.change(msgspec.structs.replace(change, claim=asked.claim, goes_on=True))
        ended = await self.carry_out(ask.account_id, ask.refund_id)
        refund = await self._read(ask.account_id, ask.refund_id)
        if refund.status == "failed":
            await self._give_claim_back(asked)
            raise RefundNotAllowed(
                f"The payment provider refused: {refund.error}.",
                refundable_amount=rules.left((ended or requested).order),
            )
        return msgspec.structs.replace(ended or requested, recorded=False)

    async def ask(self, ask: Ask) -> Changed:
        """Write down a refund that nobody waits for; the job that comes with it carries it out. Raises as `refund` does."""
        return await self._fulfillment.change(
            self._change(ask.account_id, ask.order_id, partial(rules.request, ask, self._providers))
        )

    async def carry_out(self, account_id: str, refund_id: str) -> Changed | None:
        """Ask the provider for a refund that was written down, and record its answer; None if nobody knows what it did.

        It may be done by two at once, and again after a crash: the provider knows the refund by our id.
        """
        refund = await self._read(account_id, refund_id)
        decide = await self._answer(refund) if refund.status == "requested" else _as_it_is
        return await self._fulfillment.change(self._change(account_id, refund.order_id, decide)) if decide else None

    async def reported(self, report: RefundReport, notice: Notice | None = None) -> Verdict:
        """Act on a provider's word that it gave money back: ours, or somebody's in its own dashboard."""
        found = await store.order_of(self._tools.database, report) or await self._order_of(report)
        if found is None:
            return NotYet(f"no order was paid by {report.payment_reference}")
        done = await self._fulfillment.change(self._change(*found, partial(rules.given_back, report, notice)))
        return Accepted(*found, stored=done.written and notice is not None)

    async def sent_back(self, failure: RefundFailure, notice: Notice | None = None) -> Verdict:
        """Act on a provider's word that a refund failed, even after it had succeeded: the money is the seller's again."""
        told = RefundReport(failure.provider, failure.reference, failure.payment_reference, 0, "", failure.refund_id)
        found = await store.order_of(self._tools.database, told) or await self._order_of(told)
        if found is None:
            return NotYet(f"no order was paid by {failure.payment_reference}")
        done = await self._fulfillment.change(self._change(*found, partial(rules.sent_back, failure, notice)))
        return Accepted(*found, stored=done.written and notice is not None)

    async def paid(self, payment: Payment, notice: Notice | None = None) -> Verdict:
        """Act on a confirmed payment: it makes the order of its checkout, or, if another one has, it is given back."""
        verdict = await self._fulfillment.paid(payment, notice)
        if not isinstance(verdict, Accepted) or verdict.reference == payment.reference:
            return verdict
        log.warning("payment.second", order_id=verdict.order_id, reference=payment.reference, first=verdict.reference)
        change = self._change(verdict.account_id, verdict.order_id, partial(rules.second_payment, payment, notice))
        done = await self._fulfillment.change(change)
        return msgspec.structs.replace(verdict, stored=done.written and notice is not None)

    async def order_of_payment(self, provider: str, reference: str) -> tuple[str, str] | None:
        """Return the account and the order beside which a payment was made that is given back, or None."""
        return await store.order_of_payment(self._tools.database, provider, reference)

    async def list_refunds(self, account_id: str, order_id: str) -> list[RefundOut]:
        """Return the refunds of an order, oldest first; raise NotFound for an order that is not the account's."""
        order = await orders.read(self._tools, account_id, order_id)
        return [_shown(one) for one in await store.of_order(self._tools.database, account_id, order.id)]

    def _change(self, account_id: str, order_id: str, decide: Decide) -> Change:
        return Change(account_id=account_id, order_id=order_id, decide=decide, beside=self._of_order)

    async def _of_order(self, order: Order) -> list[RefundNote]:
        return [one.note for one in await store.of_order(self._tools.database, order.account_id, order.id)]

    async def _read(self, account_id: str, refund_id: str) -> RefundNote:
        return (await store.by_keys(self._tools.database, [(account_id, refund_id)]))[account_id, refund_id].note

    async def _answer(self, refund: RefundNote) -> Decide | None:
        """Ask the provider, and return what follows from its answer; None if there was none."""
        provider = self._providers.get(refund.provider)
        if provider is None:
            return partial(rules.refused, refund.id, f"{refund.provider} is not in use here")
        request = RefundRequest(refund.id, refund.payment_reference, refund.amount, refund.currency, refund.reason)
        try:
            answer = await provider.refund(request)
        except Exception as error:  # noqa: BLE001  # whatever it was, nobody knows what the provider did
            log.warning("refund.unanswered", refund_id=refund.id, order_id=refund.order_id, error=repr(error))
            return None
        if isinstance(answer, Refused):
            log.warning("refund.refused", refund_id=refund.id, order_id=refund.order_id, reason=answer.reason)
            return partial(rules.refused, refund.id, answer.reason)
        return partial(rules.given_back, answer, None)

    async def _order_of(self, report: RefundReport) -> tuple[str, str] | None:
        order = await orders.by_payment(self._tools, report.provider, report.payment_reference)
        return (order.account_id, order.id) if order else None

    async def _give_claim_back(self, asked: AskedBySeller) -> None:
        """Forget the answer that was true until the provider refused: the same request may be tried again."""
        if asked.claim:
            await self._records.withdraw(asked.claim)


def _as_it_is(*_: object) -> None:
    """Change nothing."""


def _shown(refund: Refund) -> RefundOut:
    note = refund.note
    return RefundOut(
        id=note.id,
        order_id=note.order_id,
        amount=note.amount,
        currency=note.currency,
        reason=note.reason,
        origin=note.origin,
        status=note.status,
        payment_reference=note.payment_reference,
        provider=note.provider,
        error=note.error,
        created_at=refund.requested_at,
        ended_at=refund.ended_at,
    )
