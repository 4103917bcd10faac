"""An order: a paid purchase. Its statuses, and which may follow which, are data."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from purvey.server.kit.states import StateTable

ContentType = Literal["static", "generated", "webhook", "dynamic"]
OnLate = Literal["remind", "refund", "fallback"]
"""What follows when the content is not there in time: the seller is reminded, the buyer gets the money back, or a fixed text."""


class Promise(msgspec.Struct, frozen=True):
    """What a seller promises about the time: content `within` seconds of the payment, or else `on_late`; `text` is its fallback."""

    within: int
    on_late: OnLate
    text: str | None = None


class Status(StrEnum):
    """How far an order has got."""

    PAID = "paid"
    """In: the payment was confirmed. Out: at once, in the same transaction, by its content type. Never stays."""
    PROCESSING = "processing"
    """In: paid, and the content is yet to be made. Out: `deliver` or `fulfill`. Stays until the seller delivers."""
    FULFILLED = "fulfilled"
    """In: the buyer has a grant to the content. Out: never. Final."""
    HANDED_OFF = "handed_off"
    """In: paid, and delivery is another system's (content type webhook). Out: never. Final."""


TABLE: StateTable[Status] = StateTable(
    start=Status.PAID,
    moves={
        Status.PAID: frozenset({Status.FULFILLED, Status.PROCESSING, Status.HANDED_OFF}),
        Status.PROCESSING: frozenset({Status.FULFILLED}),
        Status.FULFILLED: frozenset(),
        Status.HANDED_OFF: frozenset(),
    },
)


class PaymentStatus(StrEnum):
    """Whether the money is still the seller's."""

    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `orders`. JSON documents are kept as their bytes (`msgspec.Raw`) and passed on unparsed.

    `refund_amount` has gone back to the buyer, `refund_pending` was asked of the provider and is not answered yet. `fresh_links` is
    how many links the buyer asked for. `dispute_reference` is the provider's id of the dispute that is told here, and
    `dispute_told_at` its instant of what we know of it last. `fulfill_due_at` is the seller's promise, if there is one, `on_late`
    what follows when it is not kept; `late_at` is when that was found. While `held_at` is there,
    its payment may be fraud, and nothing of it opens. `delivery_error` says why the call to its seller's server failed.
    """

    account_id: str
    id: str
    version: int
    checkout_id: str
    listing_id: str
    content_type: ContentType
    status: Status
    payment_status: PaymentStatus
    dispute_status: str | None = None
    delivery_status: str | None = None
    buyer_email: str
    amount: int
    currency: str
    checkout_data: msgspec.Raw
    deliverables: tuple[str, ...]
    delivered_items: msgspec.Raw | None = None
    metadata: msgspec.Raw
    listing: msgspec.Raw
    seller: msgspec.Raw
    payment_provider: str
    payment_reference: str
    refund_amount: int = 0
    refund_pending: int = 0
    grant_after: int
    grant_downloads: int
    access_hash: bytes
    access_sealed: bytes
    fresh_links: int = 0
    dispute_reference: str | None = None
    dispute_reason: str | None = None
    dispute_due_at: datetime | None = None
    dispute_told_at: datetime | None = None
    fulfill_due_at: datetime | None = None
    on_late: OnLate = "remind"
    late_text: str | None = None
    late_at: datetime | None = None
    held_at: datetime | None = None
    delivery_error: str | None = None
    paid_at: datetime
    fulfilled_at: datetime | None = None
    handed_off_at: datetime | None = None
    refunded_at: datetime | None = None
    disputed_at: datetime | None = None
    created_at: datetime


class Step(msgspec.Struct, frozen=True):
    """One row of an order's history: the transition `action` that led to `version`.

    `mark` tells the command that made it from all others; `detail` is what the action's name does not say. These are the attributes
    of the SQL type `order_step`, in its order.
    """

    account_id: str
    order_id: str
    version: int
    action: str
    from_status: str | None
    to_status: str
    actor: str
    mark: str | None = None
    detail: msgspec.Raw | None = None


class HistoryEntry(msgspec.Struct, frozen=True):
    """A step as the API shows it. `detail` of a corrected address is the one `before` and the one `after`."""

    version: int
    action: str
    from_status: str | None
    to_status: str
    actor: str
    changed_at: datetime
    detail: dict[str, str] | None = None
