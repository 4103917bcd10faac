"""An event: a fact, in the past tense."""

from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """The four facts that are told (EV-2). No listing's life cycle, no partial refund, no end of a dispute (EV-3)."""

    ORDER_PAID = "order.paid"
    ORDER_FULFILLED = "order.fulfilled"
    ORDER_REFUNDED = "order.refunded"
    ORDER_DISPUTED = "order.disputed"

    @property
    def is_rare(self) -> bool:
        """Whether few orders ever come to this."""
        return self in {EventType.ORDER_REFUNDED, EventType.ORDER_DISPUTED}


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

    def given(self) -> list[tuple[str, str]]:
        """Return the column and the value of each filter that was given."""
        columns = {"type": self.type, "listing_id": self.listing_id, "order_id": self.order_id}
        return [(column, str(value)) for column, value in columns.items() if value is not None]

    def fit(self, type_: str, listing_id: str | None, order_id: str | None) -> bool:
        """Return whether an event with these facts is among those asked for."""
        facts = {"type": type_, "listing_id": listing_id, "order_id": order_id}
        return all(facts[column] == value for column, value in self.given())


class Page(msgspec.Struct, frozen=True):
    """Some events in order, as their stored text, and whether more follow. `cursor` is the last one's id."""

    bodies: tuple[str, ...]
    has_more: bool
    cursor: str | None
