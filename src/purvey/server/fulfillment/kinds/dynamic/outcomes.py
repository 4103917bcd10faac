"""What becomes of an order by its callback: the transitions, each decided on the order as it is then. Pure."""

import msgspec

from purvey.server.errors import InvalidTransition
from purvey.server.events.model import EventType
from purvey.server.fulfillment import rules
from purvey.server.fulfillment.kinds.dynamic.model import Callback, Due, Failed, Items, Result
from purvey.server.fulfillment.kinds.kind import NewCallback
from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.mail.model import Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import Order, PaymentStatus, Status

ACTOR = "callback"


def waits(order: Order | Due) -> bool:
    """Return whether a call for the order has a purpose still: it waits for goods, and is paid."""
    return order.status is Status.PROCESSING and order.payment_status is not PaymentStatus.REFUNDED


def answered(items: Items, result: Result, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that gives the buyer what the seller's server answered (DW-4, DW-21).

    An answer after a refund is kept, without a grant and without a mail. One that comes when the order was delivered by hand
    changes nothing: the buyer has seen the other.
    """
    order = seen.order
    if order.status is not Status.PROCESSING:
        return None
    filled = msgspec.structs.replace(
        order, delivered_items=items.delivered, delivery_status="delivered", delivery_error=None
    )
    if not waits(order):
        kept = orders.change(filled)
        return Transition(before=order, after=kept, steps=orders.steps(order, [("answer", kept)], ACTOR), result=result)
    settled = orders.settle(filled, Status.FULFILLED, draw.now)
    grant = rules.grant_of(settled, draw)
    return Transition(
        before=order,
        after=settled,
        steps=orders.steps(order, [("answer", settled)], ACTOR),
        grant=grant,
        messages=rules.ready(settled, draw, grant),
        events=[rules.event(settled, EventType.ORDER_FULFILLED, (), draw)],
        result=result,
    )


def failed(due: Due, failure: Failed, result: Result, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition after the last attempt: the seller is told why, and the buyer that it takes longer (DW-27).

    With the listing's on_callback_failure `generated` the order waits on like one whose seller makes the goods, and the buyer
    is told nothing. A buyer who was told once is not told again.
    """
    order = seen.order
    if order.status is not Status.PROCESSING:
        return None
    goes_on = due.to.on_failure == "generated"
    after = orders.change(order, delivery_status=None if goes_on else "failed", delivery_error=failure.reason)
    told = [rules.message(after, Template.CALLBACK_FAILED, draw, reason=failure.reason)]
    if not goes_on and due.round == 1:
        told.append(rules.message(after, Template.DELIVERY_PENDING, draw))
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("fail_call", after)], ACTOR),
        messages=told if waits(order) else [],
        result=result,
    )


def called_again(seen: Seen, _draw: Draw) -> Transition | None:
    """Return the transition that calls again with the same key and body; None while a call is under way.

    Raises InvalidTransition for an order that does not wait for its goods, or has no callback.
    """
    order, callback = seen.order, seen.beside
    orders.require(order, Status.FULFILLED)
    if not isinstance(callback, Callback):
        raise InvalidTransition(
            f"Order {order.id} is {order.content_type}: only a dynamic order has a call to make again.",
            current_status=order.status,
            content_type=order.content_type,
        )
    if callback.status == "waiting":
        return None
    after = orders.change(order, delivery_status="pending", delivery_error=None)
    again = NewCallback(
        order.account_id, order.id, order.listing_id, callback.key, callback.body, round=callback.round + 1
    )
    return Transition(
        before=order, after=after, steps=orders.steps(order, [("call_again", after)], "seller"), callback=again
    )
