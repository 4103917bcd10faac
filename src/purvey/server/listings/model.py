"""A listing and its parts."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from purvey.server.orders.model import ContentType, Promise
from purvey.server.orders.wire import DeliverableFacts

FieldType = Literal["text", "select", "date", "checkbox", "email", "number"]
Fulfillment = Literal["managed", "external"]


class Status(StrEnum):
    """Whether a listing can be bought. Only the seller changes it."""

    DRAFT = "draft"
    """In: created, or `unpublish`. Out: `publish` or `archive`. Deliverables change only here."""
    PUBLISHED = "published"
    """In: `publish`. Out: `unpublish` or `archive`. Buyers can buy it."""
    ARCHIVED = "archived"
    """In: `archive`. Out: `publish`. Nobody can buy it; its orders go on."""


class CheckoutField(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question that the buyer answers at checkout. The answer comes back as `checkout_data[key]`."""

    key: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]{1,50}$", description="Lower-case letters, digits and _")]
    type: FieldType
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="What the buyer reads")]
    required: bool = True
    options: (
        Annotated[
            list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]],
            msgspec.Meta(min_length=1, max_length=50, description="The choices of a select; no other type has any"),
        ]
        | None
    ) = None
    max_length: Annotated[int, msgspec.Meta(ge=1, le=5000, description="Characters of a text; default 500")] | None = (
        None
    )
    sort_order: Annotated[
        int, msgspec.Meta(ge=0, le=1_000_000, description="Where on the form; equal ones keep their order")
    ] = 0


class Faq(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question that buyers have, and its answer."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody said about it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    rating: Annotated[float, msgspec.Meta(ge=1, le=5)] | None = None


class Showcase(msgspec.Struct, frozen=True, kw_only=True):
    """What only the product page shows: the column `page`."""

    description: str | None = None
    tagline: str | None = None
    image_url: str | None = None
    cta: str | None = None
    highlights: Sequence[str] = ()
    badges: Sequence[str] = ()
    faqs: Sequence[Faq] = ()
    reviews: Sequence[Review] = ()
    rating: float | None = None
    rating_count: int | None = None
    compare_at_price: int | None = None


class Secret(msgspec.Struct, frozen=True):
    """A secret as it is kept: sealed, its last four characters, and until when its predecessor still signs."""

    sealed: bytes
    preview: str
    before: bytes | None = None
    before_until: datetime | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `listings`. `price` is in minor units, `grant_after` in hours, `fulfill_within` in seconds.

    `key_pool` is the one of its deliverables in whose place each order gets a licence key.
    """

    id: str
    account_id: str
    version: int
    status: Status
    slug: str
    name: str
    price: int
    currency: str
    content_type: ContentType
    checkout_schema: Sequence[CheckoutField]
    deliverables: Sequence[str]
    key_pool: str | None
    page: Showcase
    metadata: dict[str, str]
    agent_callback_url: str | None
    callback_endpoint_id: str | None
    signing: Secret
    dynamic_webhook: str | None
    dynamic: Secret | None
    on_callback_failure: Literal["pending", "generated"]
    grant_after: int
    grant_downloads: int
    fulfill_within: int | None
    on_late: Literal["remind", "refund", "fallback"]
    late_text: str | None
    stock: int | None
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing has sold: orders in all, and revenue in minor units of its currency, less what was refunded."""

    orders: int = 0
    revenue: int = 0


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout takes from a listing that is on sale. `snapshot` and `seller` are what the order will show of them.

    `promise` is about the time, where content is made for each order. `limited`: there is only so much of it, and a checkout must
    take one.
    """

    account_id: str
    listing_id: str
    name: str
    price: int
    currency: str
    content_type: ContentType
    checkout_schema: tuple[CheckoutField, ...]
    deliverables: tuple[DeliverableFacts, ...]
    snapshot: msgspec.Raw
    seller: msgspec.Raw
    description: str | None
    grant_after: int
    grant_downloads: int
    promise: Promise | None
    limited: bool


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What the product page shows; the checkout schema stands in the order of the form.

    `left` is how many can be bought now, counting no further than one where keys limit it; None: any number.
    """

    listing_id: str
    slug: str
    status: Status
    name: str
    price: int
    currency: str
    seller_name: str
    content_type: ContentType
    grant_after: int
    grant_downloads: int
    checkout_schema: tuple[CheckoutField, ...]
    page: Showcase
    left: int | None
