"""A message, from the moment it is decided on until it is sent."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec


class Template(StrEnum):
    """What a message is about."""

    CONFIRMATION = "confirmation"
    """A generated order was paid: here is the page where the content will be."""
    READY = "ready"
    """The content is there. For a static order it is the only mail, and the receipt."""
    FRESH_LINK = "fresh_link"
    """The order's page has a new address, because the buyer or the seller asked for it, or the buyer's own was put right."""
    KEYS_MISSING = "keys_missing"
    """To the seller, without a link: an order was paid for which no licence key is left."""
    SIGN_IN = "sign_in"
    """What signs a buyer in to the library: about an address, not about an order."""
    REFUND = "refund"
    """Money goes back: all of it, a part, or a second payment of the same checkout."""
    LATE = "late"
    """What was promised by a certain time is not there yet."""
    REMINDER = "reminder"
    """To the seller: a buyer has paid and waits."""
    DISPUTED = "disputed"
    """To the seller: the buyer's bank disputes the payment."""
    ENDPOINT = "endpoint"
    """To the seller: webhooks do not arrive. About an endpoint, not about an order."""
    FRAUD = "fraud"
    """To the seller: the card's network warns that the payment may be fraud."""
    REFUND_FAILED = "refund_failed"
    """To the seller: a bank sent a refund back; the money is the seller's again."""
    DELIVERY_PENDING = "delivery_pending"
    """The seller's server did not bring what was bought; the seller has been told."""
    CALLBACK_FAILED = "callback_failed"
    """To the seller: your server did not bring what a buyer has paid for."""


FOR_SELLERS = frozenset(
    {
        *(Template.REMINDER, Template.DISPUTED, Template.KEYS_MISSING, Template.FRAUD, Template.REFUND_FAILED),
        Template.CALLBACK_FAILED,
    }
)
"""What goes to the seller: such a mail carries no link, because the order's page is the buyer's."""

LEADS_TO: Mapping[Template, str] = {
    Template.CONFIRMATION: "/access/",
    Template.READY: "/access/",
    Template.FRESH_LINK: "/access/",
    Template.REFUND: "/access/",
    Template.LATE: "/access/",
    Template.DELIVERY_PENDING: "/access/",
    Template.SIGN_IN: "/library/sign-in/",
}
"""What stands before the token in the link of a mail."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says; stored as JSON with it. `amount` is in minor units of `currency`.

    `open_until` and `opens` are the promise of the grant, where there is one already. `refunded` goes back, and `refund` says what
    it is of the order. `due_at` is a promise or a deadline, and `reason` the bank's, or why a call failed.
    """

    listing_name: str
    amount: int
    currency: str
    seller_name: str
    seller_email: str
    order_id: str
    content_type: str
    open_until: datetime | None = None
    opens: int | None = None
    buyer_email: str = ""
    refunded: int | None = None
    refund: Literal["whole", "part", "second"] | None = None
    due_at: datetime | None = None
    paid_at: datetime | None = None
    reason: str | None = None
    on_late: Literal["remind", "refund", "fallback"] | None = None


class EndpointFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message about an endpoint says. `since` is when it was first told that the endpoint fails."""

    endpoint_id: str
    name: str
    url: str
    stage: Literal["failing", "still_failing", "disabled"]
    since: datetime
    error: str | None
    kind: Literal["listing_callback", "account"]
    listing_id: str | None


class NewMessage(msgspec.Struct, frozen=True):
    """A message to queue: the attributes of the SQL type `message_new`, in its order.

    `sealed` is the token of its link, sealed; the link opens something until `good_until`, and for ever without. A message that is
    about no order has an empty `account_id`, and null for its `facts`.
    """

    account_id: str
    id: str
    template: Template
    order_id: str | None
    recipient: str
    facts: msgspec.Raw
    sealed: bytes | None
    good_until: datetime | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits to be sent, as `NewMessage` has queued it.

    What is for an order's buyer leaves to the address, and with the link, that the order has now: either may be another by then.
    """

    account_id: str
    id: str
    template: Template
    order_id: str | None
    recipient: str
    facts: Facts | EndpointFacts | None
    sealed: bytes | None
    good_until: datetime | None = None


class Sent(msgspec.Struct, frozen=True):
    """A message about an order, and what became of it."""

    template: str
    subject: str
    recipient: str
    status: str
    created_at: datetime
    sent_at: datetime | None


class Accepted(msgspec.Struct, frozen=True):
    """The transport has taken the message on."""


class NotNow(msgspec.Struct, frozen=True):
    """The message was not taken, and may be another time: a full mailbox, greylisting."""

    error: str


class Away(msgspec.Struct, frozen=True):
    """No message is taken just now: the server does not answer, or does not let us in."""

    error: str


class Never(msgspec.Struct, frozen=True):
    """The message was not taken, and will not be: nobody lives at the recipient's address."""

    error: str


Answer = Accepted | NotNow | Away | Never
"""What a transport says to a message."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of attempt number `attempts`: the message's status after it, and when the next attempt is, if there is one.

    `server` says what was learnt about the mail server: that it answered, or that it failed.
    """

    status: Literal["waiting", "sent", "given_up"]
    attempts: int
    server: Literal["answered", "failed"]
    error: str | None = None
    sent_at: datetime | None = None
    next_at: datetime | None = None


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the built-in mailbox."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str
    received_at: datetime
