"""Listings, their deliverables, and checkouts."""

from typing import Any, Required, TypedDict, Unpack

from purvey.client.calls import Call, ListCall
from purvey.client.methods import AsyncGroup, AsyncMethod, AsyncPages, Group, Method, Pages
from purvey.client.objects import Checkout, Deliverable, KeyPool, Listing, Uploaded
from purvey.client.shapes import Shape


class MoreOfAListing(TypedDict, total=False):
    """What a listing may be told beside its name and price; None clears what may be empty."""

    currency: str
    content_type: str
    fulfillment: str
    deliverables: list[dict[str, Any]]
    checkout_schema: list[dict[str, Any]]
    agent_callback_url: str | None
    signing_secret: str
    dynamic_webhook: str | None
    dynamic_webhook_secret: str
    on_callback_failure: str
    grant_hours: int
    grant_downloads: int
    fulfill_within: int | None
    on_late: str
    late_text: str | None
    description: str | None
    tagline: str | None
    image_url: str | None
    highlights: list[str]
    cta: str | None
    badges: list[str]
    faqs: list[dict[str, Any]]
    reviews: list[dict[str, Any]]
    rating: float | None
    rating_count: int | None
    compare_at_price: int | None
    stock: int | None
    metadata: dict[str, str]


class ListingFields(MoreOfAListing, total=False):
    """What may be changed of a listing. Prices are in minor units."""

    name: str
    price: int


class NewListing(MoreOfAListing, total=False):
    """What a new listing is told: a name and a price at least."""

    name: Required[str]
    price: Required[int]


def create_listing(*, idempotency_key: str | None = None, **fields: Unpack[NewListing]) -> Call[Listing]:
    """Make a listing, as a draft. This answer alone has its secrets."""
    return Call("POST", "/v1/listings", Listing, body=fields, idempotency_key=idempotency_key)


def list_listings(
    *, status: str | None = None, limit: int | None = None, cursor: str | None = None
) -> ListCall[Listing]:
    """List the account's listings, the newest first."""
    return ListCall("/v1/listings", Listing, query={"status": status, "limit": limit, "cursor": cursor})


def get_listing(listing_id: str) -> Call[Listing]:
    """Return one listing."""
    return Call("GET", "/v1/listings/{listing_id}", Listing, {"listing_id": listing_id})


def update_listing(
    listing_id: str, *, idempotency_key: str | None = None, **fields: Unpack[ListingFields]
) -> Call[Listing]:
    """Change the fields that are given."""
    path = "/v1/listings/{listing_id}"
    return Call("PATCH", path, Listing, {"listing_id": listing_id}, body=fields, idempotency_key=idempotency_key)


def delete_listing(listing_id: str) -> Call[None]:
    """Delete a listing that was never sold; archive others."""
    return Call("DELETE", "/v1/listings/{listing_id}", _nothing, {"listing_id": listing_id})


def publish_listing(listing_id: str, *, idempotency_key: str | None = None) -> Call[Listing]:
    """Put a listing on sale. Again changes nothing. Raises PublishFailed; its `actions` say what is missing."""
    path = "/v1/listings/{listing_id}/publish"
    return Call("POST", path, Listing, {"listing_id": listing_id}, idempotency_key=idempotency_key)


def unpublish_listing(listing_id: str, *, idempotency_key: str | None = None) -> Call[Listing]:
    """Take a listing off sale, back to draft. Again changes nothing."""
    path = "/v1/listings/{listing_id}/unpublish"
    return Call("POST", path, Listing, {"listing_id": listing_id}, idempotency_key=idempotency_key)


def archive_listing(listing_id: str, *, idempotency_key: str | None = None) -> Call[Listing]:
    """Put a listing away; publishing brings it back. Again changes nothing."""
    path = "/v1/listings/{listing_id}/archive"
    return Call("POST", path, Listing, {"listing_id": listing_id}, idempotency_key=idempotency_key)


def rotate_listing_secret(
    listing_id: str, *, which: str = "signing", overlap_seconds: int = 0, idempotency_key: str | None = None
) -> Call[Listing]:
    """Replace a secret, `signing` or `dynamic`; this answer alone has the new one. The old one signs on for `overlap_seconds`."""
    path = "/v1/listings/{listing_id}/rotate-secret"
    body = {"which": which, "overlap_seconds": overlap_seconds}
    return Call("POST", path, Listing, {"listing_id": listing_id}, body=body, idempotency_key=idempotency_key)


class CallbackTest(Shape):
    """What a test of a dynamic listing's callback sent, what was answered, and how it would be stored."""

    object: str
    listing_id: str
    status: str
    duration_ms: int
    request: dict[str, Any]
    answer: dict[str, Any] | None
    error: str | None
    delivered_items: dict[str, Any] | None


def try_listing_callback(listing_id: str, *, idempotency_key: str | None = None) -> Call[CallbackTest]:
    """Call your server with a sample order, and see what came of it. Nothing is stored."""
    path = "/v1/listings/{listing_id}/test-callback"
    return Call("POST", path, CallbackTest, {"listing_id": listing_id}, idempotency_key=idempotency_key)


def set_deliverables(
    listing_id: str, deliverables: list[dict[str, Any]], *, idempotency_key: str | None = None
) -> Call[Listing]:
    """Replace all deliverables of a draft by up to three others."""
    path = "/v1/listings/{listing_id}/deliverables"
    body = {"deliverables": deliverables}
    return Call("PUT", path, Listing, {"listing_id": listing_id}, body=body, idempotency_key=idempotency_key)


def add_deliverable(
    listing_id: str,
    *,
    type: str,  # noqa: A002  # the field's name on the wire
    value: str | None = None,
    token: str | None = None,
    format: str | None = None,  # noqa: A002  # same
    idempotency_key: str | None = None,
) -> Call[Deliverable]:
    """Add a deliverable to a draft."""
    path = "/v1/listings/{listing_id}/deliverables"
    told = {"type": type, "value": value, "token": token, "format": format}
    body = {name: one for name, one in told.items() if one is not None}
    return Call("POST", path, Deliverable, {"listing_id": listing_id}, body=body, idempotency_key=idempotency_key)


def remove_deliverables(listing_id: str) -> Call[Listing]:
    """Remove all deliverables of a draft."""
    return Call("DELETE", "/v1/listings/{listing_id}/deliverables", Listing, {"listing_id": listing_id})


def remove_deliverable(listing_id: str, deliverable_id: str) -> Call[None]:
    """Remove one deliverable of a draft."""
    path = "/v1/listings/{listing_id}/deliverables/{deliverable_id}"
    return Call("DELETE", path, _nothing, {"listing_id": listing_id, "deliverable_id": deliverable_id})


def add_keys(listing_id: str, keys: list[str], *, idempotency_key: str | None = None) -> Call[Uploaded]:
    """Add licence keys to a listing's pool; those that are there already stay as they are."""
    path, body = "/v1/listings/{listing_id}/keys", {"keys": keys}
    return Call("PUT", path, Uploaded, {"listing_id": listing_id}, body=body, idempotency_key=idempotency_key)


def count_keys(listing_id: str) -> Call[KeyPool]:
    """Return how many licence keys a listing has."""
    return Call("GET", "/v1/listings/{listing_id}/keys", KeyPool, {"listing_id": listing_id})


def create_checkout(
    listing_id: str,
    buyer_email: str,
    checkout_data: dict[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
) -> Call[Checkout]:
    """Start a checkout; send the buyer to its `url` to pay."""
    body = {"listing_id": listing_id, "buyer_email": buyer_email, "checkout_data": checkout_data or {}}
    return Call("POST", "/v1/checkouts", Checkout, body=body, idempotency_key=idempotency_key)


def get_checkout(checkout_id: str) -> Call[Checkout]:
    """Return one checkout; once it is paid, it has its `order_id`."""
    return Call("GET", "/v1/checkouts/{checkout_id}", Checkout, {"checkout_id": checkout_id})


def _nothing(_: object) -> None:
    return None


class Listings(Group):
    """What is for sale."""

    create = Method(create_listing)
    list = Pages(list_listings)
    get = Method(get_listing)
    update = Method(update_listing)
    delete = Method(delete_listing)
    publish = Method(publish_listing)
    unpublish = Method(unpublish_listing)
    archive = Method(archive_listing)
    rotate_secret = Method(rotate_listing_secret)
    test_callback = Method(try_listing_callback)
    set_deliverables = Method(set_deliverables)
    add_deliverable = Method(add_deliverable)
    remove_deliverables = Method(remove_deliverables)
    remove_deliverable = Method(remove_deliverable)
    add_keys = Method(add_keys)
    keys = Method(count_keys)


class AsyncListings(AsyncGroup):
    """What is for sale."""

    create = AsyncMethod(create_listing)
    list = AsyncPages(list_listings)
    get = AsyncMethod(get_listing)
    update = AsyncMethod(update_listing)
    delete = AsyncMethod(delete_listing)
    publish = AsyncMethod(publish_listing)
    unpublish = AsyncMethod(unpublish_listing)
    archive = AsyncMethod(archive_listing)
    rotate_secret = AsyncMethod(rotate_listing_secret)
    test_callback = AsyncMethod(try_listing_callback)
    set_deliverables = AsyncMethod(set_deliverables)
    add_deliverable = AsyncMethod(add_deliverable)
    remove_deliverables = AsyncMethod(remove_deliverables)
    remove_deliverable = AsyncMethod(remove_deliverable)
    add_keys = AsyncMethod(add_keys)
    keys = AsyncMethod(count_keys)


class Checkouts(Group):
    """Buyers' attempts to pay."""

    create = Method(create_checkout)
    get = Method(get_checkout)


class AsyncCheckouts(AsyncGroup):
    """Buyers' attempts to pay."""

    create = AsyncMethod(create_checkout)
    get = AsyncMethod(get_checkout)
