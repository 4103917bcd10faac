"""Whose payments Stripe takes, and those fields of Stripe's objects that we read."""

from datetime import datetime
from typing import Literal

import msgspec

NAME = "stripe"
"""The provider's name: in orders, in notices, and in the path that notices come to."""
CHECKOUT = "purvey_checkout"
"""The key of the metadata that names our checkout, on sessions and payment intents."""
REFUND = "purvey_refund"
"""The key of the metadata that names our refund."""
REASON = "purvey_reason"
"""The key of the metadata that keeps the seller's reason of a refund: Stripe itself knows three."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of Stripe. `secret_key` None: only accounts with their own key can take payments."""

    secret_key: str | None = None
    webhook_secrets: tuple[str, ...] = ()
    api_base: str = "https://api.stripe.com"
    statement_descriptor: str | None = None
    tax: bool = False
    promotion_codes: bool = False


class Whose(msgspec.Struct, frozen=True):
    """Which Stripe something is at: `owner` is the account whose own key opens it (None: the installation's key does).

    `stripe_account` is the connected account (acct_...) that the installation's key acts for.
    """

    owner: str | None = None
    stripe_account: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe says of a merchant: whether it may take payments, and what it has to do first."""

    charges_enabled: bool
    due: tuple[str, ...] = ()
    disabled_reason: str | None = None


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes payments. `fee_basis_points` is the installation's share of each (100 is one per cent)."""

    whose: Whose
    secret_key: str
    webhook_secrets: tuple[str, ...]
    fee_basis_points: int = 0
    standing: Standing | None = None

    @property
    def live(self) -> bool:
        """Whether its key takes real money."""
        return is_live(self.secret_key)


def is_live(secret_key: str) -> bool:
    """Return whether a secret or restricted key takes real money."""
    return secret_key.startswith(("sk_live_", "rk_live_"))


class SessionRow(msgspec.Struct, frozen=True):
    """A session that we opened."""

    id: str
    checkout_id: str
    account_id: str
    whose: Whose


class Metadata(msgspec.Struct, frozen=True):
    """Our own keys of an object's metadata."""

    purvey_checkout: str | None = None
    purvey_refund: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A Checkout Session. Amounts are in Stripe's minor units."""

    id: str
    payment_status: Literal["paid", "unpaid", "no_payment_required"]
    status: str | None = None
    amount_subtotal: int | None = None
    amount_total: int | None = None
    currency: str | None = None
    payment_intent: str | None = None
    metadata: Metadata | None = None
    url: str | None = None
    created: int = 0


class Intent(msgspec.Struct, frozen=True):
    """A payment intent. `application_fee_amount` is the installation's share of a connected account's payment."""

    id: str
    metadata: Metadata | None = None
    application_fee_amount: int | None = None


class Charge(msgspec.Struct, frozen=True):
    """A charge: one payment by one card."""

    id: str
    payment_intent: str | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund."""

    id: str
    amount: int
    currency: str
    status: str | None = None
    charge: str | None = None
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: Metadata | None = None


class EvidenceDetails(msgspec.Struct, frozen=True):
    """Until when evidence is taken, in seconds since 1970."""

    due_by: int | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute, or a bank's inquiry before one (its statuses begin with `warning_`)."""

    id: str
    status: str
    reason: str
    charge: str | None = None
    payment_intent: str | None = None
    evidence_details: EvidenceDetails | None = None


class Warned(msgspec.Struct, frozen=True):
    """An early fraud warning: the card's network expects this payment to be disputed as fraud."""

    id: str
    charge: str
    fraud_type: str
    payment_intent: str | None = None


class Requirements(msgspec.Struct, frozen=True):
    """What Stripe wants to know before, or while, it takes payments for somebody."""

    currently_due: tuple[str, ...] = ()
    past_due: tuple[str, ...] = ()
    disabled_reason: str | None = None


class StripeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account at Stripe."""

    id: str
    charges_enabled: bool = False
    requirements: Requirements | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """Where Stripe sends notices."""

    url: str
    status: str
    enabled_events: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True):
    """Something about a merchant that keeps money from being taken, or from being heard of (`problem`), or might (`warning`)."""

    level: Literal["problem", "warning"]
    says: str
    remedy: str


class EventData(msgspec.Struct, frozen=True):
    """What an event is about, as it was at that moment."""

    object: msgspec.Raw


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as notices carry it. `account` is the connected account that it happened at."""

    id: str
    type: str
    created: int
    livemode: bool
    data: EventData
    account: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A notice of Stripe's, in Stripe's own words: `whose` key signed it. The object itself is in the notice's payload."""

    id: str
    type: str
    at: datetime
    live: bool
    whose: Whose
