"""The routes that read the log. What is stored is what is served, byte for byte."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.events import actions
from purvey.server.events.model import EventType, Filters, Page
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, Limit, json_bytes, problems
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


EVENT = {200: ResponseSpec(EventOut, description="OK", generate_examples=False)}
EVENTS = {200: ResponseSpec(ListPage[EventOut], description="OK", generate_examples=False)}
EventId = Annotated[str | None, QueryParameter(description="The id of an event; empty means none.")]


@get(
    "/v1/events",
    tags=["Events"],
    responses=problems(_404="`after` or `cursor` names no event of this account.") | EVENTS,
)
async def list_events(
    tools: Given[Tools],
    account: Given[Account],
    type: FromQuery[EventType | None] = None,  # noqa: A002  # the parameter's name on the wire
    listing_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
    after: EventId = None,
    cursor: EventId = None,
    order: FromQuery[Literal["asc", "desc"]] = "asc",
    limit: Limit = 50,
) -> Response[bytes]:
    """Read the log, oldest first. Keep the id of the last event you handled and ask for what comes `after` it."""
    page = await actions.read_page(
        tools,
        account.id,
        Filters(type, listing_id, order_id),
        after=after,
        cursor=cursor,
        newest_first=order == "desc",
        limit=limit,
    )
    return json_bytes(_joined(page))


@get("/v1/events/{event_id:str}", tags=["Events"], responses=problems(_404="This account has no such event.") | EVENT)
async def read_event(event_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Response[bytes]:
    """Return one event."""
    return json_bytes((await actions.read_one(tools, account.id, event_id)).encode())


def _joined(page: Page) -> bytes:
    """Put the stored events between the brackets of a list; nothing is parsed."""
    cursor = f'"{page.cursor}"' if page.cursor else "null"
    more = "true" if page.has_more else "false"
    return f'{{"object":"list","data":[{",".join(page.bodies)}],"has_more":{more},"cursor":{cursor}}}'.encode()


routes = [for_sellers(list_events, read_event)]
