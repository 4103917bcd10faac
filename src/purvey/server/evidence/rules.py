"""What the facts of an order come to as evidence. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from purvey.server.access.model import Opening
from purvey.server.evidence.model import Evidence, Happened, Mailed, Opened
from purvey.server.mail.model import Sent
from purvey.server.orders.model import HistoryEntry, Order
from purvey.server.storefront.wording import terms

LONGEST = 20_000
"""Characters that Stripe takes of one text."""
MADE: Mapping[str, str] = MappingProxyType(
    {
        "static": "digital content, prepared in advance and delivered online",
        "generated": "digital content, made for this order and delivered online",
        "dynamic": "digital content, made for this order and delivered online",
        "webhook": "digital content, delivered by the seller's own system",
    }
)
"""Content type -> what is sold."""
DID: Mapping[str, str] = MappingProxyType(
    {
        "checkout": "sent off the order form",
        "return": "came back from the payment page",
        "page": "opened the page of the order",
        "file": "downloaded a file",
        "part": "downloaded a part of a file",
        "url": "followed a link to the content",
        "download": "a download was counted",
    }
)
"""What was done, as the log says it."""

SAID: Mapping[str, str] = MappingProxyType(
    {
        "pay": "The payment was confirmed",
        "settle": "The order was accepted",
        "deliver": "The content was delivered",
        "answer": "The content was made by the seller's server, and delivered",
        "restock": "The content was delivered",
        "fallback": "The content was delivered",
        "fresh_link": "A fresh link was made, as the buyer asked",
        "resend": "The seller sent a fresh link",
        "revoke": "The seller withdrew access",
        "correct_email": "The seller put the buyer's address right",
        "hold_for_fraud": "The order was put on hold",
        "release": "The seller ended the hold",
        "refund": "Money was given back",
        "open_dispute": "The payment was disputed",
        "review_dispute": "The bank has the seller's evidence",
        "win_dispute": "The dispute was decided for the seller",
        "lose_dispute": "The dispute was decided for the buyer",
    }
)
"""An action of an order's history -> what it says to a bank."""


class _Sold(msgspec.Struct):
    name: str


def evidence(
    order: Order,
    description: str | None,
    history: Sequence[HistoryEntry],
    mails: Sequence[Sent],
    openings: Sequence[Opening],
) -> Evidence:
    """Return the evidence of an order, whose product page said `description` when it was bought."""
    found = Evidence(
        order_id=order.id,
        product_description=_product(order, description),
        customer_email_address=order.buyer_email,
        customer_purchase_ip=_bought_from(openings),
        checkout_data=order.checkout_data,
        amount=order.amount,
        currency=order.currency,
        payment_provider=order.payment_provider,
        payment_reference=order.payment_reference,
        dispute_status=order.dispute_status,
        dispute_reason=order.dispute_reason,
        dispute_due_at=order.dispute_due_at,
        service_date=order.fulfilled_at or order.handed_off_at,
        refund_policy_disclosure=_policy(order, openings),
        delivery=[Happened(one.changed_at, one.action, one.actor) for one in history],
        mails=[Mailed(**{name: getattr(one, name) for name in Mailed.__struct_fields__}) for one in mails],
        access=[Opened(one.at, one.what, one.deliverable_id, one.address, one.agent) for one in openings],
        access_activity_log=_log(openings),
        submission={},
    )
    return msgspec.structs.replace(found, submission=_submission(found))


def _submission(found: Evidence) -> dict[str, str]:
    """Return what Stripe takes as text, without what is not known."""
    texts = {
        "product_description": found.product_description,
        "customer_email_address": found.customer_email_address,
        "customer_purchase_ip": found.customer_purchase_ip,
        "service_date": instant(found.service_date) if found.service_date else None,
        "refund_policy_disclosure": found.refund_policy_disclosure,
        "access_activity_log": found.access_activity_log,
        "uncategorized_text": _told(found),
    }
    return {name: text[:LONGEST] for name, text in texts.items() if text}


def _told(found: Evidence) -> str:
    """Return the history of the order and its mails as one text: Stripe has no field for them that takes text."""
    lines = [f"{instant(one.at)}  {said(one.action)} ({one.actor})" for one in found.delivery]
    mails = [
        f"{instant(one.sent_at)}  to {one.recipient}: {one.subject}"
        for one in found.mails
        if one.sent_at and one.recipient == found.customer_email_address
    ]
    return "\n".join(
        ["What became of the order:", *lines, "", "Mails to the buyer, and when they were sent:", *(mails or ["none"])]
    )


def _product(order: Order, description: str | None) -> str:
    name = msgspec.json.decode(order.listing, type=_Sold).name
    said = f"\n\nThe product page, when it was bought:\n{description}" if description else ""
    return f"{name}: {MADE[order.content_type]}.{said}"


def _bought_from(openings: Sequence[Opening]) -> str | None:
    by = {one.what: one.address for one in reversed(openings)}
    return by.get("checkout") or by.get("return") or None


def _policy(order: Order, openings: Sequence[Opening]) -> str:
    """Return what the buyer was told before paying; what nobody was shown by us, we do not say was shown."""
    said = terms(order.content_type, order.grant_after, order.grant_downloads)
    promise = f"\nDelivery was promised by {instant(order.fulfill_due_at)}." if order.fulfill_due_at else ""
    if said is None:
        return f"The seller's own system delivers, on the seller's own terms.{promise}"
    if any(one.what == "checkout" for one in openings):
        return f"Shown on the product page beneath the button to buy, before the payment: “{said}”{promise}"
    return f"The order was started by a program, not on our product page. Its terms: “{said}”{promise}"


def _log(openings: Sequence[Opening]) -> str:
    """Return the log as Stripe's field takes it: where there is too much, its beginning and its end."""
    lines = [_line(one) for one in openings]
    opened = any(one.what not in {"checkout", "return"} for one in openings)
    if not opened:
        lines.append("The content was not opened.")
    text = "\n".join(lines)
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2 - 40
    return f"{text[:half].rpartition(chr(10))[0]}\n[lines left out]\n{text[-half:].partition(chr(10))[2]}"


def _line(one: Opening) -> str:
    which = f" ({one.deliverable_id})" if one.deliverable_id else ""
    where = f" from {one.address}" if one.address else ""
    return f"{instant(one.at)}  {DID[one.what]}{which}{where}{f', {one.agent}' if one.agent else ''}"


def said(action: str) -> str:
    """Return an action of an order's history in words."""
    return SAID.get(action) or action.replace("_", " ").capitalize()


def instant(at: datetime) -> str:
    """Return an instant as a bank reads it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
