"""What is asked of Stripe, and what its answers come to. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from purvey.server.kit import money
from purvey.server.payments.model import DisputeStatus, Payment, RefundRequest, SessionRequest
from purvey.server.payments.stripe.model import (
    CHECKOUT,
    NAME,
    REASON,
    REFUND,
    Dispute,
    Merchant,
    Options,
    Refund,
    Requirements,
    Session,
    Standing,
    StripeAccount,
)

TOLERANCE = 300
"""Seconds that a signed notice stays good, either way; as the official package has it."""
SPARE = timedelta(minutes=2)
"""How much longer than our checkout a session stays open: Stripe wants half an hour at least, by its own clock."""
LONGEST_NAME = 250
"""Characters of a product's name that Stripe shows."""

FACTORS: Mapping[str, tuple[int, int]] = MappingProxyType({"ISK": (100, 1), "UGX": (100, 1), "MGA": (1, 100)})
"""Where Stripe's minor units are not those of ISO 4217: (times, divided by). Króna and shilling are written with two decimals that
must be 00, the ariary without any."""

ROUND = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals, of which the last must be 0."""

LEAST: Mapping[str, int] = MappingProxyType(
    {
        "AED": 200,
        "AUD": 50,
        "BGN": 100,
        "BRL": 50,
        "CAD": 50,
        "CHF": 50,
        "CZK": 1500,
        "DKK": 250,
        "EUR": 50,
        "GBP": 30,
        "HKD": 400,
        "HUF": 17500,
        "INR": 50,
        "JPY": 50,
        "MXN": 1000,
        "MYR": 200,
        "NOK": 300,
        "NZD": 50,
        "PLN": 200,
        "RON": 200,
        "SEK": 300,
        "SGD": 50,
        "THB": 1000,
        "USD": 50,
    }
)
"""The least that can be paid, in minor units. In other currencies it is what half a dollar comes to, which Stripe alone knows."""

REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
"""The reasons of a refund that Stripe knows."""

DISPUTES: Mapping[str, DisputeStatus] = MappingProxyType(
    {
        "needs_response": "needs_response",
        "under_review": "under_review",
        "won": "won",
        "lost": "lost",
        # An appeal against a lost one: until it is decided, the money stays with the buyer.
        "appeal_needs_response": "lost",
        "appeal_under_review": "lost",
        # A bank's inquiry: no money has moved yet.
        "warning_needs_response": "needs_response",
        "warning_under_review": "under_review",
        "warning_closed": "won",
        # Settled before it became a dispute; the refund that settled it is told by itself.
        "prevented": "won",
    }
)
"""Stripe's status of a dispute -> ours."""


def to_stripe(amount: int, currency: str) -> int:
    """Return an amount in Stripe's minor units; raise ValueError with a sentence where Stripe cannot take it as a payment."""
    exact = to_stripe_exactly(amount, currency)
    if amount < LEAST.get(currency, 0):
        shown, least = money.display(amount, currency), money.display(LEAST[currency], currency)
        raise ValueError(f"{shown} is too little to be paid by card: the least is {least}")
    return exact


def from_stripe(amount: int, currency: str) -> int:
    """Return an amount of Stripe's in the minor units of ISO 4217."""
    times, by = FACTORS.get(currency.upper(), (1, 1))
    return amount * by // times


def session_of(asked: SessionRequest, merchant: Merchant, options: Options) -> dict[str, Any]:
    """Return the parameters of a new session; raise ValueError with a sentence where Stripe cannot take the amount."""
    amount = to_stripe(asked.amount, asked.currency)
    intent: dict[str, Any] = {"metadata": {CHECKOUT: asked.checkout_id}}
    if options.statement_descriptor:
        intent["statement_descriptor_suffix"] = options.statement_descriptor
    if merchant.whose.stripe_account and (fee := amount * merchant.fee_basis_points // 10_000):
        intent["application_fee_amount"] = fee
    product = {"name": asked.description[:LONGEST_NAME]}
    price = {"currency": asked.currency.lower(), "unit_amount": amount, "product_data": product}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "client_reference_id": asked.checkout_id,
        "metadata": {CHECKOUT: asked.checkout_id},
        "payment_intent_data": intent,
        "customer_email": asked.buyer_email,
        "success_url": asked.return_url,
        "cancel_url": asked.cancel_url,
        "expires_at": int((asked.expires_at + SPARE).timestamp()),
        # What was agreed on is what is paid: in our currency, not in one that Stripe would convert to.
        "adaptive_pricing": {"enabled": False},
    }
    if options.tax:
        params["automatic_tax"] = {"enabled": True}
    if options.promotion_codes:
        params["allow_promotion_codes"] = True
    return params


def refund_of(asked: RefundRequest, *, took_fee: bool) -> dict[str, Any]:
    """Return the parameters of a refund; if the installation took a share of the payment, it gives that back too.

    Raises ValueError with a sentence where Stripe has no such amount.
    """
    reason = asked.reason if asked.reason in REASONS else "requested_by_customer"
    metadata = {REFUND: asked.id} | ({REASON: asked.reason[:500]} if asked.reason else {})
    params: dict[str, Any] = {
        "payment_intent": asked.payment_reference,
        "amount": to_stripe_exactly(asked.amount, asked.currency),
        "reason": reason,
        "metadata": metadata,
    }
    if took_fee:
        params["refund_application_fee"] = True
    return params


def to_stripe_exactly(amount: int, currency: str) -> int:
    """Return an amount in Stripe's minor units, however small, as what is left to refund may be.

    Raises ValueError with a sentence where Stripe has no such amount: less would move than was asked for.
    """
    times, by = FACTORS.get(currency, (1, 1))
    shown = money.display(amount, currency)
    if currency in ROUND and amount % 10:
        raise ValueError(f"{shown} cannot be paid: the last of the three decimals must be 0 at Stripe")
    if amount % by:
        raise ValueError(f"{shown} cannot be paid: Stripe takes whole {currency} only")
    return amount * times // by


def payment_of(session: Session, checkout_id: str) -> Payment | None:
    """Return the payment of the checkout's session; None while it is not paid.

    `amount` is what was asked for; `total` what was paid, with tax and less a discount. What cost nothing in the end, by a
    promotion code, has no payment intent: its session stands for it.
    """
    if session.payment_status == "unpaid":
        return None
    currency = (session.currency or "").upper()
    return Payment(
        NAME,
        session.payment_intent or session.id,
        checkout_id,
        from_stripe(session.amount_subtotal or 0, currency),
        currency,
        from_stripe(session.amount_total or 0, currency),
    )


def due_at(dispute: Dispute) -> datetime | None:
    """Return until when the bank takes evidence."""
    due_by = dispute.evidence_details.due_by if dispute.evidence_details else None
    return datetime.fromtimestamp(due_by, UTC) if due_by else None


def standing_of(account: StripeAccount) -> Standing:
    """Return what an account's own words come to."""
    wants = account.requirements or Requirements()
    due = tuple(dict.fromkeys((*wants.past_due, *wants.currently_due)))
    return Standing(charges_enabled=account.charges_enabled, due=due, disabled_reason=wants.disabled_reason)


def is_asked_by(refund: Refund, refund_id: str) -> bool:
    """Return whether a refund of Stripe's is the one that we asked for by this id."""
    return refund.metadata is not None and refund.metadata.purvey_refund == refund_id


def is_good_at(signed_at: int, now: datetime) -> bool:
    """Return whether a notice that was signed then is still good."""
    return abs(now.timestamp() - signed_at) <= TOLERANCE
