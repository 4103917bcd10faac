"""What a provider tells us, and what we ask of it."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import msgspec

from purvey.server.payments.stripe.model import Told


class Payment(msgspec.Struct, frozen=True):
    """A payment that a provider confirmed for a checkout. `reference` is the provider's own id; `amount` is in minor units.

    `total` is what was paid in the end, where tax was added or a discount taken off; None: the amount.
    """

    provider: str
    reference: str
    checkout_id: str
    amount: int
    currency: str
    total: int | None = None


class RefundReport(msgspec.Struct, frozen=True):
    """A refund that a provider made. `reference` is its own id; `refund_id` is ours, if it was we who asked for it."""

    provider: str
    reference: str
    payment_reference: str
    amount: int
    currency: str
    refund_id: str | None = None


class RefundFailure(msgspec.Struct, frozen=True):
    """A refund that the bank sent back, perhaps days after it succeeded: the money is the seller's again."""

    provider: str
    reference: str
    payment_reference: str
    reason: str
    refund_id: str | None = None


class FraudWarning(msgspec.Struct, frozen=True):
    """A card network's early warning: the cardholder says that this payment was not theirs. A dispute will follow."""

    provider: str
    reference: str
    payment_reference: str
    kind: str


DisputeStatus = Literal["needs_response", "under_review", "won", "lost"]
"""The seller is to answer; the bank has the answer; the money stays with the seller; the money went back to the buyer."""


class DisputeReport(msgspec.Struct, frozen=True):
    """How a dispute stands at the provider's instant `at`. The seller's evidence must have come by `due_at`."""

    provider: str
    reference: str
    payment_reference: str
    status: DisputeStatus
    at: datetime
    reason: str | None = None
    due_at: datetime | None = None


NoticeType = Literal[
    "payment.succeeded",
    "refund.succeeded",
    "refund.failed",
    "dispute.opened",
    "dispute.updated",
    "dispute.closed",
    "fraud.warned",
    "stripe.event",
]
Said = Payment | RefundReport | RefundFailure | DisputeReport | FraudWarning | Told

SAYS: Mapping[str, type[Said]] = MappingProxyType(
    {
        "payment.succeeded": Payment,
        "refund.succeeded": RefundReport,
        "refund.failed": RefundFailure,
        "dispute.opened": DisputeReport,
        "dispute.updated": DisputeReport,
        "dispute.closed": DisputeReport,
        "fraud.warned": FraudWarning,
        "stripe.event": Told,
    }
)
"""Notice type -> what such a notice says."""


class Notice(msgspec.Struct, frozen=True):
    """A verified notice. `payload` is the text that was signed; `said` is what it says, in our words.

    One that is not to be acted on `at_once` is stored, and waits for the queue: somebody may have to be asked first.
    """

    provider: str
    id: str
    type: NoticeType
    payload: str
    said: Said
    at_once: bool = True


class Unsettled(msgspec.Struct, frozen=True):
    """A notice that waits for another try (`outcome` None), or was refused, and why."""

    id: str
    type: str
    outcome: str | None
    reason: str | None
    tries: int
    received_at: datetime


class NewNotice(msgspec.Struct, frozen=True):
    """A notice to be stored as handled: the attributes of the SQL type `notice_new`, in its order."""

    provider: str
    id: str
    type: str
    payload: str
    said: msgspec.Raw
    order_id: str


def handled(notice: Notice, order_id: str) -> NewNotice:
    """Return `notice` as it is stored with what it brought about for an order."""
    said = msgspec.Raw(msgspec.json.encode(notice.said))
    return NewNotice(notice.provider, notice.id, notice.type, notice.payload, said, order_id)


RefundStatus = Literal["requested", "succeeded", "failed"]
RefundOrigin = Literal["seller", "provider", "deadline", "second_payment"]
"""Who wanted it: the seller through the API, somebody in the provider's own dashboard, the deadline of the order, or we ourselves,
because the buyer paid one checkout twice."""


class RefundNote(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as it is now: the attributes of the SQL type `refund_note`, in its order. `reference` is the provider's own id."""

    account_id: str
    id: str
    order_id: str
    provider: str
    payment_reference: str
    amount: int
    currency: str
    reason: str | None
    origin: RefundOrigin
    status: RefundStatus
    reference: str | None = None
    error: str | None = None


class RefundRequest(msgspec.Struct, frozen=True):
    """What we ask of a provider. `id` is our own: asked again with the same one, the provider makes no second refund."""

    id: str
    payment_reference: str
    amount: int
    currency: str
    reason: str | None


class Accepted(msgspec.Struct, frozen=True):
    """What was told has been acted on; the order exists. `stored` says whether the notice was stored in the same transaction.

    `reference` is the payment that the order was made of.
    """

    account_id: str
    order_id: str
    stored: bool
    reference: str = ""


class Refused(msgspec.Struct, frozen=True):
    """What was told fits nothing of ours, or what was asked will not be done; no later try will change that."""

    reason: str


class NotYet(msgspec.Struct, frozen=True):
    """What was told is about something that we do not know yet: another notice, which is under way, may bring it."""

    reason: str


class Noted(msgspec.Struct, frozen=True):
    """What was told asks for nothing: it is about nothing of ours, or tells of what we need not act on."""

    reason: str


Verdict = Accepted | Refused | NotYet | Noted


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider needs to take a payment for an account, until `expires_at`.

    The buyer comes back to `return_url`, and to `cancel_url` without having paid.
    """

    account_id: str
    checkout_id: str
    amount: int
    currency: str
    description: str
    buyer_email: str
    expires_at: datetime
    return_url: str
    cancel_url: str
