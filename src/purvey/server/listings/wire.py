"""A listing as callers send it and see it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.kit.web import Body
from purvey.server.listings.model import CheckoutField, Faq, Fulfillment, Review, Stats, Status
from purvey.server.orders.model import ContentType
from purvey.server.orders.wire import DeliverableOut

HIGHEST_PRICE = 99_999_999
"""Minor units: what payment providers take at most for eight digits."""

Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http or https")]
Amount = Annotated[int, Meta(ge=0, le=HIGHEST_PRICE, description="Minor units of the currency")]
Line = Annotated[str, Meta(min_length=1, max_length=200)]
Badge = Annotated[str, Meta(min_length=1, max_length=60)]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]],
    Meta(max_length=50, description="Your own facts: 50 keys of 40 characters, values of 500"),
]
STOCK = (
    "How many are left for sale now, beside those that open checkouts hold: each holds one for half an hour, and gives it back when"
    " it is not paid. Null: unlimited. Setting it does not touch what is held; to stop the sale, unpublish the listing"
)
Price = Annotated[
    Any,
    Meta(
        description="Minor units of the currency: 500 is 5.00 USD; 0 is free",
        extra_json_schema={"extra": {"type": "integer", "minimum": 0, "maximum": HIGHEST_PRICE}},
    ),
]


class ListingChanges(Body):
    """The fields to change; what is left out stays as it is. Null clears a field that may be empty."""

    name: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType = UNSET
    price: Price = UNSET
    currency: Annotated[str, Meta(description="ISO 4217; default the account's")] | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET
    fulfillment: Fulfillment | UnsetType = UNSET
    deliverables: list[DeliverableIn] | UnsetType = UNSET
    checkout_schema: list[CheckoutField] | UnsetType = UNSET
    agent_callback_url: Url | UnsetType | None = UNSET
    signing_secret: Annotated[str, Meta(min_length=16, max_length=256)] | UnsetType = UNSET
    dynamic_webhook: Url | UnsetType | None = UNSET
    dynamic_webhook_secret: Annotated[str, Meta(min_length=8, max_length=256)] | UnsetType = UNSET
    on_callback_failure: Literal["pending", "generated"] | UnsetType = UNSET
    grant_hours: Annotated[int, Meta(ge=1, le=8760, description="Hours that a buyer's access lasts")] | UnsetType = (
        UNSET
    )
    grant_downloads: Annotated[int, Meta(ge=1, le=10_000)] | UnsetType = UNSET
    fulfill_within: Annotated[int, Meta(ge=1, le=31_536_000, description="Seconds")] | UnsetType | None = UNSET
    on_late: Literal["remind", "refund", "fallback"] | UnsetType = UNSET
    late_text: Annotated[str, Meta(min_length=1, max_length=10_000)] | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=5000)] | UnsetType | None = UNSET
    tagline: Annotated[str, Meta(max_length=140)] | UnsetType | None = UNSET
    image_url: Url | UnsetType | None = UNSET
    highlights: Annotated[list[Line], Meta(max_length=10)] | UnsetType = UNSET
    cta: Annotated[str, Meta(max_length=60, description="The words on the button")] | UnsetType | None = UNSET
    badges: Annotated[list[Badge], Meta(max_length=10)] | UnsetType = UNSET
    faqs: Annotated[list[Faq], Meta(max_length=10)] | UnsetType = UNSET
    reviews: Annotated[list[Review], Meta(max_length=10)] | UnsetType = UNSET
    rating: Annotated[float, Meta(ge=1, le=5)] | UnsetType | None = UNSET
    rating_count: Annotated[int, Meta(ge=0, le=2_000_000_000)] | UnsetType | None = UNSET
    compare_at_price: Amount | UnsetType | None = UNSET
    stock: Annotated[int, Meta(ge=0, le=2_000_000_000, description=STOCK)] | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class NewListing(ListingChanges):
    """A listing to make, as a draft. Only `name` and `price` are required."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    price: Price


class NewDeliverables(Body):
    """The deliverables that replace those there are."""

    deliverables: list[DeliverableIn]


class SecretRotation(Body):
    """Which secret to replace, and for how many seconds the old one still signs beside it."""

    which: Literal["signing", "dynamic"] = "signing"
    overlap_seconds: Annotated[int, Meta(ge=0, le=604_800)] = 0


class Resolve(msgspec.Struct, frozen=True, kw_only=True):
    """The request that does what is needed, or the page where a person does it."""

    method: str
    endpoint: str | None = None
    url: str | None = None
    params: dict[str, Any] | None = None


class ListingAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do before the listing can be bought."""

    code: Literal["attach_deliverable", "publish_listing", "set_dynamic_webhook", "restock", "upload_keys", "keys_low"]
    kind: Literal["api", "human"] = "api"
    priority: Literal["required", "suggested"] = "required"
    message: str
    resolve: Resolve


class ListingReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether buyers can buy it now, and otherwise what to do, the first thing in `next`."""

    sellable: bool
    actions: Sequence[ListingAction] = ()
    next: ListingAction | None = None


class ListingOut(msgspec.Struct, frozen=True, kw_only=True):
    """A listing. `signing_secret` and `dynamic_webhook_secret` are there only in the answer that made them."""

    id: str
    object: Literal["listing"] = "listing"
    account_id: str
    status: Status
    slug: str
    url: str
    name: str
    price: int
    currency: str
    content_type: ContentType
    fulfillment: Fulfillment
    deliverables: Sequence[DeliverableOut]
    checkout_schema: Sequence[CheckoutField]
    agent_callback_url: str | None
    callback_endpoint_id: str | None
    signing_secret: str | UnsetType = UNSET
    signing_secret_preview: str
    dynamic_webhook: str | None
    dynamic_webhook_secret: str | UnsetType = UNSET
    dynamic_webhook_secret_preview: str | None
    on_callback_failure: Literal["pending", "generated"]
    grant_hours: int
    grant_downloads: int
    fulfill_within: int | None
    on_late: Literal["remind", "refund", "fallback"]
    late_text: str | None
    description: str | None
    tagline: str | None
    image_url: str | None
    highlights: Sequence[str]
    cta: str | None
    badges: Sequence[str]
    faqs: Sequence[Faq]
    reviews: Sequence[Review]
    rating: float | None
    rating_count: int | None
    compare_at_price: int | None
    stock: int | None
    metadata: dict[str, str]
    readiness: ListingReadiness
    stats: Stats
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
