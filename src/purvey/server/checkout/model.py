"""A checkout: a buyer's attempt to pay."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.orders.model import ContentType, Promise
from purvey.server.orders.wire import DeliverableFacts

CheckoutStatus = Literal["open", "paid", "expired"]


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `checkouts`. Price, content and promises are those of the moment it was started (amounts in minor units).

    `limited`: there was only so much of it, so that the checkout holds one until it expires.
    """

    id: str
    account_id: str
    listing_id: str
    status: CheckoutStatus
    payment_url: str
    buyer_email: str
    checkout_data: msgspec.Raw
    amount: int
    currency: str
    content_type: ContentType
    deliverables: tuple[DeliverableFacts, ...]
    listing: msgspec.Raw
    seller: msgspec.Raw
    description: str | None = None
    grant_after: int
    grant_downloads: int
    promise: Promise | None = None
    limited: bool = False
    order_id: str | None = None
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None = None
