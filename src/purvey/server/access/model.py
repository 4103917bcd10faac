"""A grant: a buyer's right to open an order's content, for so long and so often."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from purvey.server.deliverables.model import Deliverable
from purvey.server.files.model import File
from purvey.server.orders.model import Order


class NewGrant(msgspec.Struct, frozen=True):
    """A grant to make: the attributes of the SQL type `grant_new`, in its order."""

    account_id: str
    id: str
    order_id: str
    max_downloads: int
    expires_at: datetime


class Grant(msgspec.Struct, frozen=True):
    """One live row of `grants`."""

    account_id: str
    id: str
    order_id: str
    max_downloads: int
    downloads: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class Link(msgspec.Struct, frozen=True):
    """A download link, as it was sent. `expires` is in seconds since 1970, and covered by the signature like all of it."""

    grant_id: str
    deliverable_id: str
    expires: int
    signature: str


class Target(msgspec.Struct, frozen=True):
    """What a download link leads to, open or not. `file` is there for a deliverable that is one; `until` is the link's end."""

    grant: Grant
    order: Order
    deliverable: Deliverable
    file: File | None
    until: datetime


class Wish(msgspec.Struct, frozen=True):
    """What a GET is about to send: `asked` bytes, `first` of them at once. A part of a file `joins` a lease that is there."""

    joins: bool = False
    asked: int | None = None
    first: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """The right to send bytes of one deliverable. `charged` of them were charged when it was opened or joined."""

    account_id: str
    id: str
    charged: int


class Door(StrEnum):
    """What an access link shows."""

    WAITING = "waiting"
    """The content is being made."""
    OPEN = "open"
    """The content is there."""
    HANDED_OFF = "handed_off"
    """The seller delivers by other means."""
    EXPIRED = "expired"
    """The grant's time is over."""
    EXHAUSTED = "exhausted"
    """The grant's downloads are used up."""
    HELD = "held"
    """The payment may be fraud: the seller is to give the money back, or to release the order."""
    REVOKED = "revoked"
    """The order was refunded, its dispute lost, or the seller withdrew the grant."""


What = Literal["checkout", "return", "page", "file", "part", "url", "download"]
"""What was done: the order form was sent off, the buyer came back from paying, the order's page was opened, a file was fetched or a
part of one, a URL was followed; and a download was counted, for which a file's or a URL's visit says from where."""


class Visit(msgspec.Struct, frozen=True):
    """From where something was looked at or opened: the address, and what the browser calls itself."""

    what: What
    deliverable_id: str
    address: str
    agent: str


class Opening(msgspec.Struct, frozen=True):
    """A visit, or a counted download, of which no address is known."""

    at: datetime
    what: What
    deliverable_id: str | None
    address: str | None
    agent: str | None
