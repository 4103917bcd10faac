"""The buyer's library in a browser: ask for a link, sign in with it, see what was bought. Works without JavaScript.

Forms that change something are taken from our own pages only: the cookie is not sent along from elsewhere (SameSite), and what the
browser says about where the form was is checked.
"""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from purvey.server.access.model import Door
from purvey.server.errors import ValidationError
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.links import may_ask
from purvey.server.jobs.wake import Wake
from purvey.server.kit.paging import read_cursor
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Cursor, Given, limits
from purvey.server.library import actions as library
from purvey.server.library.model import Bought
from purvey.server.library.rules import LINK_FOR, SESSION_FOR
from purvey.server.orders.model import PaymentStatus
from purvey.server.storefront import pages, views
from purvey.server.storefront.answers import moved, page
from purvey.server.storefront.buying import purchase_of
from purvey.server.storefront.posting import from_our_pages, posted
from purvey.server.storefront.shop import Browser, Shop

COOKIE = "purvey_library"
HOME, ORDERS = "/library", "/library/orders"
SHOWN = 20
"""How many purchases a page shows."""
STATES: dict[Door, views.PurchaseState] = {
    Door.OPEN: "ready",
    Door.WAITING: "waiting",
    Door.HANDED_OFF: "handed_off",
    Door.EXPIRED: "expired",
    Door.EXHAUSTED: "exhausted",
    Door.HELD: "held",
    Door.REVOKED: "revoked",
}


@get(HOME, include_in_schema=False)
async def ask_page(request: Browser, tools: Given[Tools], shop: Given[Shop]) -> Any:
    """Ask for the address; whoever is signed in goes on to the purchases."""
    if await library.signed_in(tools, request.cookies.get(COOKIE)):
        return moved(ORDERS)
    return page(pages.library(_ask_view(shop)))


@post(HOME, status_code=200, include_in_schema=False, guards=[limits.by_address, from_our_pages])
async def ask(request: Browser, tools: Given[Tools], wake: Given[Wake], shop: Given[Shop]) -> Response[str]:
    """Have a link mailed. The answer is the same for every address, and so is the work until then."""
    typed = (await posted(request)).get("email", "")
    try:
        await library.ask(tools, typed, wake.poke)
    except ValidationError as error:
        fault = error.members["errors"][0]["msg"]
        return page(pages.library(_ask_view(shop, typed, f"{fault[0].upper()}{fault[1:]}.")), error.status)
    minutes = int(LINK_FOR.total_seconds()) // 60
    return page(pages.library_mailed(views.LibraryMailedView(test_mode=shop.test_mode, minutes=minutes)))


@get("/library/sign-in/{token:str}", include_in_schema=False, guards=[limits.by_address])
async def sign_in_page(token: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Response[str]:
    """Show the button that signs in. Looking uses nothing up: mail scanners open every link."""
    if not await library.is_link(tools, token):
        return _stale(shop)
    action = f"/library/sign-in/{token}"
    return page(pages.library_sign_in(views.LibrarySignInView(test_mode=shop.test_mode, action=action)))


@post(
    "/library/sign-in/{token:str}",
    status_code=303,
    include_in_schema=False,
    guards=[limits.by_address, from_our_pages],
)
async def sign_in(request: Browser, token: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Any:
    """Sign in, once, with a new session, whatever cookie the browser brought along."""
    before = request.cookies.get(COOKIE)
    signed_in = await library.sign_in(tools, token, before)
    if signed_in is None:
        # Pressed twice: the first answer brought the cookie.
        return moved(ORDERS) if await library.signed_in(tools, before) else _stale(shop)
    return _with_cookie(moved(ORDERS), tools, signed_in.token, int(SESSION_FOR.total_seconds()))


@post("/library/sign-out", status_code=303, include_in_schema=False, guards=[limits.by_address, from_our_pages])
async def sign_out(request: Browser, tools: Given[Tools]) -> Redirect:
    """End the session."""
    if session := request.cookies.get(COOKIE):
        await library.sign_out(tools, session)
    return _with_cookie(moved(HOME), tools, "", 0)


@get(ORDERS, include_in_schema=False)
async def orders(request: Browser, tools: Given[Tools], shop: Given[Shop], cursor: Cursor = None) -> Any:
    """Show what was bought, newest first."""
    email = await library.signed_in(tools, request.cookies.get(COOKIE))
    if email is None:
        return moved(HOME)
    found = await library.purchases(tools, email, read_cursor(cursor), SHOWN)
    view = views.LibraryOrdersView(
        test_mode=shop.test_mode,
        email=email,
        entries=tuple(_entry(one) for one in found.rows),
        older=f"{ORDERS}?cursor={found.cursor}" if found.cursor else None,
        first=not cursor,
    )
    return page(pages.library_orders(view))


@get("/library/orders/{order_id:str}", status_code=303, include_in_schema=False)
async def order(request: Browser, order_id: FromPath[str], tools: Given[Tools]) -> Redirect:
    """Lead to an order's page, by the link that is good now."""
    email = await library.signed_in(tools, request.cookies.get(COOKIE))
    return moved(HOME if email is None else await library.way_to(tools, email, order_id))


@post(
    "/library/orders/{order_id:str}/fresh",
    status_code=303,
    include_in_schema=False,
    guards=[limits.by_address, from_our_pages],
)
async def open_again(
    request: Browser, order_id: FromPath[str], tools: Given[Tools], fulfillment: Given[Fulfillment]
) -> Redirect:
    """Open what has run out once more, as often as a buyer may, and lead to it; nothing is mailed: the buyer is here."""
    email = await library.signed_in(tools, request.cookies.get(COOKIE))
    if email is None:
        return moved(HOME)
    await fulfillment.fresh_link(await library.purchase(tools, email, order_id), None)
    return moved(await library.way_to(tools, email, order_id))


def _stale(shop: Shop) -> Response[str]:
    return page(pages.library(_ask_view(shop, stale=True)), 410)


def _ask_view(shop: Shop, typed: str = "", error: str | None = None, *, stale: bool = False) -> views.LibraryView:
    field = msgspec.structs.replace(views.ADDRESS, value=typed, error=error)
    return views.LibraryView(test_mode=shop.test_mode, field=field, stale=stale)


def _entry(bought: Bought) -> views.LibraryEntry:
    order = bought.order
    return views.LibraryEntry(
        purchase=purchase_of(order),
        state=_state(bought),
        url=f"{ORDERS}/{order.id}",
        fresh_url=f"{ORDERS}/{order.id}/fresh" if may_ask(order, bought.door) else None,
        until=bought.grant.expires_at if bought.grant else None,
    )


def _state(bought: Bought) -> views.PurchaseState:
    if bought.order.payment_status is PaymentStatus.REFUNDED:
        return "refunded"
    return "late" if bought.door is Door.WAITING and bought.order.late_at else STATES[bought.door]


def _with_cookie(answer: Redirect, tools: Tools, value: str, max_age: int) -> Redirect:
    """Keep the session in a cookie that no script reads and no other site sends along; where there is https, under https only."""
    answer.set_cookie(
        key=COOKIE,
        value=value,
        max_age=max_age,
        path=HOME,
        secure=tools.base_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )
    return answer


routes = [ask_page, ask, sign_in_page, sign_in, sign_out, orders, order, open_again]
