"""An order as plain data, for tests that need no database."""

from typing import Any

import msgspec

from fakes import START
from purvey.server.orders.model import Order, PaymentStatus, Status


def sample_order(**changes: Any) -> Order:
    """Return a paid, generated order with birthday answers; `changes` replace fields."""
    fields: dict[str, Any] = {
        "account_id": "acc_1",
        "id": "ord_1",
        "version": 1,
        "checkout_id": "chk_1",
        "listing_id": "lst_1",
        "content_type": "generated",
        "status": Status.PAID,
        "payment_status": PaymentStatus.PAID,
        "buyer_email": "buyer@example.com",
        "amount": 500,
        "currency": "USD",
        "checkout_data": msgspec.Raw(b'{"birth_date":"1990-05-15"}'),
        "deliverables": (),
        "metadata": msgspec.Raw(b'{"campaign":"spring"}'),
        "listing": msgspec.Raw(b'{"id":"lst_1","name":"Natal chart","metadata":{"source":"n8n"}}'),
        "seller": msgspec.Raw(b'{"name":"The Shop","email":"seller@example.com"}'),
        "payment_provider": "sandbox",
        "payment_reference": "pay_1",
        "grant_after": 48,
        "grant_downloads": 10,
        "access_hash": b"hash",
        "access_sealed": b"sealed",
        "paid_at": START,
        "created_at": START,
    }
    return Order(**(fields | changes))
