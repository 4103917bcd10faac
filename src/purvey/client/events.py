"""The log of events."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

from purvey.client.calls import Call, ListCall
from purvey.client.following import follow
from purvey.client.methods import AsyncGroup, AsyncMethod, AsyncPages, Group, Method, Pages
from purvey.client.objects import Event


def list_events(
    *,
    type: str | None = None,  # noqa: A002  # the parameter's name on the wire
    listing_id: str | None = None,
    order_id: str | None = None,
    after: str | None = None,
    cursor: str | None = None,
    order: str | None = None,
    limit: int | None = None,
    wait: int | None = None,
) -> ListCall[Event]:
    """Read the log, oldest first: what comes `after` the event with this id, or the page that a `cursor` leads to.

    With `wait` (0 to 30 seconds), a page that would be empty is waited for. Raises CursorExpired when the event that is named has
    fallen off the log.
    """
    query = {
        "type": type,
        "listing_id": listing_id,
        "order_id": order_id,
        "after": after,
        "cursor": cursor,
        "order": order,
        "limit": limit,
        "wait": wait,
    }
    return ListCall("/v1/events", Event, query=query, timeout=float(wait or 0))


def get_event(event_id: str) -> Call[Event]:
    """Return one event."""
    return Call("GET", "/v1/events/{event_id}", Event, {"event_id": event_id})


class Events(Group):
    """Every fact, once, in order."""

    list = Pages(list_events)
    get = Method(get_event)

    def follow(
        self,
        after: str | None = None,
        *,
        type: str | None = None,  # noqa: A002  # the parameter's name on the wire
        listing_id: str | None = None,
        order_id: str | None = None,
    ) -> Iterator[Event]:
        """Iterate over the events after `after` (none: from the beginning), and for ever over those that come.

        Each comes once, in order, whatever happens to the server or the connection meanwhile. Raises CursorExpired when `after` has
        fallen off the log: what came since is not all there; decide where to go on.
        """
        filters = {"type": type, "listing_id": listing_id, "order_id": order_id}
        return cast("Iterator[Event]", self.transport.iterate(follow(filters, after)))


class AsyncEvents(AsyncGroup):
    """Every fact, once, in order."""

    list = AsyncPages(list_events)
    get = AsyncMethod(get_event)

    def follow(
        self,
        after: str | None = None,
        *,
        type: str | None = None,  # noqa: A002  # the parameter's name on the wire
        listing_id: str | None = None,
        order_id: str | None = None,
    ) -> AsyncIterator[Event]:
        """Iterate over the events after `after` (none: from the beginning), and for ever over those that come.

        Each comes once, in order, whatever happens to the server or the connection meanwhile. Raises CursorExpired when `after` has
        fallen off the log: what came since is not all there; decide where to go on.
        """
        filters = {"type": type, "listing_id": listing_id, "order_id": order_id}
        return cast("AsyncIterator[Event]", self.transport.iterate(follow(filters, after)))
