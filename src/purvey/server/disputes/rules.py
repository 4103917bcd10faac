"""How far a dispute has got, and what follows from it. Pure."""

from purvey.server.events.model import EventType
from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.fulfillment.rules import event, message, type_facts
from purvey.server.mail.model import NewMessage, Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import Order
from purvey.server.payments.model import DisputeReport, Notice, handled

CLOSED = frozenset({"won", "lost"})
ACTIONS = {
    "needs_response": "open_dispute",
    "under_review": "review_dispute",
    "won": "win_dispute",
    "lost": "lose_dispute",
}
"""What each report is called in the order's history."""


def reported(report: DisputeReport, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return what a report changes; None if it says nothing that we do not know.

    Reports come twice and out of order. The first one of a dispute, whatever it says, is the one that tells order.disputed and
    mails the seller; one that is older than what we know, or comes after the decision, changes nothing. But what was lost may be
    won by an appeal.
    """
    order = seen.order
    if not _is_news(order, report):
        return None
    opened = order.dispute_reference != report.reference
    after = orders.change(
        order,
        dispute_status=report.status,
        dispute_reference=report.reference,
        dispute_reason=report.reason or (None if opened else order.dispute_reason),
        dispute_due_at=report.due_at or (None if opened else order.dispute_due_at),
        dispute_told_at=report.at,
        disputed_at=draw.now if opened else order.disputed_at,
    )
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [(ACTIONS[report.status], after)], report.provider),
        messages=[_mail(after, draw)] if opened and report.status not in CLOSED else [],
        notice=handled(notice, order.id) if notice else None,
        events=[event(after, EventType.ORDER_DISPUTED, type_facts(seen.content), draw)] if opened else [],
    )


def _is_news(order: Order, report: DisputeReport) -> bool:
    if order.dispute_told_at is None:
        return True
    if order.dispute_reference == report.reference and order.dispute_status == "lost":
        # An appeal was won; of anything else we knew the end.
        return report.status == "won" and report.at > order.dispute_told_at
    if order.dispute_reference == report.reference:
        # A decision is news even if its clock is behind; after it nothing is.
        decides = report.status in CLOSED
        return order.dispute_status not in CLOSED and (decides or report.at > order.dispute_told_at)
    # Another dispute of the same payment. What was lost stays lost: its money has gone.
    return order.dispute_status != "lost" and report.at > order.dispute_told_at


def _mail(order: Order, draw: Draw) -> NewMessage:
    return message(order, Template.DISPUTED, draw, due_at=order.dispute_due_at, reason=order.dispute_reason)
