"""The routes by which a seller gives money back."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.fulfillment.api import answer
from purvey.server.kit.idempotency import Claim
from purvey.server.kit.web import Body, Given, Page, Recorded, once, problems
from purvey.server.orders.wire import OrderOut
from purvey.server.refunds.actions import Refunds
from purvey.server.refunds.model import AskedBySeller, RefundOut

UNKNOWN = "This account has no such order."


class RefundRequest(Body):
    """How much to give back, in minor units of the order's currency (all that is left, if it is not said), and why."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=10**15)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] | None = None


@post(
    "/v1/orders/{order_id:str}/refund",
    status_code=200,
    tags=["Orders"],
    responses=problems(
        _404=UNKNOWN,
        _422="There is nothing or not enough to give back, or the provider will not (refund_not_allowed; `refundable_amount` says "
        "what is left), or its provider is not in use here (missing_payment).",
    ),
)
@once()
async def refund_order(
    order_id: FromPath[str],
    account: Given[Account],
    refunds: Given[Refunds],
    claim: Claim | None,
    data: JSONBody[RefundRequest | None] = None,
) -> OrderOut | Recorded:
    """Give money back to the buyer, all or a part; several parts never exceed what was paid.

    When all of it has gone back, the buyer's access ends and order.refunded is told. The answer is the order: if the payment
    provider could not be reached, `refund_pending` says how much is under way; it is asked again until it answers.
    """
    asked = data or RefundRequest()
    return answer(await refunds.refund(AskedBySeller(account.id, order_id, asked.amount, asked.reason, claim)))


@get("/v1/orders/{order_id:str}/refunds", tags=["Orders"], responses=problems(_404=UNKNOWN))
async def list_refunds(order_id: FromPath[str], account: Given[Account], refunds: Given[Refunds]) -> Page[RefundOut]:
    """Return every refund of an order, oldest first: requested, succeeded, or failed with the provider's reason."""
    return Page(data=await refunds.list_refunds(account.id, order_id), has_more=False, cursor=None)


routes = [for_sellers(refund_order, list_refunds)]
