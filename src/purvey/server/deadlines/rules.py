"""What becomes of an order that was not delivered in time. Pure."""

from collections.abc import Collection

import msgspec

from purvey.server.deliverables.model import Content
from purvey.server.errors import MissingPayment, RefundNotAllowed
from purvey.server.fulfillment.model import Deliver, Draw, Seen, Transition
from purvey.server.fulfillment.rules import delivered, message
from purvey.server.mail.model import Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import Order, PaymentStatus, Status
from purvey.server.refunds import rules as refunds
from purvey.server.refunds.model import Ask

ACTOR = "deadline"


def waits(order: Order) -> bool:
    """Return whether the buyer of `order` still waits, and nothing was done about it yet."""
    return (
        order.status is Status.PROCESSING and order.payment_status is not PaymentStatus.REFUNDED and not order.late_at
    )


def passed(reachable: Collection[str], seen: Seen, draw: Draw) -> Transition | None:
    """Return what follows once the time is over: what the listing promised for that case; None if nobody waits any more.

    Whatever it is, the order is late from now on, and the seller is told. Money that cannot be given back, because the order was
    free or its provider is out of reach, leaves a reminder.
    """
    order = seen.order
    if not waits(order):
        return None
    if order.on_late == "fallback" and order.late_text:
        return _fall_back(order, order.late_text, draw)
    if order.on_late == "refund":
        try:
            return _give_back(reachable, seen, draw)
        except (RefundNotAllowed, MissingPayment):
            pass
    after = orders.change(order, late_at=draw.now)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("miss_deadline", after)], ACTOR),
        messages=[
            message(after, Template.REMINDER, draw, due_at=order.fulfill_due_at, paid_at=order.paid_at),
            message(after, Template.LATE, draw, due_at=order.fulfill_due_at),
        ],
    )


def _fall_back(order: Order, text: str, draw: Draw) -> Transition:
    """Return the delivery of the text that the seller has left for this case."""
    command = Deliver(order.account_id, order.id, (Content("text", text),))
    transition = delivered(order, command, draw, actor=ACTOR)
    return _late(transition, draw)


def _give_back(reachable: Collection[str], seen: Seen, draw: Draw) -> Transition:
    """Return the request of a refund of all that is left; the job that comes with it carries it out."""
    order = seen.order
    ask = Ask(
        account_id=order.account_id,
        order_id=order.id,
        refund_id=draw.new_id("rfd_"),
        amount=None,
        reason="It was not delivered in time.",
        origin="deadline",
    )
    return _late(refunds.request(ask, reachable, seen, draw), draw)


def _late(transition: Transition, draw: Draw) -> Transition:
    """Return the transition with the order noted as late, and its seller told what was done."""
    after = msgspec.structs.replace(transition.after, late_at=draw.now)
    told = message(
        after, Template.REMINDER, draw, due_at=after.fulfill_due_at, paid_at=after.paid_at, on_late=after.on_late
    )
    return msgspec.structs.replace(transition, after=after, messages=[*transition.messages, told])
