"""When money may go back, and what follows when it has. Pure; what an order's refunds were is read beside it."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import msgspec

from purvey.server.errors import MissingPayment, RefundNotAllowed
from purvey.server.events.model import EventType
from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.fulfillment.rules import event, message, type_facts
from purvey.server.jobs.model import NewJob
from purvey.server.kit import money
from purvey.server.mail.model import NewMessage, Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import Order, PaymentStatus
from purvey.server.payments.model import (
    Notice,
    Payment,
    RefundFailure,
    RefundNote,
    RefundOrigin,
    RefundReport,
    handled,
)
from purvey.server.refunds.model import JOB, LANE, Ask

SYSTEM = "system"
"""The actor of what nobody asked for: we gave back what was paid twice."""


def request(ask: Ask, reachable: Collection[str], seen: Seen, draw: Draw) -> Transition:
    """Return the transition that reserves what is to be given back, so that no two refunds together exceed what was paid.

    Raises RefundNotAllowed, or MissingPayment if the provider is none of the `reachable` ones.
    """
    order = seen.order
    amount = _allowed(order, ask.amount)
    if order.payment_provider not in reachable:
        raise MissingPayment(f"Order {order.id} was paid with {order.payment_provider}, which is not in use here.")
    after = orders.change(order, refund_pending=order.refund_pending + amount)
    note = _note(order, ask.refund_id, amount, ask.reason, ask.origin)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("request_refund", after)], _actor(note)),
        refunds=[note],
        jobs=[_job(note, draw, ask.carry_out_after)],
    )


def left(order: Order) -> int:
    """Return what can still be given back of `order`, in minor units: a lost dispute has taken all of it."""
    return 0 if order.dispute_status == "lost" else max(0, order.amount - order.refund_amount - order.refund_pending)


def given_back(report: RefundReport, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return what a refund that the provider made changes: all of it, whoever asked for it, and once, however often it is told."""
    order, refunds = seen.order, _refunds(seen)
    known = next((one for one in refunds if _is(one, report)), None)
    if known and known.status == "succeeded":
        return None
    asked = known or _note(order, draw.new_id("rfd_"), report.amount, None, "provider", report.payment_reference)
    note = msgspec.structs.replace(
        asked, amount=report.amount, status="succeeded", reference=report.reference, error=None
    )
    after = _less(order, note, asked.amount if known and known.status == "requested" else 0, draw)
    whole = after.payment_status is PaymentStatus.REFUNDED is not order.payment_status
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [(_action(order, note), after)], _actor(note)),
        refunds=[note],
        messages=[_mail(after, note, draw)],
        notice=handled(notice, order.id) if notice else None,
        events=[event(after, EventType.ORDER_REFUNDED, type_facts(seen.content), draw)] if whole else [],
    )


def refused(refund_id: str, reason: str, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that gives up a refund which the provider will not make; None if it has ended before."""
    order = seen.order
    known = next((one for one in _refunds(seen) if one.id == refund_id and one.status == "requested"), None)
    if known is None:
        return None
    note = msgspec.structs.replace(known, status="failed", error=reason)
    reserved = 0 if _is_beside(order, note) else note.amount
    after = orders.change(order, refund_pending=max(0, order.refund_pending - reserved))
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("refuse_refund", after)], note.provider),
        refunds=[note],
        messages=_no_refund(after, draw) if note.origin == "deadline" else [],
    )


def sent_back(failure: RefundFailure, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that takes a refund back which the bank did not take; None for one that did not succeed before.

    What it had ended (the grant) stays so: the seller owes the buyer still, and decides whether the buyer is to have it again.
    """
    order = seen.order
    known = next((one for one in _refunds(seen) if _is(one, failure)), None)
    if known and known.status == "requested":
        return refused(known.id, failure.reason, seen, draw)
    if known is None or known.status == "failed":
        return None
    note = msgspec.structs.replace(known, status="failed", error=failure.reason)
    after = orders.change(order) if _is_beside(order, note) else _more(order, note.amount)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("take_back_refund", after)], note.provider),
        ends_grant=order.payment_status is PaymentStatus.REFUNDED is not after.payment_status,
        refunds=[note],
        messages=[message(after, Template.REFUND_FAILED, draw, refunded=note.amount, reason=failure.reason)],
        notice=handled(notice, order.id) if notice else None,
    )


def second_payment(payment: Payment, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that gives a second payment of one checkout back; None if that is under way or done."""
    order = seen.order
    if any(one.payment_reference == payment.reference for one in _refunds(seen)):
        return None
    reason = f"The checkout was paid before, by {order.payment_reference}."
    note = _note(order, draw.new_id("rfd_"), payment.amount, reason, "second_payment", payment.reference)
    after = orders.change(order)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("refuse_second_payment", after)], payment.provider),
        refunds=[msgspec.structs.replace(note, provider=payment.provider, currency=payment.currency)],
        jobs=[_job(note, draw, 0)],
        notice=handled(notice, order.id) if notice else None,
    )


def _allowed(order: Order, amount: int | None) -> int:
    rest = left(order)
    if order.amount == 0:
        raise RefundNotAllowed(f"Order {order.id} was free: there is nothing to give back.", refundable_amount=0)
    if order.payment_status is PaymentStatus.REFUNDED:
        raise RefundNotAllowed(f"Order {order.id} has been refunded already.", refundable_amount=0)
    if order.dispute_status == "lost":
        raise RefundNotAllowed(
            f"The dispute of order {order.id} was lost: its money has gone back to the buyer.", refundable_amount=0
        )
    if rest == 0:
        raise RefundNotAllowed(f"All that is left of order {order.id} is being refunded already.", refundable_amount=0)
    if amount is not None and amount > rest:
        raise RefundNotAllowed(
            f"{money.display(rest, order.currency)} of order {order.id} is left to refund, and "
            f"{money.display(amount, order.currency)} was asked for.",
            param="amount",
            refundable_amount=rest,
        )
    return rest if amount is None else amount


def _no_refund(order: Order, draw: Draw) -> list[NewMessage]:
    """Return the mails about a late order that could not be refunded by itself: somebody has to do something."""
    return [
        message(order, Template.REMINDER, draw, due_at=order.fulfill_due_at, paid_at=order.paid_at),
        message(order, Template.LATE, draw, due_at=order.fulfill_due_at),
    ]


def _less(order: Order, note: RefundNote, reserved: int, draw: Draw) -> Order:
    """Return `order` after the refund: what was paid beside its own payment changes nothing about its money."""
    if _is_beside(order, note):
        return orders.change(order)
    # Never more than was paid, whatever a provider says: a table's check would refuse the row, and the notice with it.
    refunded = min(order.amount, order.refund_amount + note.amount)
    whole = refunded == order.amount
    return orders.change(
        order,
        refund_amount=refunded,
        refund_pending=max(0, order.refund_pending - reserved),
        payment_status=PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED,
        refunded_at=(order.refunded_at or draw.now) if whole else None,
    )


def _more(order: Order, amount: int) -> Order:
    """Return `order` after a refund of `amount` came back."""
    refunded = max(0, order.refund_amount - amount)
    status = PaymentStatus.PARTIALLY_REFUNDED if refunded else PaymentStatus.PAID
    return orders.change(order, refund_amount=refunded, payment_status=status, refunded_at=None)


def _mail(order: Order, note: RefundNote, draw: Draw) -> NewMessage:
    if _is_beside(order, note):
        return message(order, Template.REFUND, draw, refunded=note.amount, refund="second")
    whole = order.payment_status is PaymentStatus.REFUNDED
    return message(order, Template.REFUND, draw, refunded=note.amount, refund="whole" if whole else "part")


def _note(
    order: Order,
    refund_id: str,
    amount: int,
    reason: str | None,
    origin: RefundOrigin,
    payment_reference: str | None = None,
) -> RefundNote:
    return RefundNote(
        account_id=order.account_id,
        id=refund_id,
        order_id=order.id,
        provider=order.payment_provider,
        payment_reference=payment_reference or order.payment_reference,
        amount=amount,
        currency=order.currency,
        reason=reason,
        origin=origin,
        status="requested",
    )


def _job(note: RefundNote, draw: Draw, after: int) -> NewJob:
    return NewJob(f"job_{note.id}", LANE, JOB, note.account_id, note.id, draw.now + timedelta(seconds=after))


def _refunds(seen: Seen) -> Sequence[RefundNote]:
    found: Sequence[RefundNote] = seen.beside
    return found


def _is(refund: RefundNote, report: RefundReport | RefundFailure) -> bool:
    return refund.id == report.refund_id or (refund.provider, refund.reference) == (report.provider, report.reference)


def _is_beside(order: Order, note: RefundNote) -> bool:
    """Return whether the refund is of a payment that was made beside the order's own."""
    return note.payment_reference != order.payment_reference


def _action(order: Order, note: RefundNote) -> str:
    return "refund_second_payment" if _is_beside(order, note) else "refund"


def _actor(note: RefundNote) -> str:
    return {"provider": note.provider, "second_payment": SYSTEM}.get(note.origin, note.origin)
