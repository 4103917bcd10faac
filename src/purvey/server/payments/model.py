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
    """A verified notice. `payload` is the text that was signed; `payment` is what it says, in our words."""

    provider: str
    id: str
    type: NoticeType
    payload: str
    payment: Payment


class NewNotice(msgspec.Struct, frozen=True):
    """A notice to be stored as handled: the attributes of the SQL type `notice_new`, in its order."""

    provider: str
    id: str
    type: str
    payload: str
    payment: msgspec.Raw
    checkout_id: str


def handled(notice: Notice) -> NewNotice:
    """Return `notice` as it is stored with what it brought about."""
    payment = msgspec.Raw(msgspec.json.encode(notice.payment))
    return NewNotice(notice.provider, notice.id, notice.type, notice.payload, payment, notice.payment.checkout_id)


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
