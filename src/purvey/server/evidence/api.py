"""Where evidence is read: as JSON, and as a page to print or to send on."""

from litestar import MediaType, Response, get
from litestar.params import FromPath

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.evidence import actions, rules
from purvey.server.evidence.model import Evidence, Mailed, Opened
from purvey.server.kit import money
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
    order_id: FromPath[str],
    account: Given[Account],
    tools: Given[Tools],
    shop: Given[Shop],
) -> Response[str]:
    """Return the same as a page."""
    found = await actions.gather(tools, account.id, order_id)
    return page(
        pages.evidence(
            views.EvidenceView(
                test_mode=shop.test_mode,
                order_id=found.order_id,
                product=found.product_description,
                policy=found.refund_policy_disclosure,
                facts=_facts(found),
                delivery=tuple(
                    views.EvidenceEntry(one.at, rules.said(one.action), one.actor) for one in found.delivery
                ),
                mails=tuple(_mailed(one) for one in found.mails),
                access=tuple(_opened(one) for one in found.access),
            )
        )
    )


def _facts(found: Evidence) -> tuple[tuple[str, str], ...]:
    facts = {
        "Order": found.order_id,
        "Buyer": found.customer_email_address,
        "Bought from": found.customer_purchase_ip,
        "Paid": f"{money.display(found.amount, found.currency)}",
        "Payment": f"{found.payment_provider} {found.payment_reference}",
        "Delivered": rules.instant(found.service_date) if found.service_date else "not yet",
        "Dispute": f"{found.dispute_status} ({found.dispute_reason})" if found.dispute_status else None,
        "Evidence is due": rules.instant(found.dispute_due_at) if found.dispute_due_at else None,
    }
    return tuple((name, value) for name, value in facts.items() if value)


def _mailed(one: Mailed) -> views.EvidenceEntry:
    state = f"to {one.recipient}" if one.status == "sent" else f"to {one.recipient}, {one.status}"
    return views.EvidenceEntry(one.sent_at or one.created_at, one.subject, state)


def _opened(one: Opened) -> views.EvidenceEntry:
    where = ", ".join(part for part in (one.address, one.agent) if part)
    return views.EvidenceEntry(one.at, rules.DID[one.what].capitalize(), where)


routes = [for_sellers(read_evidence, show_evidence)]
