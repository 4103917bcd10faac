"""Why a delivery did or did not go: one sentence for each thing that can hold it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from purvey.server.webhooks.explaining import Facts, explain
from purvey.server.webhooks.model import Attempt, DeliveryStatus, DeliveryWithAttempts

NOW = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FAILED = Attempt(
    id="att_1",
    number=1,
    started_at=NOW,
    duration_ms=30_000,
    status_code=None,
    stage="timeout",
    error="The deadline passed.",
    answer=None,
    address="192.0.2.1",
)
DELIVERY = DeliveryWithAttempts(
    id="dlv_1",
    endpoint_id="whk_1",
    event_id="evt_1",
    event_type="order.paid",
    order_id="ord_1",
    generation=1,
    status=DeliveryStatus.WAITING,
    attempt_count=1,
    next_attempt_at=NOW,
    created_at=NOW,
    finished_at=None,
    attempts=[FAILED],
)
FACTS = Facts(
    url="https://seller.example/",
    endpoint_status="enabled",
    disabled_reason=None,
    breaker="closed",
    failed_in_row=0,
    held_until=None,
    in_flight=0,
    max_in_flight=32,
    room=32,
    due_at=NOW,
    leased_until=None,
    ahead=7,
)


@pytest.mark.parametrize(
    ("status", "facts", "code", "words"),
    [
        ("delivered", {}, "delivered", "attempt 1"),
        ("given_up", {}, "given_up", "timeout: The deadline passed."),
        ("parked", {"endpoint_status": "disabled", "disabled_reason": "gone"}, "endpoint_disabled", "HTTP 410"),
        (
            "parked",
            {"endpoint_status": "disabled", "disabled_reason": "removed"},
            "endpoint_disabled",
            "agent_callback_url",
        ),
        ("parked", {"endpoint_status": "deleted"}, "endpoint_disabled", "deleted"),
        ("parked", {}, "resuming", "bit by bit"),
        ("waiting", {"endpoint_status": "disabled"}, "endpoint_disabled", "about to be parked"),
        ("waiting", {"leased_until": LATER, "endpoint_status": "disabled"}, "being_sent", "this moment"),
        ("waiting", {"leased_until": LATER}, "being_sent", "this moment"),
        ("waiting", {"due_at": LATER}, "next_attempt", "2026-04-17T10:28:00Z"),
        ("waiting", {"breaker": "open", "held_until": LATER, "room": 1}, "breaker", "until 2026-04-17T10:28:00Z"),
        ("waiting", {"breaker": "open", "held_until": NOW, "room": 0}, "breaker", "one at a time"),
        ("waiting", {"held_until": LATER}, "rate", "rate limit"),
        ("waiting", {"failed_in_row": 6, "room": 0, "in_flight": 1}, "probing", "6 attempts"),
        ("waiting", {"room": 0, "in_flight": 32}, "in_flight", "32 requests"),
        ("waiting", {}, "due", "7 are before it"),
    ],
)
def test_each_thing_that_holds_a_delivery_has_its_sentence(
    status: str, facts: dict[str, Any], code: str, words: str
) -> None:
    delivery = msgspec.structs.replace(DELIVERY, status=DeliveryStatus(status))
    told = explain(delivery, msgspec.structs.replace(FACTS, **facts), NOW)
    assert told.code == code
    assert words in f"{told.summary} {told.advice}"
    assert told.last_error == "timeout: The deadline passed. (after 30000 ms)"


def test_a_redirect_is_said_to_be_not_followed() -> None:
    moved = msgspec.structs.replace(FAILED, status_code=301, stage=None, error=None, duration_ms=3)
    told = explain(msgspec.structs.replace(DELIVERY, attempts=[moved]), FACTS, NOW)
    assert told.last_error == "HTTP 301, a redirect, which is not followed, after 3 ms"
