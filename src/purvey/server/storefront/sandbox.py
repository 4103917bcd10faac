"""The sandbox's payment page: for buyers in a browser, and for programs that post JSON."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from purvey.server.checkout import actions as checkouts
from purvey.server.checkout.model import Checkout
from purvey.server.checkout.rules import status_of
from purvey.server.errors import CardDeclined, Conflict
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Body, Given, decode, json_bytes, limits
from purvey.server.payments.sandbox.model import fate_of
from purvey.server.payments.sandbox.provider import Sandbox
from purvey.server.storefront import pages, views
from purvey.server.storefront.answers import moved, page
from purvey.server.storefront.buying import bought
from purvey.server.storefront.shop import Browser, Shop


class CardBody(Body):
    """A test card's number; blanks do not count. `again` pays once more what was paid, as a buyer with two pages open may."""

    card: str
    again: bool = False


class Paid(msgspec.Struct, frozen=True):
    """The payment went through. `return_url` makes the order if the notice has not yet."""

    checkout_id: str
    return_url: str
    object: str = "sandbox_payment"
    status: str = "paid"


@get("/sandbox/checkouts/{checkout_id:str}", include_in_schema=False)
async def payment_page(checkout_id: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Response[str]:
    """Show where a test card is entered."""
    checkout = await checkouts.read(tools, checkout_id)
    return page(pages.sandbox(_view(tools, checkout, shop)))


@post("/sandbox/checkouts/{checkout_id:str}/pay", status_code=200, include_in_schema=False, guards=[limits.by_address])
async def pay(
    request: Browser, checkout_id: FromPath[str], tools: Given[Tools], sandbox: Given[Sandbox], shop: Given[Shop]
) -> Any:
    """Pay with a test card: a form leads on to the content, JSON is answered with JSON."""
    checkout = await checkouts.read(tools, checkout_id)
    body = await request.body()
    # curl sends JSON as a form; no form begins like this.
    if request.content_type[0] == "application/x-www-form-urlencoded" and not body.lstrip().startswith(b"{"):
        return await _pay_by_form(request, tools, sandbox, checkout, shop)
    paid = decode(body, CardBody)
    await _pay(tools, sandbox, checkout, paid.card, again=paid.again)
    return json_bytes(msgspec.json.encode(Paid(checkout.id, checkouts.return_url(tools, checkout.id))))


async def _pay_by_form(request: Browser, tools: Tools, sandbox: Sandbox, checkout: Checkout, shop: Shop) -> Any:
    card = str((await request.form()).get("card", ""))
    try:
        await _pay(tools, sandbox, checkout, card)
    except CardDeclined as error:
        # What is no test card may be somebody's own, typed by mistake: it is not even shown again.
        shown = card if fate_of(card) else ""
        return page(pages.sandbox(_view(tools, checkout, shop, shown, error.detail)), error.status)
    except Conflict:
        return page(pages.sandbox(_view(tools, checkout, shop)), Conflict.status)
    return moved(checkouts.return_url(tools, checkout.id))


async def _pay(tools: Tools, sandbox: Sandbox, checkout: Checkout, card: str, *, again: bool = False) -> None:
    """Pay an open checkout; one that was paid before stays paid, one that expired raises Conflict."""
    if status_of(checkout, tools.clock.now()) == "expired":
        raise Conflict("This checkout has expired. Start again from the product page.", current_status="expired")
    await sandbox.pay(checkout.id, checkout.amount, checkout.currency, card, again=again)


def _view(tools: Tools, checkout: Checkout, shop: Shop, card: str = "", error: str | None = None) -> views.SandboxView:
    return views.SandboxView(
        test_mode=shop.test_mode,
        state=status_of(checkout, tools.clock.now()),
        action=f"/sandbox/checkouts/{checkout.id}/pay",
        product_url=f"/l/{checkout.listing_id}",
        order_url=f"/checkout/{checkout.id}/return",
        listing_name=bought(checkout.listing).name,
        seller_name=bought(checkout.seller).name,
        buyer_email=checkout.buyer_email,
        amount=checkout.amount,
        currency=checkout.currency,
        card=card,
        error=error,
    )


routes = [payment_page, pay]
