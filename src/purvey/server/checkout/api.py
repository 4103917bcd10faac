"""The public routes of checkouts: for buyers, and for programs that buy."""

from typing import Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from purvey.server.checkout import actions
from purvey.server.checkout.rules import CheckoutOut, checkout_out
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Body, Given, Then, limits, once, problems
from purvey.server.listings import actions as listings
from purvey.server.payments.inbox import Inbox


class NewCheckout(Body):
    """What a buyer gives: the listing, an e-mail address, and the answers to the listing's checkout schema."""

    listing_id: str
    buyer_email: str
    checkout_data: dict[str, Any] = msgspec.field(default_factory=dict)


async def _seller_of(data: NewCheckout, tools: Tools, **_: Any) -> str:
    return await listings.seller_of(tools, data.listing_id)


@post(
    "/v1/checkouts",
    guards=[limits.by_address],
    tags=["Checkouts"],
    responses=problems(_404="No such listing is on sale.", _409="conflict: it is sold out."),
)
@once(whose=_seller_of)
async def start_checkout(
    data: JSONBody[NewCheckout], tools: Given[Tools], inbox: Given[Inbox]
) -> CheckoutOut | Then[CheckoutOut]:
    """Start a checkout. Pay at its `url`; a free one is paid already.

    For half an hour it holds one of the listing's stock, and a licence key, where these are limited. A payment that comes later
    still makes its order.
    """
    sale = await listings.for_sale(tools, data.listing_id)
    checkout = await actions.begin(tools, inbox, sale, data.buyer_email, data.checkout_data)
    shown = checkout_out(checkout, tools.clock.now())
    return shown if checkout.amount else Then(shown, lambda: actions.settled(tools, inbox, checkout))


@get(
    "/v1/checkouts/{checkout_id:str}",
    guards=[limits.by_address],
    tags=["Checkouts"],
    responses=problems(_404="No such checkout."),
)
async def read_checkout(checkout_id: FromPath[str], tools: Given[Tools]) -> CheckoutOut:
    """Return a checkout: open, paid (then with its order, and for an hour with the access link) or expired."""
    return await actions.show(tools, checkout_id)


routes = [start_checkout, read_checkout]
