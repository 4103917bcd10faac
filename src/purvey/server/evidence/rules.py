"""What the facts of an order come to as evidence. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from purvey.server.access.model import Opening
from purvey.server.evidence.model import Evidence, Happened, Mailed, Opened
from purvey.server.mail.model import Sent
from purvey.server.orders.model import HistoryEntry, Order


class _Sold(msgspec.Struct):
    name: str


def evidence(
    order: Order, history: Sequence[HistoryEntry], mails: Sequence[Sent], openings: Sequence[Opening]
) -> Evidence:
    """Return the evidence of an order."""
    opened = [Opened(one.at, one.what, one.deliverable_id, one.address, one.agent) for one in openings]
    name = msgspec.json.decode(order.listing, type=_Sold).name
    return Evidence(
        order_id=order.id,
        product_description=f"{name}: digital content, delivered online.",
        customer_email_address=order.buyer_email,
        amount=order.amount,
        currency=order.currency,
        payment_provider=order.payment_provider,
        payment_reference=order.payment_reference,
        dispute_status=order.dispute_status,
        dispute_reason=order.dispute_reason,
        dispute_due_at=order.dispute_due_at,
        service_date=order.fulfilled_at or order.handed_off_at,
        refund_policy_disclosure=_policy(order),
        delivery=[Happened(one.changed_at, one.action, one.actor) for one in history],
        mails=[Mailed(one.template, one.recipient, one.status, one.created_at, one.sent_at) for one in mails],
        access=opened,
        access_activity_log="\n".join(_line(one) for one in opened) or "The content was not opened.",
    )


def _policy(order: Order) -> str:
    """Return what the buyer's pages promise, as it was when the checkout was started."""
    promise = f" It was promised by {_instant(order.fulfill_due_at)}." if order.fulfill_due_at else ""
    return (
        f"The content opens for {order.grant_after} hours or {order.grant_downloads} downloads from its delivery, and a fresh link "
        f"is mailed on request.{promise} A full refund ends the access."
    )


def _line(one: Opened) -> str:
    words = {
        "page": "opened the page of the order",
        "file": "downloaded a file",
        "url": "followed a link",
        "download": "used a download",
    }
    which = f" ({one.deliverable_id})" if one.deliverable_id else ""
    return f"{_instant(one.at)}  {words[one.what]}{which}{f' from {one.address}' if one.address else ''}"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
