"""An event: a fact, in the past tense."""

from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """The four facts that are told (EV-2). No listing's life cycle, no partial refund, no end of a dispute (EV-3)."""

    ORDER_PAID = "order.paid"
    ORDER_FULFILLED = "order.fulfilled"
    ORDER_REFUNDED = "order.refunded"
    ORDER_DISPUTED = "order.disputed"


class NewEvent(msgspec.Struct, frozen=True):
    """An event to append: the attributes of the SQL type `event_new`, in its order. `data` is JSON text."""

    account_id: str
    id: str
    type: EventType
    listing_id: str | None
    order_id: str | None
    data: str


class Filters(msgspec.Struct, frozen=True):
    """Which events to read: all of those given must fit (EV-4)."""

    type: EventType | None = None
    listing_id: str | None = None
    order_id: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Some events in order, as their stored text, and whether more follow. `cursor` is the last one's id."""

    bodies: tuple[str, ...]
    has_more: bool
    cursor: str | None
