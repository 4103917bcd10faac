"""What a checkout is made of, and what it shows. Pure."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from purvey.server.checkout.model import Checkout, CheckoutStatus
from purvey.server.listings.model import Sale

OPEN_FOR = timedelta(minutes=30)
"""How long an unpaid checkout may be paid."""
ACCESS_FOR = timedelta(hours=1)
"""How long after the payment a checkout tells its access link."""


class CheckoutOut(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout as its buyer sees it. `url` is where to pay; `order_id` and `access_url` come with the payment."""

    id: str
    object: Literal["checkout"] = "checkout"
    status: CheckoutStatus
    listing_id: str
    url: str
    amount: int
    currency: str
    order_id: str | None = None
    access_url: str | None = None
    expires_at: datetime
    created_at: datetime


def new_checkout(
    sale: Sale, checkout_id: str, payment_url: str, buyer_email: str, answers: dict[str, object], now: datetime
) -> Checkout:
    """Return the checkout of what is for `sale` now; price and content are the listing's, never the buyer's."""
    return Checkout(
        id=checkout_id,
        account_id=sale.account_id,
        listing_id=sale.listing_id,
        status="open",
        payment_url=payment_url,
        buyer_email=buyer_email,
        checkout_data=msgspec.Raw(msgspec.json.encode(answers)),
        amount=sale.price,
        currency=sale.currency,
        content_type=sale.content_type,
        deliverables=sale.deliverables,
        listing=sale.snapshot,
        seller=sale.seller,
        description=sale.description,
        grant_after=sale.grant_after,
        grant_downloads=sale.grant_downloads,
        promise=sale.promise,
        limited=sale.limited,
        created_at=now,
        expires_at=now + OPEN_FOR,
    )


def status_of(checkout: Checkout, now: datetime) -> CheckoutStatus:
    """Return the status at `now`: an open checkout expires by itself."""
    return "expired" if checkout.status == "open" and now >= checkout.expires_at else checkout.status


def shows_access(checkout: Checkout, now: datetime) -> bool:
    """Return whether the checkout still tells its access link."""
    return checkout.paid_at is not None and now < checkout.paid_at + ACCESS_FOR


def checkout_out(checkout: Checkout, now: datetime) -> CheckoutOut:
    """Return `checkout` as its buyer sees it at `now`, without the access link."""
    return CheckoutOut(
        id=checkout.id,
        status=status_of(checkout, now),
        listing_id=checkout.listing_id,
        url=checkout.payment_url,
        amount=checkout.amount,
        currency=checkout.currency,
        order_id=checkout.order_id,
        expires_at=checkout.expires_at,
        created_at=checkout.created_at,
    )
