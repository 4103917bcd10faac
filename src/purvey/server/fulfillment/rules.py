"""What follows from a payment or a delivery. Pure: ids and the instant come in through `Draw`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from purvey.server.access.model import NewGrant
from purvey.server.access.rules import new_grant
from purvey.server.checkout.model import Checkout
from purvey.server.deliverables import rules as deliverables
from purvey.server.deliverables.model import Deliverable, NewDeliverable
from purvey.server.errors import AlreadyFulfilled
from purvey.server.events.model import EventType, NewEvent
from purvey.server.fulfillment.kinds import KINDS
from purvey.server.fulfillment.model import DUE_JOB, DUE_LANE, RESTOCK, Deliver, Draw, KeySale, Seen, Transition
from purvey.server.jobs.model import NewJob
from purvey.server.mail.model import FOR_SELLERS, Facts, NewMessage, Template
from purvey.server.orders import rules as orders
from purvey.server.orders import wire
from purvey.server.orders.model import Order, PaymentStatus, Promise, Status
from purvey.server.payments.model import Notice, Payment, handled

REMINDED_AFTER = timedelta(hours=24)
"""When the seller is reminded of an order for which nothing was promised: by then the webhook has had its last attempt."""


def paid(checkout: Checkout, payment: Payment, notice: Notice | None, key: str | None, draw: Draw) -> Transition:
    """Return the new order of a paid `checkout`, settled as its kind says. `key` is the licence key that the checkout holds."""
    kind = KINDS[checkout.content_type]
    order = msgspec.structs.replace(_new_order(checkout, payment, draw), delivery_status=kind.delivery_status)
    if key is None and needs_key(checkout):
        return _without_key(order, checkout, payment, notice, draw)
    sold = _content(checkout, key) if kind.after_payment is Status.FULFILLED else ()
    settled = orders.settle(order, kind.after_payment, draw.now, deliverables=[one.id for one in sold])
    settled = _promised(settled, checkout.promise)
    grant = grant_of(settled, draw)
    events = [event(order, EventType.ORDER_PAID, (), draw)]
    if settled.status is Status.FULFILLED:
        events.append(event(settled, EventType.ORDER_FULFILLED, sold, draw))
    return Transition(
        before=None,
        after=settled,
        steps=orders.steps(None, [("pay", order), ("settle", settled)], payment.provider),
        grant=grant,
        key=_sale(settled, key),
        messages=[message(settled, kind.mail, draw, grant)] if kind.mail else [],
        jobs=[_due_job(settled)] if settled.status is Status.PROCESSING else [],
        callback=kind.callback(settled) if kind.callback else None,
        notice=handled(notice, settled.id) if notice else None,
        events=events,
    )


def needs_key(checkout: Checkout) -> bool:
    """Return whether a licence key belongs to what was bought."""
    return any(one.key_pool for one in checkout.deliverables)


def restocked(order: Order, checkout: Checkout, key: str, draw: Draw) -> Transition:
    """Return the transition that gives an order the licence key that it has waited for, and with it all that was bought."""
    content = _content(checkout, key)
    settled = orders.settle(order, Status.FULFILLED, draw.now, deliverables=[one.id for one in content])
    grant = grant_of(settled, draw)
    return Transition(
        before=order,
        after=settled,
        steps=orders.steps(order, [("restock", settled)], "stock"),
        grant=grant,
        key=_sale(settled, key),
        messages=ready(settled, draw, grant),
        events=[event(settled, EventType.ORDER_FULFILLED, content, draw)],
    )


def _without_key(order: Order, checkout: Checkout, payment: Payment, notice: Notice | None, draw: Draw) -> Transition:
    """Return the new order of a payment for which no licence key is left: it waits, and buyer and seller are told.

    The job looks for a key once more: one that is uploaded at this moment sees no order that waits.
    """
    settled = _promised(orders.settle(order, Status.PROCESSING, draw.now), checkout.promise)
    look_again = NewJob(draw.new_id("job_"), "stock", RESTOCK, order.account_id, order.listing_id, draw.now)
    return Transition(
        before=None,
        after=settled,
        steps=orders.steps(None, [("pay", order), ("settle", settled)], payment.provider),
        messages=[message(settled, one, draw) for one in (Template.CONFIRMATION, Template.KEYS_MISSING)],
        jobs=[look_again, _due_job(settled)],
        notice=handled(notice, settled.id) if notice else None,
        events=[event(order, EventType.ORDER_PAID, (), draw)],
    )


def _content(checkout: Checkout, key: str | None) -> list[wire.DeliverableFacts]:
    """Return what was bought, with the order's own key in the place of the pool."""
    return [wire.DeliverableFacts(key, one.type) if key and one.key_pool else one for one in checkout.deliverables]


def _sale(order: Order, key: str | None) -> KeySale | None:
    return KeySale(order.account_id, order.id, order.checkout_id, key) if key else None


def deliver(command: Deliver, seen: Seen, draw: Draw) -> Transition | None:
    """Return what a delivery brings about; None when the order was fulfilled with the very same content before (DF-15)."""
    order = seen.order
    if order.status is not Status.FULFILLED or order.payment_status is PaymentStatus.REFUNDED:
        return delivered(order, command, draw)
    if tuple(deliverables.content_of(one) for one in seen.content) == command.content:
        return None
    raise AlreadyFulfilled(
        f"Order {order.id} was fulfilled with other content; a fulfilled order keeps what its buyer has seen.",
        current_status=order.status,
    )


def delivered(order: Order, command: Deliver, draw: Draw, actor: str = "seller") -> Transition:
    """Return the transition that fulfils `order` with what the command brings (DF-16)."""
    content = [
        NewDeliverable(order.account_id, draw.new_id("del_"), order.id, item.type, item.value, item.token, item.format)
        for item in command.content
    ]
    settled = orders.settle(order, Status.FULFILLED, draw.now, deliverables=[item.id for item in content])
    if order.content_type == "dynamic":
        settled = msgspec.structs.replace(settled, delivery_status="delivered", delivery_error=None)
    if command.metadata is not None:
        settled = msgspec.structs.replace(settled, metadata=msgspec.Raw(msgspec.json.encode(command.metadata)))
    shown = [wire.DeliverableFacts(item.id, item.type) for item in content]
    grant = grant_of(settled, draw)
    return Transition(
        before=order,
        after=settled,
        steps=orders.steps(order, [("deliver", settled)], actor),
        content=content,
        grant=grant,
        messages=ready(settled, draw, grant),
        events=[event(settled, EventType.ORDER_FULFILLED, shown, draw)],
    )


def _new_order(checkout: Checkout, payment: Payment, draw: Draw) -> Order:
    link = draw.new_link()
    return Order(
        account_id=checkout.account_id,
        id=draw.new_id("ord_"),
        version=1,
        checkout_id=checkout.id,
        listing_id=checkout.listing_id,
        content_type=checkout.content_type,
        status=Status.PAID,
        payment_status=PaymentStatus.PAID,
        buyer_email=checkout.buyer_email,
        amount=checkout.amount if payment.total is None else payment.total,
        currency=checkout.currency,
        checkout_data=checkout.checkout_data,
        deliverables=(),
        metadata=msgspec.Raw(b"{}"),
        listing=checkout.listing,
        seller=checkout.seller,
        payment_provider=payment.provider,
        payment_reference=payment.reference,
        grant_after=checkout.grant_after,
        grant_downloads=checkout.grant_downloads,
        access_hash=link.hash,
        access_sealed=link.sealed,
        paid_at=draw.now,
        created_at=draw.now,
    )


def _promised(order: Order, promise: Promise | None) -> Order:
    """Return `order` with the promise of its checkout, counted from the payment, if it waits for content."""
    if promise is None or order.status is not Status.PROCESSING:
        return order
    due_at = order.paid_at + timedelta(seconds=promise.within)
    return msgspec.structs.replace(order, fulfill_due_at=due_at, on_late=promise.on_late, late_text=promise.text)


def _due_job(order: Order) -> NewJob:
    """Return the job that looks whether the content came: when the promise ends, or after a day."""
    due_at = order.fulfill_due_at or order.paid_at + REMINDED_AFTER
    return NewJob(f"job_due_{order.id}", DUE_LANE, DUE_JOB, order.account_id, order.id, due_at)


def grant_of(order: Order, draw: Draw) -> NewGrant | None:
    """Return the grant that comes with `order`, if it is fulfilled."""
    return new_grant(order, draw.new_id("grt_"), draw.now) if order.status is Status.FULFILLED else None


def event(order: Order, kind: EventType, content: Sequence[wire.DeliverableFacts], draw: Draw) -> NewEvent:
    """Return the event that tells of `order` as it is, with its content's types."""
    return NewEvent(
        account_id=order.account_id,
        id=draw.event_id(),
        type=kind,
        listing_id=order.listing_id,
        order_id=order.id,
        data=wire.event_data(order, content),
    )


def ready(order: Order, draw: Draw, grant: NewGrant | None) -> list[NewMessage]:
    """Return the mail that says that the content of `order` is there; none while it is on hold: its release sends one."""
    return [] if order.held_at else [message(order, Template.READY, draw, grant)]


def type_facts(content: Sequence[Deliverable]) -> list[wire.DeliverableFacts]:
    """Return what an event tells of content."""
    return [wire.DeliverableFacts(one.id, one.type) for one in content]


def message(order: Order, template: Template, draw: Draw, grant: NewGrant | None = None, **more: Any) -> NewMessage:
    """Return the mail about `order`, to its buyer or its seller, with the promise of its grant and `more` facts.

    It carries no link, only the sealed token that makes one.
    """
    listing = msgspec.json.decode(order.listing, type=_Named)
    seller = msgspec.json.decode(order.seller, type=_Seller)
    facts = Facts(
        listing_name=listing.name,
        amount=order.amount,
        currency=order.currency,
        seller_name=seller.name,
        seller_email=seller.email,
        order_id=order.id,
        content_type=order.content_type,
        open_until=grant.expires_at if grant else None,
        opens=grant.max_downloads if grant else None,
        buyer_email=order.buyer_email,
        **more,
    )
    return NewMessage(
        account_id=order.account_id,
        id=draw.new_id("msg_"),
        template=template,
        order_id=order.id,
        recipient=seller.email if template in FOR_SELLERS else order.buyer_email,
        facts=msgspec.Raw(msgspec.json.encode(facts)),
        sealed=None if template in FOR_SELLERS else order.access_sealed,
    )


class _Named(msgspec.Struct):
    name: str


class _Seller(msgspec.Struct):
    name: str
    email: str
