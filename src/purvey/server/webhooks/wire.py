"""An endpoint as callers send it and see it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from purvey.server.events.model import EventType
from purvey.server.kit.web import Body
from purvey.server.webhooks.model import Endpoint, Kind, SignatureFormat

Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http or https, public")]
Name = Annotated[str, Meta(min_length=1, max_length=100, description="For people; default the URL's host")]
Events = Annotated[list[EventType], Meta(max_length=20, description="The types that it wants; empty: all")]
Rate = Annotated[float, Meta(ge=0.1, le=1000, description="Requests a second at most; null: what the server allows")]


class EndpointChanges(Body):
    """The fields to change; what is left out stays as it is."""

    url: Url | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    listing_id: Annotated[str, Meta(description="Only events of this listing; null: of all")] | UnsetType | None = UNSET
    enabled: Annotated[bool, Meta(description="false parks what comes; true resumes it")] | UnsetType = UNSET
    signature_format: SignatureFormat | UnsetType = UNSET
    rate_limit: Rate | UnsetType | None = UNSET


class NewEndpoint(EndpointChanges):
    """An endpoint to make. Only `url` is required."""

    url: Url


class EndpointRotation(Body):
    """For how many seconds the old secret still signs beside the new one."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=604_800)] = 0


class TestOrder(Body):
    """Which type of event to send as a test; default the first that the endpoint wants, or order.paid."""

    type: EventType | None = None


class TestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, to the byte: POST with these headers and this body."""

    url: str
    headers: dict[str, str]
    body: str


class TestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver answered; of the body the first 2,048 characters."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str


class TestError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there was no answer: the stage where it ended, and a sentence."""

    stage: str
    reason: str


class TestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test. Only 2xx is `delivered`; `unknown` says that the server died before it could tell.

    `address` is the IP address that was talked to, or that could not be reached; null when there was none.
    """

    object: Literal["webhook_test"] = "webhook_test"
    endpoint_id: str
    status: Literal["delivered", "failed", "unknown"]
    duration_ms: int
    timings: dict[str, int] | None = None
    address: str | None = None
    request: TestRequest
    answer: TestAnswer | None = None
    error: TestError | None = None


class ListenSession(msgspec.Struct, frozen=True, kw_only=True):
    """What `purvey listen` signs with. Nothing is delivered because of it: it reads the log."""

    object: Literal["listen_session"] = "listen_session"
    secret: str


Bound = Annotated[str, Meta(max_length=100, description="An instant (RFC 3339) or the id of an event, itself left out")]


class ReplayRequest(Body):
    """Which events to tell again: those that the endpoint wants and that all of this fits.

    `scope` missed leaves out what was delivered or still waits. With `dry_run` nothing is told, only counted.
    """

    after: Bound | None = None
    before: Bound | None = None
    types: Events | None = None
    scope: Literal["all", "missed"] = "all"
    dry_run: bool = False


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the URL has answered of late. Endpoints with one URL share it.

    `held_back`: more than 50 attempts failed within an hour, and one at a time is tried from `held_until` on.
    """

    state: Literal["ok", "failing", "held_back"]
    failed_in_row: int
    held_until: datetime | None


class EndpointOut(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `secret` is there only in the answer that made it; `previous_secret_until` while two secrets sign."""

    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    id: str
    kind: Kind
    name: str
    url: str
    events: Sequence[EventType]
    listing_id: str | None
    enabled: bool
    disabled_reason: Literal["gone", "removed", "by_seller"] | None
    signature_format: SignatureFormat
    rate_limit: float | None
    secret: str | UnsetType = UNSET
    secret_preview: str
    previous_secret_until: datetime | None
    health: Health
    created_at: datetime
    updated_at: datetime


def endpoint_out(endpoint: Endpoint, preview: str, now: datetime, secret: str | UnsetType = UNSET) -> EndpointOut:
    """Return `endpoint` for the API; `preview` is the end of its secret, `secret` the whole of it where it may be shown."""
    overlaps = endpoint.previous_until is not None and endpoint.previous_until > now
    return EndpointOut(
        id=endpoint.id,
        kind=endpoint.kind,
        name=endpoint.name,
        url=endpoint.url,
        events=[EventType(one) for one in endpoint.events],
        listing_id=endpoint.listing_id,
        enabled=endpoint.status == "enabled",
        disabled_reason=endpoint.disabled_reason,
        signature_format=endpoint.signature_format,
        rate_limit=None if endpoint.rate_per_second is None else round(endpoint.rate_per_second, 3),
        secret=secret,
        secret_preview=preview,
        previous_secret_until=endpoint.previous_until if overlaps else None,
        health=health(endpoint),
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )


def health(endpoint: Endpoint) -> Health:
    """Return how the endpoint's URL has answered of late."""
    if endpoint.breaker == "open":
        return Health(state="held_back", failed_in_row=endpoint.failed_in_row, held_until=endpoint.held_until)
    state: Literal["ok", "failing"] = "failing" if endpoint.failed_in_row else "ok"
    return Health(state=state, failed_in_row=endpoint.failed_in_row, held_until=None)
