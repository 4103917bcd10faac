"""What an early warning of fraud does to an order. Pure."""

from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.fulfillment.rules import message
from purvey.server.mail.model import Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import PaymentStatus
from purvey.server.payments.model import FraudWarning, Notice, handled


def hold(warning: FraudWarning, notice: Notice | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return the transition that closes the access of a suspect order and tells its seller; None if its money went back before.

    The seller, who may know the buyer, opens it again by mailing a fresh link.
    """
    order = seen.order
    if order.payment_status is PaymentStatus.REFUNDED:
        return None
    after = orders.change(order)
    return Transition(
        before=order,
        after=after,
        steps=orders.steps(order, [("hold_for_fraud", after)], warning.provider),
        ends_grant=True,
        messages=[message(after, Template.FRAUD, draw, reason=warning.kind)],
        notice=handled(notice, order.id) if notice else None,
    )
