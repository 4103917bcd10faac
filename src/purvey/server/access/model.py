"""A grant: a buyer's right to open an order's content, for so long and so often."""

from datetime import datetime
from enum import StrEnum

import msgspec


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
    REVOKED = "revoked"
    """The order was refunded, its dispute lost, or the seller withdrew the grant."""
