"""Where evidence is read: as JSON, and as a page to print or to send on."""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.params import FromPath

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.evidence import actions
from purvey.server.evidence.model import Evidence
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, problems
from purvey.server.storefront import pages, views
from purvey.server.storefront.answers import page
from purvey.server.storefront.shop import Shop


@get(
    "/v1/orders/{order_id:str}/evidence",
    tags=["Orders"],
    responses=problems(_404="This account has no such order."),
)
async def read_evidence(order_id: FromPath[str], account: Given[Account], tools: Given[Tools]) -> Evidence:
    """Return what proves that an order was delivered, for the bank that a buyer has told otherwise."""
    return await actions.gather(tools, account.id, order_id)


@get(
    "/v1/orders/{order_id:str}/evidence.html",
    tags=["Orders"],
    media_type=MediaType.HTML,
    responses=problems(_404="This account has no such order."),
)
async def show_evidence(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    account: Given[Account],
    tools: Given[Tools],
    shop: Given[Shop],
) -> Response[str]:
    """Return the same as a page."""
    del request
    found = await actions.gather(tools, account.id, order_id)
    return page(
        pages.evidence(
            views.EvidenceView(
                test_mode=shop.test_mode,
                order_id=found.order_id,
                product=found.product_description,
                buyer_email=found.customer_email_address,
                amount=found.amount,
                currency=found.currency,
                payment=f"{found.payment_provider} {found.payment_reference}",
                policy=found.refund_policy_disclosure,
                delivery=tuple((one.at, f"{one.action} by {one.actor}") for one in found.delivery),
                mails=tuple(
                    (one.sent_at or one.created_at, f"{one.template} to {one.recipient}: {one.status}")
                    for one in found.mails
                ),
                access=tuple(found.access_activity_log.split("\n")),
            )
        )
    )


routes = [for_sellers(read_evidence, show_evidence)]
