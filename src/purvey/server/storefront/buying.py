"""What was bought, and from whom, as an order and a checkout keep it."""

import msgspec

from purvey.server.orders.model import Order
from purvey.server.storefront.views import Purchase


class Bought(msgspec.Struct, frozen=True):
    """The name of a listing, or the name and e-mail address of a seller."""

    name: str
    email: str = ""


def bought(document: msgspec.Raw) -> Bought:
    """Read the `listing` or the `seller` of an order."""
    return msgspec.json.decode(document, type=Bought)


def purchase_of(order: Order) -> Purchase:
    """Return what a page tells of an order."""
    listing = bought(order.listing)
    seller = bought(order.seller)
    return Purchase(
        order_id=order.id,
        listing_name=listing.name,
        seller_name=seller.name,
        seller_email=seller.email,
        amount=order.amount,
        currency=order.currency,
        paid_at=order.paid_at,
    )
