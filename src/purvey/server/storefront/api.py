"""What buyers see, from the product page to the content. Works without JavaScript."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from markupsafe import Markup

from purvey import __version__
from purvey.server.access import actions as access
from purvey.server.access.api import visit_of
from purvey.server.access.model import Door
from purvey.server.checkout import actions as checkouts
from purvey.server.deliverables.model import Deliverable
from purvey.server.errors import Conflict, NotFound, ProblemError, ValidationError
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.links import may_ask
from purvey.server.kit import markdown
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, is_head, limits, preferred
from purvey.server.listings import actions as listings
from purvey.server.orders.model import Order, PaymentStatus
from purvey.server.payments.inbox import Inbox
from purvey.server.storefront import forms, pages, posting, views
from purvey.server.storefront.answers import moved, page
from purvey.server.storefront.assets import ASSETS
from purvey.server.storefront.buying import bought, purchase_of
from purvey.server.storefront.delivered import items_of
from purvey.server.storefront.posting import from_our_pages
from purvey.server.storefront.product import product_view
from purvey.server.storefront.shop import Browser, Shop

JSON, HTML = "application/json", "text/html"
REASONS: Mapping[Door, views.GoneReason] = {Door.EXPIRED: "expired", Door.EXHAUSTED: "exhausted"}


@get("/", include_in_schema=False)
async def home(shop: Given[Shop]) -> Response[str]:
    """Say what this server is."""
    links = [views.Link("API reference", "/docs"), views.Link("OpenAPI", "/openapi.json")]
    if shop.has_mailbox:
        links.append(views.Link("Mailbox", "/mailbox"))
    view = views.HomeView(test_mode=shop.test_mode, version=__version__, links=tuple(links))
    return page(pages.home(view), private=False)


@get("/assets/{name:str}", include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    """Serve a stylesheet or a script; its address changes with its content."""
    if name not in ASSETS:
        raise NotFound("There is nothing at this address.")
    found = ASSETS[name]
    kept = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.content_type, headers=kept)


# The form's own address too: it is where a browser is after a mistake, and what a listing called Checkout has for its slug.
@get(["/l/{listing_id:str}", "/l/{listing_id:str}/{slug:str}", "/l/{listing_id:str}/checkout"], include_in_schema=False)
async def product(
    listing_id: FromPath[str], tools: Given[Tools], shop: Given[Shop], slug: FromPath[str] = ""
) -> Response[str]:
    """Show a listing and its order form."""
    del slug
    listing = await listings.on_page(tools, listing_id)
    return page(pages.product(product_view(listing, shop)), private=False)


@post("/l/{listing_id:str}/checkout", status_code=303, include_in_schema=False, guards=[limits.by_address])
async def order(
    request: Browser, listing_id: FromPath[str], tools: Given[Tools], inbox: Given[Inbox], shop: Given[Shop]
) -> Any:
    """Take the order form: on to the payment, or back with a word beside each wrong field, or that it is not on sale any more."""
    posted = await posting.posted(request)
    try:
        sale = await listings.for_sale(tools, listing_id)
    except (Conflict, NotFound) as error:
        return await _product_again(tools, shop, listing_id, posted, error)
    answers = forms.answers({field.key: field.type for field in sale.checkout_schema}, posted)
    try:
        checkout = await checkouts.start(tools, inbox, sale, posted.get(forms.BUYER_EMAIL, ""), answers)
    except (Conflict, ValidationError) as error:
        return await _product_again(tools, shop, listing_id, posted, error)
    await access.note_buying(tools, sale.account_id, checkout.id, visit_of(request, "checkout"))
    return moved(checkout.url)


async def _product_again(
    tools: Tools, shop: Shop, listing_id: str, posted: Mapping[str, str], error: ProblemError
) -> Response[str]:
    view = product_view(await listings.on_page(tools, listing_id), shop, posted, _by_field(error))
    return page(pages.product(view), error.status)


def _by_field(error: ProblemError) -> Mapping[str, str]:
    """Return what is wrong with each input, by the input's name."""
    faults = error.members.get("errors", [])
    return {
        forms.field_name(str(fault["loc"][1])) if len(fault["loc"]) > 1 else str(fault["loc"][0]): fault["msg"]
        for fault in faults
    }


@get("/checkout/{checkout_id:str}/return", include_in_schema=False)
async def come_back(
    request: Browser, checkout_id: FromPath[str], tools: Given[Tools], inbox: Given[Inbox], shop: Given[Shop]
) -> Response[str] | Redirect:
    """Take the buyer from the payment page to the content, or wait for the payment's confirmation."""
    back = await checkouts.come_back(tools, inbox, checkout_id)
    if not is_head(request.scope):
        await access.note_buying(tools, back.checkout.account_id, checkout_id, visit_of(request, "return"))
    name, email = bought(back.checkout.listing).name, back.checkout.buyer_email
    match back.way:
        case "open":
            return moved(f"/access/{back.token}")
        case "pending":
            return page(
                pages.pending(views.PendingView(test_mode=shop.test_mode, listing_name=name, buyer_email=email))
            )
        case "mailed":
            seller = bought(back.checkout.seller).name if back.checkout.content_type == "webhook" else None
            return page(
                pages.mailed(views.MailedView(test_mode=shop.test_mode, listing_name=name, delivered_by=seller))
            )


@get("/access/{token:str}", include_in_schema=False)
async def look(request: Browser, token: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Response[str]:
    """Show what was bought, or why it is not there. Looking uses nothing up."""
    try:
        seen = await access.look(tools, token)
    except NotFound:
        if preferred(request, JSON, HTML) != HTML:
            raise
        return page(pages.lost(views.LostView(test_mode=shop.test_mode, field=views.ADDRESS)), 404)
    match seen.door:
        case Door.WAITING:
            return page(pages.waiting(_waiting(seen.order, shop, tools.clock.now())))
        case Door.HANDED_OFF:
            return page(
                pages.handed_off(views.HandedOffView(test_mode=shop.test_mode, purchase=purchase_of(seen.order)))
            )
        case Door.OPEN if seen.grant is not None:
            if not is_head(request.scope):
                await access.note(tools, seen.order, visit_of(request))
            return page(pages.ready(await _ready(seen, shop)))
        case _:
            return page(pages.gone(_gone(seen, shop, token)), 410)


@post("/access/{token:str}/fresh", status_code=200, include_in_schema=False, guards=[limits.by_address, from_our_pages])
async def fresh_link(
    token: FromPath[str], tools: Given[Tools], fulfillment: Given[Fulfillment], shop: Given[Shop]
) -> Response[str]:
    """Mail a fresh link to whoever bought the order, if there is one to be had. The answer is the same for every link."""
    order = await access.find(tools, token)
    if order is not None:
        await fulfillment.fresh_link(order, order.access_hash)
    return page(pages.fresh_mailed(views.FreshMailedView(test_mode=shop.test_mode)))


def _waiting(order: Order, shop: Shop, now: datetime) -> views.WaitingView:
    # The clock says that it is late before the queue has come to it.
    over = order.fulfill_due_at is not None and now >= order.fulfill_due_at
    return views.WaitingView(
        test_mode=shop.test_mode,
        purchase=purchase_of(order),
        buyer_email=order.buyer_email,
        due_at=order.fulfill_due_at,
        is_late=over or order.late_at is not None,
        on_late=order.on_late,
        waits_for=_waits_for(order),
    )


def _waits_for(order: Order) -> Literal["making", "restock", "callback", "seller"]:
    if order.content_type == "static":
        return "restock"
    match order.delivery_status:
        case "pending":
            return "callback"
        case "failed":
            return "seller"
        case _:
            return "making"


async def _ready(seen: access.Look, shop: Shop) -> views.ReadyView:
    if seen.grant is None:
        raise NotFound("This link opens nothing.")
    items = tuple([await _item(one, link, seen) for one, link in zip(seen.content, seen.links, strict=True)])
    if seen.order.delivered_items is not None:
        items += await asyncio.to_thread(items_of, seen.order.delivered_items)
    return views.ReadyView(
        test_mode=shop.test_mode,
        purchase=purchase_of(seen.order),
        items=items,
        open_until=seen.grant.expires_at,
        opens_left=seen.grant.max_downloads - seen.grant.downloads,
        opens_total=seen.grant.max_downloads,
    )


async def _item(deliverable: Deliverable, link: str, seen: access.Look) -> views.Item:
    file = seen.files.get(deliverable.token or "")
    if file is not None:
        return views.FileItem(url=link, name=file.filename, size=file.size, sha256=file.sha256.hex())
    if deliverable.type == "url":
        return views.UrlItem(url=link, host=urlsplit(deliverable.value or "").hostname or "")
    if deliverable.format == "markdown":
        # A long text takes seconds in the worst case, in which others are answered.
        html = await asyncio.to_thread(markdown.render, deliverable.value or "")
        return views.MarkdownItem(html=Markup(html))  # noqa: S704  # sanitised there
    return views.TextItem(text=deliverable.value or "")


def _gone(seen: access.Look, shop: Shop, token: str) -> views.GoneView:
    order = seen.order
    reason = _money_back(order) or REASONS.get(seen.door, "held" if seen.door is Door.HELD else "revoked")
    return views.GoneView(
        test_mode=shop.test_mode,
        purchase=purchase_of(order),
        reason=reason,
        gone_at=seen.grant.expires_at if seen.grant and reason == "expired" else order.refunded_at,
        fresh_url=f"/access/{token}/fresh" if may_ask(order, seen.door) else None,
        asked_out=seen.door in REASONS and not may_ask(order, seen.door),
    )


def _money_back(order: Order) -> views.GoneReason | None:
    if order.payment_status is PaymentStatus.REFUNDED:
        return "refunded"
    return "disputed" if order.dispute_status == "lost" else None


routes = [home, asset, product, order, come_back, look, fresh_link]
