"""An order that nobody made, for showing what an event looks like. Pure."""

from datetime import datetime

import msgspec

from purvey.server.orders.model import PaymentStatus, Status
from purvey.server.orders.wire import DeliverableFacts, OrderFacts, PaymentOut

ORDER_ID = "ord_sample0000000000000000"
"""No order has this id: whoever acts on the sample is answered 404."""
LISTING_ID = "lst_sample0000000000000000"


def sample_data(event_type: str, account_id: str, listing_id: str | None, at: datetime) -> str:
    """Return the `data` of an event of this type about an order of 49.00 USD, paid at `at`, of `listing_id` if given."""
    refunded, disputed = event_type == "order.refunded", event_type == "order.disputed"
    listing = listing_id or LISTING_ID
    done = event_type != "order.paid"
    snapshot = {
        "id": listing,
        "name": "A sample",
        "content_type": "static",
        "price": 4900,
        "metadata": {"sample": "true"},
    }
    facts = OrderFacts(
        id=ORDER_ID,
        order_id=ORDER_ID,
        account_id=account_id,
        listing_id=listing,
        status=Status.FULFILLED if done else Status.PAID,
        content_type="static",
        fulfillment="managed",
        payment_status=PaymentStatus.REFUNDED if refunded else PaymentStatus.PAID,
        delivery_status=None,
        dispute_status="needs_response" if disputed else None,
        buyer_email="sample@example.com",
        amount=4900,
        currency="USD",
        checkout_data=msgspec.Raw(b'{"birth_date":"1990-05-15"}'),
        deliverables=(DeliverableFacts("del_sample0000000000000000", "text"),),
        metadata=msgspec.Raw(b'{"sample":"true"}'),
        listing=msgspec.Raw(msgspec.json.encode(snapshot)),
        payment=PaymentOut("sandbox", "sample"),
        refund_amount=4900 if refunded else 0,
        refund_pending=0,
        dispute_reason="fraudulent" if disputed else None,
        dispute_due_at=None,
        fulfill_due_at=None,
        late_at=None,
        paid_at=at,
        fulfilled_at=at if done else None,
        handed_off_at=None,
        refunded_at=at if refunded else None,
        disputed_at=at if disputed else None,
        created_at=at,
    )
    return msgspec.json.encode(facts).decode()
