"""Stripe as a provider: sessions opened, payments found, refunds made, notices verified."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
import structlog

from purvey.server.errors import Conflict, Unavailable
from purvey.server.kit.tools import Tools
from purvey.server.payments.model import Notice, Payment, RefundReport, RefundRequest, Refused, SessionRequest
from purvey.server.payments.provider import BadSignatureError
from purvey.server.payments.stripe import rules, store
from purvey.server.payments.stripe.client import StripeRefusedError, Stripes
from purvey.server.payments.stripe.merchants import Merchants
from purvey.server.payments.stripe.model import (
    NAME,
    Event,
    Merchant,
    Options,
    Refund,
    SessionRow,
    Told,
    Whose,
)
from purvey.server.payments.stripe.package import stripe

log = structlog.get_logger()

SIGNATURE_HEADER = "stripe-signature"
AT_ONCE = frozenset({"checkout.session.completed", "checkout.session.async_payment_succeeded"})
"""Notices that are acted on while Stripe waits: a buyer waits too, and nobody has to be asked. The others wait for the queue."""


class RefundUnderWayError(Exception):
    """Stripe has taken the refund and does not know yet what will come of it."""


class StripeProvider:
    """Takes real money, by Stripe's Checkout Sessions."""

    name = NAME

    def __init__(self, tools: Tools, stripes: Stripes, merchants: Merchants, options: Options) -> None:
        self._tools = tools
        self._stripes = stripes
        self._merchants = merchants
        self._options = options

    async def start(self, session: SessionRequest) -> str:
        """Open a Checkout Session and return its URL.

        Raises Conflict with a sentence for the buyer when the amount cannot be paid or nobody can take it, Unavailable when
        Stripe does not answer.
        """
        merchant = await self._merchants.of_account(session.account_id)
        if merchant is None:
            raise Conflict("This shop cannot take payments yet.")
        try:
            params = rules.session_of(session, merchant, self._options)
            opened = await self._stripes.open_session(merchant, params, f"purvey-{session.checkout_id}")
        except (ValueError, StripeRefusedError) as error:
            log.warning("stripe.no_session", account_id=session.account_id, reason=str(error))
            raise Conflict(f"This cannot be paid for at the moment: {str(error).rstrip('.')}.") from None
        # Our books come before anybody has the URL: what is not in them can pay for nothing.
        row = SessionRow(opened.id, session.checkout_id, session.account_id, merchant.whose)
        await store.add_session(self._tools.database, row, self._tools.clock.now())
        return opened.url or session.cancel_url

    async def find_payment(self, checkout_id: str) -> Payment | None:
        """Ask Stripe whether a checkout's session was paid; None also when Stripe does not answer: its notice will come."""
        row = await store.session_of(self._tools.database, checkout_id)
        merchant = await self._merchants.at(row.whose) if row else None
        if row is None or merchant is None:
            return None
        try:
            payment = rules.payment_of(await self._stripes.session(merchant, row.id), row.checkout_id)
        except (Unavailable, StripeRefusedError, Conflict):
            return None
        if payment is not None:
            await store.add_payment(self._tools.database, payment.reference, row.id)
        return payment

    async def refund(self, request: RefundRequest) -> RefundReport | Refused:
        """Give money back, once for each id of ours, even when Stripe has forgotten our idempotency key (after 24 hours)."""
        row = await store.session_paid_by(self._tools.database, request.payment_reference)
        merchant = await self._merchants.at(row.whose) if row else None
        if row is None or merchant is None:
            return Refused(f"there is no key any more for the payment {request.payment_reference}")
        try:
            known, took_fee = await asyncio.gather(self._known(merchant, request), self._took_fee(merchant, request))
            params = rules.refund_of(request, took_fee=took_fee)
            made = known or await self._stripes.make_refund(merchant, params, f"purvey-{request.id}")
        except (ValueError, StripeRefusedError) as error:
            return Refused(str(error).rstrip("."))
        return self._report(made, request)

    async def _known(self, merchant: Merchant, request: RefundRequest) -> Refund | None:
        made = await self._stripes.refunds_of(merchant, payment_intent=request.payment_reference)
        return next((one for one in made if rules.is_asked_by(one, request.id)), None)

    async def _took_fee(self, merchant: Merchant, request: RefundRequest) -> bool:
        """Return whether the payment has a share of the installation's; Stripe refuses to give back what was never taken.

        Today's share says nothing of that: it may have been another one then, or have come to nothing.
        """
        if merchant.whose.stripe_account is None:
            return False
        return bool((await self._stripes.intent(merchant, request.payment_reference)).application_fee_amount)

    def _report(self, made: Refund, request: RefundRequest) -> RefundReport | Refused:
        if made.status in {"failed", "canceled"}:
            return Refused(f"the refund {made.status}: {made.failure_reason or 'the bank gave no reason'}")
        if made.status != "succeeded":
            raise RefundUnderWayError(made.id)
        return RefundReport(
            NAME, made.id, request.payment_reference, request.amount, request.currency, refund_id=request.id
        )

    async def verify(self, headers: Mapping[str, str], body: bytes, account_id: str | None = None) -> Notice:
        """Check a notice's signature and age, and return what it says. `account_id` is whose own Stripe account sends it."""
        merchant = await self._merchants.at(Whose(account_id))
        secrets = merchant.webhook_secrets if merchant else ()
        _check_signature(headers.get(SIGNATURE_HEADER, ""), body, secrets, self._tools.clock.now())
        try:
            event = msgspec.json.decode(body, type=Event)
        except msgspec.DecodeError as error:
            raise BadSignatureError(f"The notice is no event of Stripe's: {error}.") from None
        return notice_of(event, body, Whose(account_id, event.account))


def notice_of(event: Event, body: bytes, whose: Whose) -> Notice:
    """Return an event as a notice: by Stripe's id, to be read when it is acted on."""
    at = datetime.fromtimestamp(event.created, UTC)
    told = Told(id=event.id, type=event.type, at=at, live=event.livemode, whose=whose)
    return Notice(NAME, event.id, "stripe.event", body.decode(), told, at_once=event.type in AT_ONCE)


def _check_signature(header: str, body: bytes, secrets: tuple[str, ...], now: datetime) -> None:
    """Raise BadSignatureError unless one of the secrets signed the body lately: by our clock, which is the database's."""
    if not secrets:
        raise BadSignatureError("No secret is set here that such a notice could be signed with.")
    if not any(_signed(header, body, secret) for secret in secrets):
        raise BadSignatureError("The signature does not fit the body: another endpoint's secret, or a changed body.")
    # The first one, as the package has it: a second `t=` would make an old notice young.
    signed_at = int(next(part for part in header.split(",") if part.startswith("t=")).removeprefix("t="))
    if not rules.is_good_at(signed_at, now):
        raise BadSignatureError(
            f"The notice was signed more than {rules.TOLERANCE} seconds ago, or in the future. See whether the clocks are right."
        )


def _signed(header: str, body: bytes, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, UnicodeError):
        return False
