"""The order as others see it: whole in the API, and as plain facts in events (DF-7, EV-9)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.orders.model import ContentType, Order, PaymentStatus, Status

FULFILLMENT: dict[str, Literal["managed", "external"]] = {
    "static": "managed",
    "generated": "external",
    "webhook": "external",
    "dynamic": "external",
}
"""The older word for each content type: who makes the content, Purvey's listing or the seller's system."""

NOTHING = msgspec.Raw(b"null")
"""What is delivered before anything is."""


class PaymentOut(msgspec.Struct, frozen=True):
    """Who confirmed the payment, and its own id for it."""

    provider: str
    reference: str


class DeliverableFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deliverable without what it holds. `key_pool`: each order gets a key of its own in its place."""

    id: str
    type: str
    key_pool: bool = False


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The order as the `data` of an event: everything a seller's program needs, and nothing that opens the content."""

    object: Literal["order"] = "order"
    id: str
    order_id: str
    account_id: str
    listing_id: str
    status: Status
    content_type: ContentType
    fulfillment: Literal["managed", "external"]
    payment_status: PaymentStatus
    delivery_status: str | None
    dispute_status: str | None
    buyer_email: str
    quantity: int = 1
    amount: int
    currency: str
    checkout_data: msgspec.Raw
    deliverables: Sequence[DeliverableFacts]
    metadata: msgspec.Raw
    listing: msgspec.Raw
    payment: PaymentOut
    refund_amount: int
    refund_pending: int
    dispute_reason: str | None
    dispute_due_at: datetime | None
    fulfill_due_at: datetime | None
    late_at: datetime | None
    paid_at: datetime
    fulfilled_at: datetime | None
    handed_off_at: datetime | None
    refunded_at: datetime | None
    disputed_at: datetime | None
    created_at: datetime


class DeliverableOut(msgspec.Struct, frozen=True):
    """A deliverable, whole. `value` is the URL or the text, `token` the file's id.

    `key_pool` marks the place of a listing's licence keys, which has no value; an order has its own key there, as a text.
    """

    id: str
    type: str
    value: str | None = None
    token: str | None = None
    format: str | None = None
    key_pool: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    object: Literal["deliverable"] = "deliverable"


class Action(msgspec.Struct, frozen=True):
    """Something the seller should do next, and the request that does it."""

    code: str
    kind: Literal["api", "human"]
    priority: Literal["required", "suggested"]
    message: str
    resolve: dict[str, str]


class OrderReadiness(msgspec.Struct, frozen=True):
    """Whether the buyer has what was bought, and otherwise what to do about it."""

    fulfilled: bool
    actions: Sequence[Action] = ()
    next: Action | None = None


class OrderOut(OrderFacts, frozen=True, kw_only=True):
    """The order as the API shows it to its seller."""

    deliverables: Sequence[DeliverableOut]  # type: ignore[assignment]  # the same list, with what each holds
    delivered_items: msgspec.Raw
    access_url: str | None
    held_at: datetime | None
    readiness: OrderReadiness


def facts(order: Order, deliverables: Sequence[DeliverableFacts]) -> dict[str, object]:
    """Return the fields that every view of `order` shares."""
    return {
        "id": order.id,
        "order_id": order.id,
        "account_id": order.account_id,
        "listing_id": order.listing_id,
        "status": order.status,
        "content_type": order.content_type,
        "fulfillment": FULFILLMENT[order.content_type],
        "payment_status": order.payment_status,
        "delivery_status": order.delivery_status,
        "dispute_status": order.dispute_status,
        "buyer_email": order.buyer_email,
        "amount": order.amount,
        "currency": order.currency,
        "checkout_data": order.checkout_data,
        "deliverables": deliverables,
        "metadata": order.metadata,
        "listing": order.listing,
        "payment": PaymentOut(order.payment_provider, order.payment_reference),
        "refund_amount": order.refund_amount,
        "refund_pending": order.refund_pending,
        "dispute_reason": order.dispute_reason,
        "dispute_due_at": order.dispute_due_at,
        "fulfill_due_at": order.fulfill_due_at,
        "late_at": order.late_at,
        "paid_at": order.paid_at,
        "fulfilled_at": order.fulfilled_at,
        "handed_off_at": order.handed_off_at,
        "refunded_at": order.refunded_at,
        "disputed_at": order.disputed_at,
        "created_at": order.created_at,
    }


def event_data(order: Order, deliverables: Sequence[DeliverableFacts]) -> str:
    """Return `order` as an event's data: the very text that is stored, served and sent."""
    return msgspec.json.encode(OrderFacts(**facts(order, deliverables))).decode()  # type: ignore[arg-type]  # named above


def readiness(order: Order) -> OrderReadiness:
    """Return what is still to be done for the buyer of `order`."""
    if order.payment_status is PaymentStatus.REFUNDED:
        return OrderReadiness(fulfilled=order.status is Status.FULFILLED)
    if order.held_at is not None:
        return _held(order)
    if order.status is not Status.PROCESSING:
        return OrderReadiness(fulfilled=order.status is Status.FULFILLED)
    if order.content_type == "static":
        return _without_key(order)
    actions = _missing(order)
    return OrderReadiness(fulfilled=False, actions=actions, next=actions[0] if actions else None)


def _held(order: Order) -> OrderReadiness:
    """Return the choice that the seller of a suspect order has. What is made for it meanwhile opens when it is released."""
    refund = Action(
        code="fraud_suspected",
        kind="api",
        priority="required",
        message="The card's network warns of fraud, and the order is on hold. A refund prevents the dispute that mostly follows.",
        resolve={"method": "POST", "endpoint": f"/v1/orders/{order.id}/refund"},
    )
    release = Action(
        code="release_hold",
        kind="api",
        priority="suggested",
        message="Or, if you know the buyer, release the order.",
        resolve={"method": "POST", "endpoint": f"/v1/orders/{order.id}/release"},
    )
    fulfilled = order.status is Status.FULFILLED
    return OrderReadiness(fulfilled=fulfilled, actions=(refund, release), next=refund)


def _missing(order: Order) -> tuple[Action, ...]:
    """Return what the seller is to do; nothing while the seller's server is being called."""
    late = order.late_at is not None
    if order.delivery_status == "pending" and not late:
        return ()
    failed = order.delivery_status == "failed"
    waits = (
        "The buyer has paid and waits, longer than promised."
        if late
        else "The buyer has paid and waits for the content."
    )
    by_hand = Action(
        code="fulfillment_late" if late else "fulfillment_pending",
        kind="api",
        priority="suggested" if failed else "required",
        message=waits if failed else f"{waits}{_why(order)}",
        resolve={"method": "POST", "endpoint": f"/v1/orders/{order.id}/fulfill"},
    )
    return (_failed_call(order), by_hand) if failed else (by_hand,)


def _failed_call(order: Order) -> Action:
    return Action(
        code="callback_failed",
        kind="api",
        priority="required",
        message=f"The buyer has paid and waits.{_why(order)} Have it called again, or deliver by hand.",
        resolve={"method": "POST", "endpoint": f"/v1/orders/{order.id}/retry"},
    )


def _why(order: Order) -> str:
    """Return the sentence that says why the seller's server has not delivered; nothing where it was not called, or did."""
    return f" The call to your dynamic_webhook failed: {order.delivery_error}" if order.delivery_error else ""


def _without_key(order: Order) -> OrderReadiness:
    upload = Action(
        code="keys_missing",
        kind="api",
        priority="required",
        message="The buyer has paid, and no licence key was left. Upload keys: the orders that have waited longest get them first.",
        resolve={"method": "PUT", "endpoint": f"/v1/listings/{order.listing_id}/keys"},
    )
    by_hand = Action(
        code="fulfillment_pending",
        kind="api",
        priority="suggested",
        message="Or deliver this one order by hand.",
        resolve={"method": "POST", "endpoint": f"/v1/orders/{order.id}/fulfill"},
    )
    return OrderReadiness(fulfilled=False, actions=(upload, by_hand), next=upload)


def order_out(order: Order, deliverables: Sequence[DeliverableOut], access_url: str | None) -> OrderOut:
    """Return `order` for the API, with its access link if it has one."""
    return OrderOut(
        **facts(order, deliverables),  # type: ignore[arg-type]  # named above
        delivered_items=order.delivered_items or NOTHING,
        access_url=access_url,
        held_at=order.held_at,
        readiness=readiness(order),
    )
