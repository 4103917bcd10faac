"""Why a delivery did or did not go, in words, with what to do about it. Pure."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.webhooks.model import Attempt, DeliveryStatus, DeliveryWithAttempts, EndpointStatus

MOST_AHEAD = 1000
"""How many deliveries before this one are counted at most."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the delivery itself: its endpoint, the lane of its URL, and its job if it waits."""

    url: str
    endpoint_status: EndpointStatus
    disabled_reason: str | None
    breaker: Literal["closed", "open"]
    failed_in_row: int
    held_until: datetime | None
    in_flight: int
    max_in_flight: int
    room: int
    due_at: datetime | None
    leased_until: datetime | None
    ahead: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why the delivery with this id did or did not go. `code` is for programs, the sentences are for people."""

    object: Literal["delivery_explanation"] = "delivery_explanation"
    id: str
    endpoint_id: str
    event_id: str
    status: DeliveryStatus
    code: Literal[
        "delivered",
        "given_up",
        "endpoint_disabled",
        "resuming",
        "being_sent",
        "next_attempt",
        "breaker",
        "probing",
        "rate",
        "in_flight",
        "due",
    ]
    summary: str
    advice: str
    url: str
    last_error: str | None
    next_attempt_at: datetime | None
    ahead: int


def explain(delivery: DeliveryWithAttempts, facts: Facts, now: datetime) -> Explanation:
    """Return what holds the delivery, or what became of it."""
    code, summary, advice = _why(delivery, facts, now)
    return Explanation(
        id=delivery.id,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        status=delivery.status,
        code=code,  # type: ignore[arg-type]  # one of those below
        summary=summary,
        advice=advice,
        url=facts.url,
        last_error=_said(delivery.attempts[-1]) if delivery.attempts else None,
        next_attempt_at=delivery.next_attempt_at,
        ahead=facts.ahead,
    )


def _why(delivery: DeliveryWithAttempts, facts: Facts, now: datetime) -> tuple[str, str, str]:
    last = _said(delivery.attempts[-1]) if delivery.attempts else "nothing was tried yet"
    retry = f"POST /v1/deliveries/{delivery.id}/retry"
    match delivery.status:
        case DeliveryStatus.DELIVERED:
            return "delivered", f"It arrived at attempt {delivery.attempt_count}: {last}.", "Nothing is to be done."
        case DeliveryStatus.GIVEN_UP:
            text = f"All {delivery.attempt_count} attempts failed; the last one: {last}."
            if not delivery.attempts:
                text = "It waited, untried, until its event was older than what the log keeps."
            return "given_up", text, f"Mend the receiver, then send it again: {retry}."
        case DeliveryStatus.PARKED if facts.endpoint_status == "enabled":
            text = "Its endpoint was enabled, and what was parked is sent bit by bit, the oldest first."
            return "resuming", text, f"To send it now: {retry}."
        case DeliveryStatus.PARKED:
            return (
                "endpoint_disabled",
                f"Its endpoint {_disabled(facts)}, so it is parked.",
                _how_to_enable(delivery, facts),
            )
        case _:
            return _held(delivery, facts, now, last, retry)


def _held(delivery: DeliveryWithAttempts, facts: Facts, now: datetime, last: str, retry: str) -> tuple[str, str, str]:
    if facts.leased_until is not None:
        advice = "Look again in half a minute, the longest that an attempt takes."
        return "being_sent", "It is being sent at this moment.", advice
    if facts.endpoint_status != "enabled":
        text = f"Its endpoint {_disabled(facts)}, so it is about to be parked."
        return "endpoint_disabled", text, _how_to_enable(delivery, facts)
    if facts.due_at is not None and facts.due_at > now:
        text = f"Attempt {delivery.attempt_count + 1} is due at {_at(facts.due_at)}; so far: {last}."
        return "next_attempt", text, f"To try at once: {retry}."
    return _held_by_lane(facts, now, last)


def _held_by_lane(facts: Facts, now: datetime, last: str) -> tuple[str, str, str]:
    """Return what keeps a delivery that is due from being sent: the limits that its URL shares."""
    held = facts.held_until if facts.held_until is not None and facts.held_until > now else None
    before = f"{facts.ahead} are before it."
    mend = "Mend the receiver: the first attempt that is answered with 2xx lets everything go on."
    if facts.breaker == "open":
        when = f"until {_at(held)}" if held else "while one at a time is tried"
        text = f"More than 50 attempts to this URL failed within an hour, so it is left alone {when}; the last one: {last}."
        return "breaker", text, mend
    if held:
        return "rate", f"The URL's rate limit holds it back; {before}", "Raise the endpoint's rate_limit."
    if facts.room <= 0 and facts.failed_in_row >= 5:
        text = f"The last {facts.failed_in_row} attempts to this URL failed, so one at a time is tried; {before}"
        return "probing", text, mend
    if facts.room <= 0:
        text = f"{facts.in_flight} requests to this URL are under way, as many as its last answers allow; {before}"
        return "in_flight", text, "Answer faster: take the event, answer 2xx, and do the work afterwards."
    advice = "A worker takes it within a second; if none does, `purvey doctor` says whether one is running."
    return "due", f"It is due; {before}", advice


def _disabled(facts: Facts) -> str:
    words = {
        "gone": "was disabled because it answered HTTP 410",
        "removed": "has no URL since the listing's agent_callback_url was removed",
        "by_seller": "was disabled",
    }
    return (
        "was deleted" if facts.endpoint_status == "deleted" else words.get(facts.disabled_reason or "", "was disabled")
    )


def _how_to_enable(delivery: DeliveryWithAttempts, facts: Facts) -> str:
    if facts.endpoint_status == "deleted":
        return f"It stays to be read; the event can be had with GET /v1/events/{delivery.event_id}."
    if facts.disabled_reason == "removed":
        return "Set the listing's agent_callback_url again: what is parked goes there."
    return f'Enable it: PATCH /v1/webhooks/{delivery.endpoint_id} {{"enabled": true}}. What is parked is sent then.'


def _said(attempt: Attempt) -> str:
    if attempt.status_code is not None and 300 <= attempt.status_code < 400:
        return f"HTTP {attempt.status_code}, a redirect, which is not followed, after {attempt.duration_ms} ms"
    if attempt.status_code is not None:
        return f"HTTP {attempt.status_code} after {attempt.duration_ms} ms"
    return f"{attempt.stage}: {attempt.error} (after {attempt.duration_ms} ms)"


def _at(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
