"""The routes that show what became of each event. Another account's delivery is exactly like an unknown one: 404."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.kit.paging import read_cursor
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Cursor, Given, Limit, Page, problems
from purvey.server.webhooks import actions
from purvey.server.webhooks.model import Delivery, DeliveryStatus, DeliveryWithAttempts

TAGS = ["Webhooks"]


@get(
    "/v1/webhooks/{endpoint_id:str}/deliveries",
    tags=TAGS,
    responses=problems(_404="This account has no such webhook endpoint."),
)
async def list_deliveries(
    endpoint_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    *,
    status: Annotated[DeliveryStatus | None, QueryParameter(description="Only deliveries in this status.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List what an endpoint was or will be sent, the newest first."""
    found = await actions.page_of_deliveries(
        tools, account.id, endpoint_id, status, after=read_cursor(cursor), limit=limit
    )
    return Page(data=list(found.rows), has_more=found.has_more, cursor=found.cursor)


@get("/v1/deliveries/{delivery_id:str}", tags=TAGS, responses=problems(_404="This account has no such delivery."))
async def read_delivery(
    delivery_id: FromPath[str], tools: Given[Tools], account: Given[Account]
) -> DeliveryWithAttempts:
    """Return one delivery with every attempt: the answer's status and beginning, or where it failed and why."""
    return await actions.read_delivery(tools, account.id, delivery_id)


routes = [for_sellers(list_deliveries, read_delivery)]
