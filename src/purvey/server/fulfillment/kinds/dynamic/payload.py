"""The body of a callback: the order in the words of S3, in camelCase and snake_case, money as decimal strings (DW-11 to DW-17).

It is made once, with the order, and these bytes are sent in every attempt. What this server has no word for has a constant in its
place, so that a receiver finds every key it knows.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from purvey.server.fulfillment.kinds.kind import NewCallback
from purvey.server.kit import money
from purvey.server.orders.model import Order

NOTHING = "0.00"
"""Discount and tax: a listing's price is what is paid."""


class _Listing(msgspec.Struct):
    name: str
    price: int
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Seller(msgspec.Struct):
    name: str


def callback(order: Order) -> NewCallback:
    """Return the callback of a new order."""
    return NewCallback(order.account_id, order.id, order.listing_id, key_of(order), body(order))


def key_of(order: Order) -> str:
    """Return the key by which the seller's server tells this order from others, however often it is called (DW-10)."""
    return f"dynamic:{order.id}:{order.listing_id}"


def body(order: Order) -> str:
    """Return what is sent for `order`, as JSON, its keys in the order of the document's example (DW-17)."""
    listing = msgspec.json.decode(order.listing, type=_Listing)
    key = key_of(order)
    told = {
        **_twice("customer", "email", order.buyer_email),
        **_twice("product", "title", listing.name),
        **_twice("product", "type", "DYNAMIC"),
        "quantity": 1,
        **_twice("variant", "id", ""),
        **_twice("variant", "title", ""),
        **_twice("custom", "fields", order.checkout_data),
        "invoice": _invoice(order),
        "product": _product(order, listing),
        "shop": {"id": order.account_id, "name": msgspec.json.decode(order.seller, type=_Seller).name},
        "line_item": _line_item(order, listing),
        **_twice("invoice", "id", order.id),
        "invoiceDbId": order.id,
        "invoice_db_id": order.id,
        **_twice("product", "id", order.listing_id),
        **_twice("shop", "id", order.account_id),
        **_twice("delivery", "id", key),
        **_twice("idempotency", "key", key),
    }
    return msgspec.json.encode(told).decode()


def _twice(first: str, second: str, value: Any) -> dict[str, Any]:
    """Return the value under both spellings of its name."""
    return {f"{first}{second.capitalize()}": value, f"{first}_{second}": value}


def _invoice(order: Order) -> dict[str, Any]:
    total = _money(order.amount, order.currency)
    return {
        "id": order.id,
        "uniqid": order.id,
        "status": "COMPLETED",
        "type": "PRODUCT",
        "customer_email": order.buyer_email,
        "currency": order.currency,
        "subtotal": total,
        "discount": NOTHING,
        "tax": NOTHING,
        "total": total,
        "country": "",
        "custom_fields": order.checkout_data,
        "created_at": _instant(order.created_at),
        "updated_at": _instant(order.paid_at),
    }


def _product(order: Order, listing: _Listing) -> dict[str, Any]:
    price = _money(listing.price, order.currency)
    return {
        "id": order.listing_id,
        "uniqid": order.listing_id,
        "title": listing.name,
        "type": "DYNAMIC",
        "subtype": None,
        "price": price,
        "price_display": price,
        "currency": order.currency,
    }


def _line_item(order: Order, listing: _Listing) -> dict[str, Any]:
    return {
        "id": f"{order.id}:1",
        "quantity": 1,
        "product_id": order.listing_id,
        "product_title": listing.name,
        "product_type": "DYNAMIC",
        "variant_id": "",
        "variant_title": "",
        "unit_price": _money(listing.price, order.currency),
        "total": _money(order.amount, order.currency),
        "custom_fields": order.checkout_data,
        "addons": [],
        "metadata": listing.metadata,
        "bundle_config": {},
    }


def _money(amount: int, currency: str) -> str:
    return money.decimal(amount, currency, least=2)


def _instant(at: datetime) -> str:
    """Return an instant as JavaScript writes it: in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
