"""The routes by which a seller helps a buyer back in, keeps one out, ends a hold, or puts an address right."""

from functools import partial

from litestar import patch, post
from litestar.params import FromPath, JSONBody

from purvey.server.access import actions as access
from purvey.server.accounts.model import Account
from purvey.server.errors import FieldError, invalid
from purvey.server.fulfillment import links
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.api import answer
from purvey.server.fulfillment.model import Change
from purvey.server.kit.idempotency import Claim
from purvey.server.kit.text import check_email
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Body, Given, Recorded, once, problems
from purvey.server.orders.wire import OrderOut

UNKNOWN = "This account has no such order."


class Correction(Body):
    """What may be changed of an order by hand: the buyer's address."""

    buyer_email: str


@post(
    "/v1/orders/{order_id:str}/resend",
    status_code=200,
    tags=["Orders"],
    responses=problems(
        _404=UNKNOWN, _409="The seller delivers it, it was paid back, or it is on hold: there is nothing to open."
    ),
)
@once()
async def resend(
    order_id: FromPath[str], account: Given[Account], fulfillment: Given[Fulfillment], claim: Claim | None
) -> OrderOut | Recorded:
    """Mail the buyer a fresh link, as often as you like. Older links stop working; time and count begin anew.

    Gives back access that was withdrawn. While the order is processing, the link leads to the page where the content will be.
    """
    command = Change(account_id=account.id, order_id=order_id, decide=links.resend, claim=claim)
    return answer(await fulfillment.change(command))


@post(
    "/v1/orders/{order_id:str}/grants/revoke",
    status_code=200,
    tags=["Orders"],
    responses=problems(_404=UNKNOWN, _409="The order is not fulfilled: there is no access yet."),
)
@once()
async def revoke(
    order_id: FromPath[str],
    account: Given[Account],
    fulfillment: Given[Fulfillment],
    tools: Given[Tools],
    claim: Claim | None,
) -> OrderOut | Recorded:
    """Withdraw access to the content: every link stops opening it. `resend` gives it back. Doing it twice changes nothing more."""
    beside = partial(access.live_grant, tools)
    command = Change(account_id=account.id, order_id=order_id, decide=links.revoke, claim=claim, beside=beside)
    return answer(await fulfillment.change(command))


@post("/v1/orders/{order_id:str}/release", status_code=200, tags=["Orders"], responses=problems(_404=UNKNOWN))
@once()
async def release(
    order_id: FromPath[str],
    account: Given[Account],
    fulfillment: Given[Fulfillment],
    tools: Given[Tools],
    claim: Claim | None,
) -> OrderOut | Recorded:
    """Let the buyer of an order that is on hold (`held_at`), because its payment may be fraud, have what was bought.

    The buyer is mailed a fresh link, whose time and count begin anew. An order that is not on hold stays as it is.
    """
    beside = partial(access.live_grant, tools)
    command = Change(account_id=account.id, order_id=order_id, decide=links.release, claim=claim, beside=beside)
    return answer(await fulfillment.change(command))


@patch(
    "/v1/orders/{order_id:str}",
    tags=["Orders"],
    responses=problems(_404=UNKNOWN),
)
async def correct(
    order_id: FromPath[str],
    data: JSONBody[Correction],
    account: Given[Account],
    fulfillment: Given[Fulfillment],
    tools: Given[Tools],
) -> OrderOut | Recorded:
    """Put the buyer's e-mail address right. Links that were mailed to the old one stop working; the new one is mailed a fresh link.

    The order's history keeps both addresses. The same address again changes nothing.
    """
    decide = partial(links.correct, _checked(data.buyer_email))
    beside = partial(access.live_grant, tools)
    return answer(
        await fulfillment.change(Change(account_id=account.id, order_id=order_id, decide=decide, beside=beside))
    )


def _checked(text: str) -> str:
    try:
        return check_email(text)
    except ValueError as error:
        raise invalid([FieldError(loc=["buyer_email"], msg=str(error), type="email")]) from None


handlers = (resend, revoke, release, correct)
