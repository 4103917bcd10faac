"""What an early warning of fraud does to an order. Pure."""

from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.fulfillment.rules import message
from purvey.server.mail.model import Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import PaymentStatus
from purvey.server.payments.model import FraudWarning, Notice, handled


def hold(warning: FraudWarning, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that puts a suspect order on hold and tells its seller; None if its money went back, or it is held.

    What is made for it goes on being made, and is kept; the seller, who may know the buyer, releases it (`links.release`).
    """
    order = seen.order
    if order.payment_status is PaymentStatus.REFUNDED or order.held_at is not None:
        return None
    after = orders.change(order, held_at=draw.now)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("hold_for_fraud", after)], warning.provider),
        messages=[message(after, Template.FRAUD, draw, reason=warning.kind)],
        notice=handled(notice, order.id) if notice else None,
    )
