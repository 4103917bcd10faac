"""The routes of listings. Another account's listing is exactly like an unknown one: 404."""

from typing import Annotated

from litestar import delete, get, post, put, route
from litestar.enums import HttpMethod
from litestar.params import FromPath, JSONBody, QueryParameter

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.kit.paging import read_cursor
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import MIB, Cursor, Given, Limit, Page, once, problems
from purvey.server.listings import actions
from purvey.server.listings.model import Status
from purvey.server.listings.wire import ListingChanges, ListingOut, NewDeliverables, NewListing, SecretRotation
from purvey.server.orders.wire import DeliverableOut

TAGS = ["Listings"]
LARGEST_BODY = 4 * MIB
UNKNOWN = "This account has no such listing."
NOT_IN_DRAFT = (
    "not_in_draft: the deliverables of a draft only may change. conflict: there are three already, or none are taken."
)


@post("/v1/listings", tags=TAGS, request_max_body_size=LARGEST_BODY)
@once()
async def create_listing(data: JSONBody[NewListing], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Make a listing, as a draft. This answer alone shows its secrets."""
    return await actions.create(tools, account, data)


@get("/v1/listings", tags=TAGS)
async def list_listings(
    tools: Given[Tools],
    account: Given[Account],
    status: Annotated[Status | None, QueryParameter(description="Only listings in this status.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[ListingOut]:
    """List the account's listings, the newest first."""
    found = await actions.page(tools, account.id, status, read_cursor(cursor), limit)
    return Page(data=list(found.rows), has_more=found.has_more, cursor=found.cursor)


@get("/v1/listings/{listing_id:str}", tags=TAGS, responses=problems(_404=UNKNOWN))
async def read_listing(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Return one listing."""
    return await actions.read(tools, account.id, listing_id)


@route(
    "/v1/listings/{listing_id:str}",
    http_method=[HttpMethod.PUT, HttpMethod.PATCH],
    status_code=200,
    tags=TAGS,
    request_max_body_size=LARGEST_BODY,
    responses=problems(_404=UNKNOWN, _409="locked_field: fixed since it was published; not_in_draft: deliverables."),
)
@once(wakes=True)
async def change_listing(
    listing_id: FromPath[str], data: JSONBody[ListingChanges], tools: Given[Tools], account: Given[Account]
) -> ListingOut:
    """Change the fields that are sent; PUT and PATCH do the same."""
    return await actions.change(tools, account.id, listing_id, data)


@delete("/v1/listings/{listing_id:str}", tags=TAGS, responses=problems(_404=UNKNOWN, _409="It has orders."))
async def delete_listing(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> None:
    """Delete a listing that was never sold; archive others."""
    await actions.delete(tools, account.id, listing_id)


@post(
    "/v1/listings/{listing_id:str}/publish",
    status_code=200,
    tags=TAGS,
    responses=problems(_404=UNKNOWN, _409="publish_failed: `actions` says what is missing, `next` what to do first."),
)
@once()
async def publish_listing(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Put a listing on sale. Again changes nothing."""
    return await actions.publish(tools, account.id, listing_id)


@post(
    "/v1/listings/{listing_id:str}/unpublish",
    status_code=200,
    tags=TAGS,
    responses=problems(_404=UNKNOWN, _409="It is archived."),
)
@once()
async def unpublish_listing(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Take a listing off sale, back to draft. Again changes nothing."""
    return await actions.unpublish(tools, account.id, listing_id)


@post("/v1/listings/{listing_id:str}/archive", status_code=200, tags=TAGS, responses=problems(_404=UNKNOWN))
@once()
async def archive_listing(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Put a listing away; publishing brings it back. Again changes nothing."""
    return await actions.archive(tools, account.id, listing_id)


@put(
    "/v1/listings/{listing_id:str}/deliverables",
    tags=TAGS,
    request_max_body_size=LARGEST_BODY,
    responses=problems(_404=UNKNOWN, _409=NOT_IN_DRAFT),
)
@once()
async def set_deliverables(
    listing_id: FromPath[str], data: JSONBody[NewDeliverables], tools: Given[Tools], account: Given[Account]
) -> ListingOut:
    """Replace all deliverables of a draft by up to three others."""
    return await actions.set_deliverables(tools, account.id, listing_id, data.deliverables)


@post(
    "/v1/listings/{listing_id:str}/deliverables",
    tags=TAGS,
    request_max_body_size=LARGEST_BODY,
    responses=problems(_404=UNKNOWN, _409=NOT_IN_DRAFT),
)
@once()
async def add_deliverable(
    listing_id: FromPath[str], data: JSONBody[DeliverableIn], tools: Given[Tools], account: Given[Account]
) -> DeliverableOut:
    """Add a deliverable to a draft."""
    return await actions.add_deliverable(tools, account.id, listing_id, data)


@delete(
    "/v1/listings/{listing_id:str}/deliverables",
    status_code=200,
    tags=TAGS,
    responses=problems(_404=UNKNOWN, _409=NOT_IN_DRAFT),
)
async def remove_deliverables(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> ListingOut:
    """Remove all deliverables of a draft."""
    return await actions.remove_deliverables(tools, account.id, listing_id)


@delete(
    "/v1/listings/{listing_id:str}/deliverables/{deliverable_id:str}",
    tags=TAGS,
    responses=problems(_404="This listing has no such deliverable.", _409=NOT_IN_DRAFT),
)
async def remove_deliverable(
    listing_id: FromPath[str], deliverable_id: FromPath[str], tools: Given[Tools], account: Given[Account]
) -> None:
    """Remove one deliverable of a draft."""
    await actions.remove_deliverables(tools, account.id, listing_id, deliverable_id)


@post("/v1/listings/{listing_id:str}/rotate-secret", status_code=200, tags=TAGS, responses=problems(_404=UNKNOWN))
@once()
async def rotate_listing_secret(
    listing_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    data: JSONBody[SecretRotation | None] = None,
) -> ListingOut:
    """Replace a secret; this answer alone shows the new one. Without a body: the signing secret, at once."""
    return await actions.rotate_secret(tools, account.id, listing_id, data or SecretRotation())


routes = [
    for_sellers(
        create_listing,
        list_listings,
        read_listing,
        change_listing,
        delete_listing,
        publish_listing,
        unpublish_listing,
        archive_listing,
        set_deliverables,
        add_deliverable,
        remove_deliverables,
        remove_deliverable,
        rotate_listing_secret,
    )
]
