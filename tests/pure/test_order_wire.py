"""The order as others see it: what an event tells, what it keeps to itself, and what the API adds."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fakes import START
from purvey.server.orders.model import Order, PaymentStatus, Status
from purvey.server.orders.wire import (
    DeliverableFacts,
    DeliverableOut,
    OrderFacts,
    OrderOut,
    event_data,
    order_out,
    readiness,
)
from sample_orders import sample_order

SECRET_TEXT = "Your ascendant is Leo."
ACCESS_URL = "http://shop.test/access/token"
EVENT_FIELDS = {
    "object",
    "id",
    "order_id",
    "account_id",
    "listing_id",
    "status",
    "content_type",
    "fulfillment",
    "payment_status",
    "delivery_status",
    "dispute_status",
    "buyer_email",
    "quantity",
    "amount",
    "currency",
    "checkout_data",
    "deliverables",
    "metadata",
    "listing",
    "payment",
    "refund_amount",
    "refund_pending",
    "dispute_reason",
    "dispute_due_at",
    "fulfill_due_at",
    "late_at",
    "paid_at",
    "fulfilled_at",
    "handed_off_at",
    "refunded_at",
    "disputed_at",
    "created_at",
}
API_FIELDS = EVENT_FIELDS | {"delivered_items", "access_url", "held_at", "readiness"}


def fulfilled(**changes: Any) -> Order:
    """Return a fulfilled order with one text."""
    fields = {"status": Status.FULFILLED, "fulfilled_at": START + timedelta(minutes=1), "deliverables": ("del_1",)}
    return sample_order(**(fields | {"delivered_items": msgspec.Raw(b'{"chart":"secret"}')} | changes))


def told(order: Order) -> dict[str, Any]:
    """Return an event's data, decoded."""
    data: dict[str, Any] = msgspec.json.decode(event_data(order, [DeliverableFacts("del_1", "text")]))
    return data


def shown(order: Order) -> dict[str, Any]:
    """Return the API's order, decoded."""
    content = [DeliverableOut("del_1", "text", SECRET_TEXT)]
    answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(order_out(order, content, ACCESS_URL)))
    return answer


def test_an_event_has_these_fields_and_no_other() -> None:
    assert set(told(fulfilled())) == EVENT_FIELDS


def test_an_event_names_the_order_twice() -> None:
    data = told(fulfilled())
    assert data["id"] == data["order_id"] == "ord_1"


@pytest.mark.parametrize(
    "kept", ["access_url", "delivered_items", "readiness", "access_hash", "access_sealed", "seller"]
)
def test_an_event_keeps_to_itself(kept: str) -> None:
    assert kept not in told(fulfilled())


def test_an_event_says_which_deliverables_there_are_and_not_what_they_hold() -> None:
    assert told(fulfilled())["deliverables"] == [{"id": "del_1", "type": "text"}]


def test_an_event_carries_the_buyer_s_answers_and_the_listing_s_metadata() -> None:
    data = told(fulfilled())
    assert data["checkout_data"] == {"birth_date": "1990-05-15"}
    assert data["buyer_email"] == "buyer@example.com"
    assert data["metadata"] == {"campaign": "spring"}
    assert data["listing"]["metadata"] == {"source": "n8n"}


def test_documents_are_passed_on_byte_for_byte() -> None:
    answers = '{ "b":1.10, "a":"\\u00e9" }'
    order = sample_order(checkout_data=msgspec.Raw(answers.encode()))
    assert f'"checkout_data":{answers},' in event_data(order, [])


def test_times_are_utc_with_z() -> None:
    data = told(fulfilled())
    assert data["paid_at"] == "2026-04-17T10:23:00Z"
    assert data["fulfilled_at"] == "2026-04-17T10:24:00Z"
    assert data["refunded_at"] is None


def test_a_new_order_is_told_with_these_values() -> None:
    data = told(sample_order(status=Status.PROCESSING))
    expected = {
        "object": "order",
        "status": "processing",
        "content_type": "generated",
        "fulfillment": "external",
        "payment_status": "paid",
        "delivery_status": None,
        "dispute_status": None,
        "quantity": 1,
        "amount": 500,
        "currency": "USD",
        "refund_amount": 0,
        "payment": {"provider": "sandbox", "reference": "pay_1"},
    }
    assert {name: data[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("content_type", "fulfillment"),
    [("static", "managed"), ("generated", "external"), ("webhook", "external"), ("dynamic", "external")],
)
def test_the_older_word_follows_from_the_content_type(content_type: str, fulfillment: str) -> None:
    assert told(sample_order(content_type=content_type))["fulfillment"] == fulfillment


def test_the_api_s_order_is_the_event_s_with_what_opens_the_content() -> None:
    answer = shown(fulfilled())
    assert set(answer) == API_FIELDS
    same = EVENT_FIELDS - {"deliverables"}
    data = told(fulfilled())
    assert {name: answer[name] for name in same} == {name: data[name] for name in same}


def test_the_api_s_order_shows_the_content_and_the_link() -> None:
    answer = shown(fulfilled())
    assert answer["deliverables"] == [
        {"id": "del_1", "type": "text", "value": SECRET_TEXT, "token": None, "format": None, "object": "deliverable"}
    ]
    assert answer["access_url"] == ACCESS_URL
    assert answer["delivered_items"] == {"chart": "secret"}


def test_the_shapes_list_the_fields_that_are_sent() -> None:
    assert set(OrderFacts.__struct_fields__) == EVENT_FIELDS
    assert set(OrderOut.__struct_fields__) == API_FIELDS


def test_a_processing_order_tells_the_seller_what_to_do() -> None:
    state = readiness(sample_order(status=Status.PROCESSING))
    assert not state.fulfilled
    assert state.next is not None
    assert state.actions == (state.next,)
    assert state.next.resolve == {"method": "POST", "endpoint": "/v1/orders/ord_1/fulfill"}


@pytest.mark.parametrize(("status", "is_fulfilled"), [(Status.FULFILLED, True), (Status.HANDED_OFF, False)])
def test_a_finished_order_asks_for_nothing(status: Status, is_fulfilled: object) -> None:
    state = readiness(sample_order(status=status))
    assert state.fulfilled is is_fulfilled
    assert state.next is None
    assert state.actions == ()


def test_a_refund_shows_in_the_money_and_not_in_the_status() -> None:
    order = fulfilled(payment_status=PaymentStatus.REFUNDED, refund_amount=500, refunded_at=START + timedelta(hours=1))
    data = told(order)
    assert (data["status"], data["payment_status"], data["refund_amount"]) == ("fulfilled", "refunded", 500)
