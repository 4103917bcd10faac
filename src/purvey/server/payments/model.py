"""What a provider tells us."""

from typing import Literal

import msgspec


class Payment(msgspec.Struct, frozen=True):
    """A payment that a provider confirmed for a checkout. `reference` is the provider's own id; `amount` is in minor units."""

    provider: str
    reference: str
    checkout_id: str
    amount: int
    currency: str


NoticeType = Literal["payment.succeeded"]


class Notice(msgspec.Struct, frozen=True):
    """A verified notice. `payload` is the text that was signed; `said` is what it says, in our words."""

    provider: str
    id: str
    type: NoticeType
    payload: str
    said: Payment


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


class Accepted(msgspec.Struct, frozen=True):
    """The payment's order exists. `stored` says whether the notice was stored in the same transaction."""

    account_id: str
    order_id: str
    stored: bool


class Refused(msgspec.Struct, frozen=True):
    """The payment fits no checkout of ours; no later try will change that."""

    reason: str


Verdict = Accepted | Refused


class SessionRequest(msgspec.Struct, frozen=True):
    """What a provider needs to take a payment."""

    checkout_id: str
    amount: int
    currency: str
    description: str
    buyer_email: str
