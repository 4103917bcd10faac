"""A listing put together for its seller. Pure."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from purvey.server.listings.model import Listing, Stats
from purvey.server.listings.rules import readiness
from purvey.server.listings.wire import ListingOut
from purvey.server.orders.wire import FULFILLMENT, DeliverableOut


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets that were made or given just now: the one answer that shows them is this one's."""

    signing: str | UnsetType = UNSET
    dynamic: str | UnsetType = UNSET


NOTHING_REVEALED = Revealed()


class Beside(msgspec.Struct, frozen=True):
    """What is kept beside a listing: what it has sold, and how many licence keys it has left, if it has a pool.

    The keys are counted as far as it matters to its seller, see `rules.FEW_KEYS`.
    """

    stats: Stats
    keys: int | None


def url_of(base_url: str, listing_id: str, slug: str) -> str:
    """Return the address of the product page."""
    return f"{base_url}/l/{listing_id}/{slug}" if slug else f"{base_url}/l/{listing_id}"


def listing_out(
    listing: Listing, deliverables: Sequence[DeliverableOut], beside: Beside, base_url: str, revealed: Revealed
) -> ListingOut:
    """Return `listing` for the API."""
    return ListingOut(
        id=listing.id,
        account_id=listing.account_id,
        status=listing.status,
        slug=listing.slug,
        url=url_of(base_url, listing.id, listing.slug),
        name=listing.name,
        price=listing.price,
        currency=listing.currency,
        content_type=listing.content_type,
        fulfillment=FULFILLMENT[listing.content_type],
        deliverables=deliverables,
        checkout_schema=listing.checkout_schema,
        agent_callback_url=listing.agent_callback_url,
        callback_endpoint_id=listing.callback_endpoint_id if listing.agent_callback_url else None,
        signing_secret=revealed.signing,
        signing_secret_preview=listing.signing.preview,
        dynamic_webhook=listing.dynamic_webhook,
        dynamic_webhook_secret=revealed.dynamic,
        dynamic_webhook_secret_preview=listing.dynamic.preview if listing.dynamic else None,
        on_callback_failure=listing.on_callback_failure,
        grant_hours=listing.grant_after,
        grant_downloads=listing.grant_downloads,
        fulfill_within=listing.fulfill_within,
        on_late=listing.on_late,
        late_text=listing.late_text,
        **msgspec.structs.asdict(listing.page),
        stock=listing.stock,
        metadata=listing.metadata,
        readiness=readiness(listing, keys=beside.keys),
        stats=beside.stats,
        created_at=listing.created_at,
        updated_at=listing.updated_at,
        published_at=listing.published_at,
    )
