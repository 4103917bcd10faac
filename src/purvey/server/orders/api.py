"""The routes that read orders."""

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from purvey.server.accounts.model import Account
from purvey.server.errors import FieldError, invalid
from purvey.server.kit.paging import read_cursor
from purvey.server.kit.text import check_instant
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Cursor, Given, Limit, Page, problems
from purvey.server.orders import actions
from purvey.server.orders.model import HistoryEntry, Status
from purvey.server.orders.store import Filters
from purvey.server.orders.wire import OrderOut

UNKNOWN = problems(_404="This account has no such order.")


@get("/v1/orders", tags=["Orders"])
async def list_orders(
    tools: Given[Tools],
    account: Given[Account],
    status: FromQuery[Status | None] = None,
    listing_id: FromQuery[str | None] = None,
    buyer_email: FromQuery[str | None] = None,
    created_after: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
    created_before: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[OrderOut]:
    """List this account's orders, newest first. All filters given must fit."""
    after, before = _instant("created_after", created_after), _instant("created_before", created_before)
    filters = Filters(status, listing_id, buyer_email, after, before)
    found = await actions.page(tools, account.id, filters, read_cursor(cursor), limit)
    return Page(data=await actions.show(tools, found.rows), has_more=found.has_more, cursor=found.cursor)


def _instant(name: str, text: str | None) -> datetime | None:
    try:
        return check_instant(text) if text else None
    except ValueError as error:
        raise invalid([FieldError(loc=[name], msg=str(error), type="instant")]) from None


@get("/v1/orders/{order_id:str}", tags=["Orders"], responses=UNKNOWN)
async def read_order(order_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> OrderOut:
    """Return one order."""
    [shown] = await actions.show(tools, [await actions.read(tools, account.id, order_id)])
    return shown


@get("/v1/orders/{order_id:str}/history", tags=["Orders"], responses=UNKNOWN)
async def read_history(order_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Page[HistoryEntry]:
    """Return every change of an order, oldest first."""
    return Page(data=await actions.history(tools, account.id, order_id), has_more=False, cursor=None)


handlers = (list_orders, read_order, read_history)
