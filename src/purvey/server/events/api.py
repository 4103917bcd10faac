"""The routes that read the log. What is stored is what is served, byte for byte."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from litestar.response import Stream

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.errors import FieldError, invalid
from purvey.server.events import actions, waiting
from purvey.server.events.model import EventType, Filters, Page
from purvey.server.events.watch import Watch
from purvey.server.kit.database import Record
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, Limit, is_head, json_bytes, problems, while_there
from purvey.server.kit.web import Page as ListPage


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored and served. `data` is the order at that moment, without what belongs to its buyer alone."""

    object: Literal["event"] = "event"
    id: str
    type: EventType
    sequence: int
    account_id: str
    listing_id: str | None
    order_id: str | None
    created_at: datetime
    data: dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream; `data` is the event as JSON."""

    id: str
    event: EventType
    data: str


EVENT = {200: ResponseSpec(EventOut, description="OK", generate_examples=False)}
EVENTS = {200: ResponseSpec(ListPage[EventOut], description="OK", generate_examples=False)}
EventId = Annotated[str | None, QueryParameter(description="The id of an event; empty means none.")]
Wait = Annotated[
    int,
    QueryParameter(ge=0, le=30, description="Seconds to wait for an event that fits where none follows yet."),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="The last event seen; sent by browsers that connect again."),
]
AnyRequest = Request[Any, Any, Any]
CONNECT_AGAIN = b"retry: 1000\n\n"
"""What a stream begins with: how many milliseconds a client waits before it connects again."""
LET_GO = "cursor_expired: that event was let go; `oldest_event_id` is the oldest there is."
HEARTBEAT = b": still here\n\n"
UNBUFFERED = {"X-Accel-Buffering": "no"}
"""Asks a reverse proxy to hand each event on as it comes."""


@get(
    "/v1/events",
    tags=["Events"],
    responses=problems(
        _404="`after` or `cursor` names no event of this account.",
        _410=LET_GO,
    )
    | EVENTS,
)
async def list_events(
    request: AnyRequest,
    tools: Given[Tools],
    watch: Given[Watch],
    account: Given[Account],
    type: FromQuery[EventType | None] = None,  # noqa: A002  # the parameter's name on the wire
    listing_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
    after: EventId = None,
    cursor: EventId = None,
    order: FromQuery[Literal["asc", "desc"]] = "asc",
    limit: Limit = 50,
    wait: Wait = 0,
) -> Response[bytes]:
    """Read the log, oldest first. Keep the id of the last event you handled and ask for what comes `after` it.

    With `wait`, the answer comes as soon as there is an event that fits, or empty when the time is over.
    """
    filters = Filters(type, listing_id, order_id)
    if order == "desc" and wait:
        raise invalid(
            [FieldError(loc=["wait"], msg="what is new comes last: use `order=asc` to wait", type="conflict")]
        )
    if not wait or is_head(request.scope):
        page = await actions.read_page(
            tools, account.id, filters, after=after, cursor=cursor, newest_first=order == "desc", limit=limit
        )
        return json_bytes(_joined(page))
    awaited = await while_there(
        request,
        waiting.await_page(tools, watch, account.id, filters, after=after, cursor=cursor, limit=limit, wait=wait),
    )
    return json_bytes(_joined(awaited or Page((), has_more=False, cursor=None)))


@get(
    "/v1/events/stream",
    tags=["Events"],
    media_type="text/event-stream",
    responses=problems(
        _404="`after` or `Last-Event-ID` names no event of this account.",
        _410=LET_GO,
    )
    | {200: ResponseSpec(Message, description="OK", media_type="text/event-stream", generate_examples=False)},
)
async def stream_events(
    request: AnyRequest,
    tools: Given[Tools],
    watch: Given[Watch],
    account: Given[Account],
    type: FromQuery[EventType | None] = None,  # noqa: A002  # the parameter's name on the wire
    listing_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
    after: EventId = None,
    last_event_id: LastEventId = None,
) -> Stream:
    """Read the log as server-sent events, oldest first, and go on with each as it happens.

    `id` is the event's id, `event` its type, `data` the event as it is stored. Last-Event-ID wins over `after`.
    """
    start = await actions.position(tools, account.id, after=last_event_id or after, cursor=None)
    found = waiting.stream(tools, watch, account.id, Filters(type, listing_id, order_id), start)
    chunks = _nothing() if is_head(request.scope) else _sent(found)
    return Stream(chunks, media_type="text/event-stream", headers=UNBUFFERED)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _sent(found: AsyncIterator[list[Record]]) -> AsyncIterator[bytes]:
    yield CONNECT_AGAIN
    async for events in found:
        yield b"".join(_message(event) for event in events) or HEARTBEAT


def _message(event: Record) -> bytes:
    return f"id: {event['id']}\nevent: {event['type']}\ndata: {event['body']}\n\n".encode()


@get("/v1/events/{event_id:str}", tags=["Events"], responses=problems(_404="This account has no such event.") | EVENT)
async def read_event(event_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Response[bytes]:
    """Return one event."""
    return json_bytes((await actions.read_one(tools, account.id, event_id)).encode())


def _joined(page: Page) -> bytes:
    """Put the stored events between the brackets of a list; nothing is parsed."""
    cursor = f'"{page.cursor}"' if page.cursor else "null"
    more = "true" if page.has_more else "false"
    return f'{{"object":"list","data":[{",".join(page.bodies)}],"has_more":{more},"cursor":{cursor}}}'.encode()


routes = [for_sellers(list_events, stream_events, read_event)]
