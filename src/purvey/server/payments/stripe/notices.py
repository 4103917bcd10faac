"""What Stripe's notices come to.

Notices come late, twice, and in any order, and tell of an object as it was. So whatever may change more than once (a refund, a
dispute) is asked for anew, and what it is now is acted on. Each kind of notice has its answer: acted on, noted (there is nothing to
do), refused (it is about us and does not fit, for a person to see), or not yet (what it is about is still to come).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from purvey.server.kit.tools import Tools
from purvey.server.payments.model import (
    Accepted,
    DisputeReport,
    FraudWarning,
    Noted,
    Notice,
    NoticeType,
    RefundFailure,
    RefundReport,
    Refused,
    Verdict,
)
from purvey.server.payments.stripe import rules, store
from purvey.server.payments.stripe.client import StripeRefusedError, Stripes
from purvey.server.payments.stripe.merchants import Merchants
from purvey.server.payments.stripe.model import (
    NAME,
    Charge,
    Dispute,
    Event,
    Merchant,
    Refund,
    Session,
    SessionRow,
    StripeAccount,
    Told,
    Warned,
)

T = TypeVar("T")
Handler = Callable[[Any, Notice | None], Awaitable[Verdict]]
Reader = Callable[[Merchant, Told, Notice], Awaitable[Verdict]]

WANTED = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "account.updated",
)
"""The notices that mean something here; an endpoint at Stripe should send these."""


class StripeNotices:
    """Reads notices and hands on what they say to `handlers`, in our words."""

    def __init__(
        self, tools: Tools, stripes: Stripes, merchants: Merchants, handlers: Mapping[NoticeType, Handler]
    ) -> None:
        self._tools = tools
        self._stripes = stripes
        self._merchants = merchants
        self._handlers = handlers
        self._readers: Mapping[str, Reader] = {
            **{kind: self._session for kind in WANTED if kind.startswith("checkout.session.")},
            "charge.refunded": self._charge,
            **{kind: self._refund for kind in WANTED if kind.startswith("refund.")},
            **{kind: self._dispute for kind in WANTED if kind.startswith("charge.dispute.")},
            "radar.early_fraud_warning.created": self._warning,
            "account.updated": self._account,
        }

    async def act(self, told: Told, notice: Notice | None) -> Verdict:
        """Act on a notice; what is said without its text cannot be acted on."""
        merchant = await self._merchants.at(told.whose)
        if merchant is None or notice is None:
            return Refused("there is no key any more for whoever sent this")
        if told.live is not merchant.live:
            return Refused("a test payment, where real money is taken" if merchant.live else "real money, in test mode")
        if told.type not in self._readers:
            return Noted(f"{told.type} asks for nothing here")
        return await self._read(merchant, told, notice)

    async def _read(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:
        try:
            return await self._readers[told.type](merchant, told, notice)
        except msgspec.ValidationError as error:
            return Refused(f"it cannot be read: {error}")
        except StripeRefusedError as error:
            return Refused(f"Stripe does not know what it tells of: {error}")

    async def _session(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:
        session = _object(notice, Session)
        row = await store.session(self._tools.database, session.id)
        if row is None:
            named = session.metadata.purvey_checkout if session.metadata else None
            return Refused(f"it names {named}, for which we opened no such session") if named else NOT_OURS
        if row.whose != merchant.whose:
            return Refused("it is of a session that was opened for somebody else")
        payment = rules.payment_of(session, row.checkout_id)
        if payment is None:
            return Noted(_unpaid(told, session))
        await store.add_payment(self._tools.database, payment.reference, row.id)
        return await self._handlers["payment.succeeded"](payment, notice)

    async def _charge(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:  # noqa: ARG002  # as its neighbours
        """Act on every refund of a charge: the notice itself tells their sum alone."""
        charge = _object(notice, Charge)
        verdict: Verdict = Noted("no refund of it is there")
        for refund in await self._stripes.refunds_of(merchant, charge=charge.id):
            verdict = await self._refunded(merchant, refund, None)
            if not isinstance(verdict, Accepted):
                return verdict
        return verdict

    async def _refund(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:  # noqa: ARG002  # as its neighbours
        refund = await self._stripes.refund(merchant, _object(notice, Refund).id)
        return await self._refunded(merchant, refund, notice)

    async def _refunded(self, merchant: Merchant, refund: Refund, notice: Notice | None) -> Verdict:
        row, reference = await self._paid(merchant, refund.payment_intent, refund.charge)
        if row is None:
            return NOT_OURS
        if refund.status in {"failed", "canceled"}:
            reason = refund.failure_reason or "the bank gave no reason"
            failure = RefundFailure(NAME, refund.id, reference, reason, _asked_as(refund))
            return await self._handlers["refund.failed"](failure, notice)
        if refund.status != "succeeded":
            return Noted(f"the refund is {refund.status}; what comes of it will be told")
        currency = refund.currency.upper()
        amount = rules.from_stripe(refund.amount, currency)
        report = RefundReport(NAME, refund.id, reference, amount, currency, _asked_as(refund))
        return await self._handlers["refund.succeeded"](report, notice)

    async def _dispute(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:  # noqa: ARG002  # as its neighbours
        # Taken before it is asked for: who asked later, and was told something newer, is later.
        asked_at = self._tools.clock.now()
        dispute = await self._stripes.dispute(merchant, _object(notice, Dispute).id)
        row, reference = await self._paid(merchant, dispute.payment_intent, dispute.charge)
        if row is None:
            return NOT_OURS
        status = rules.DISPUTES.get(dispute.status)
        if status is None:
            return Refused(f"a dispute that is {dispute.status}, which nobody here understands")
        due_at = rules.due_at(dispute)
        report = DisputeReport(NAME, dispute.id, reference, status, asked_at, dispute.reason, due_at)
        return await self._handlers["dispute.updated"](report, notice)

    async def _warning(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:  # noqa: ARG002  # as its neighbours
        warned = _object(notice, Warned)
        row, reference = await self._paid(merchant, warned.payment_intent, warned.charge)
        if row is None:
            return NOT_OURS
        return await self._handlers["fraud.warned"](FraudWarning(NAME, warned.id, reference, warned.fraud_type), notice)

    async def _account(self, merchant: Merchant, told: Told, notice: Notice) -> Verdict:
        standing = rules.standing_of(_object(notice, StripeAccount))
        await store.set_standing(self._tools.database, merchant.whose, standing, told.at)
        return Noted("it is known now")

    async def _paid(
        self, merchant: Merchant, intent_id: str | None, charge_id: str | None
    ) -> tuple[SessionRow | None, str]:
        """Return the session that a payment paid, if it is one of ours and of this merchant's, and the payment's reference.

        A payment that we have not heard of yet is asked for; it says which checkout it is for.
        """
        if intent_id is None and charge_id is not None:
            intent_id = (await self._stripes.charge(merchant, charge_id)).payment_intent
        if intent_id is None:
            return None, ""
        row = await store.session_paid_by(self._tools.database, intent_id)
        if row is None:
            intent = await self._stripes.intent(merchant, intent_id)
            named = intent.metadata.purvey_checkout if intent.metadata else None
            row = await store.session_of(self._tools.database, named) if named else None
            if row and row.whose == merchant.whose:
                await store.add_payment(self._tools.database, intent_id, row.id)
        return (row if row and row.whose == merchant.whose else None), intent_id


NOT_OURS = Noted("it is about nothing that was sold here")


def _object(notice: Notice, kind: type[T]) -> T:
    return msgspec.json.decode(msgspec.json.decode(notice.payload, type=Event).data.object, type=kind)


def _asked_as(refund: Refund) -> str | None:
    return refund.metadata.purvey_refund if refund.metadata else None


def _unpaid(told: Told, session: Session) -> str:
    match told.type.rpartition(".")[2]:
        case "expired":
            return "nobody paid in time"
        case "async_payment_failed":
            return "the buyer's bank did not pay"
        case _:
            return f"the session is {session.status}, and the buyer's bank has yet to pay"
