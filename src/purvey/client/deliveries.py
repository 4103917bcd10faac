"""What the server answers about webhooks, field by field."""

from typing import Any

from purvey.client.shapes import Shape


class Health(Shape):
    """How an endpoint has been answering."""

    state: str
    failed_in_row: int
    held_until: str | None


class Endpoint(Shape):
    """A URL that is told of events. The answer that makes it, and that of a rotation, alone have its secret."""

    object: str
    id: str
    kind: str
    name: str
    url: str
    events: list[str]
    listing_id: str | None
    enabled: bool
    disabled_reason: str | None
    signature_format: str
    rate_limit: float | None
    secret: str
    secret_preview: str
    previous_secret_until: str | None
    health: Health
    created_at: str
    updated_at: str


class Attempt(Shape):
    """One HTTP try."""

    object: str
    id: str
    number: int
    started_at: str
    duration_ms: int
    status_code: int | None
    stage: str | None
    error: str | None
    answer: str | None
    address: str | None


class Delivery(Shape):
    """One event for one endpoint."""

    object: str
    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    order_id: str | None
    generation: int
    status: str
    attempt_count: int
    next_attempt_at: str | None
    created_at: str
    finished_at: str | None


class DeliveryWithAttempts(Delivery):
    """A delivery and all its attempts, the first one first."""

    attempts: list[Attempt]


class Explanation(Shape):
    """Why a delivery did or did not go. `code` is for programs, the sentences are for people."""

    object: str
    id: str
    endpoint_id: str
    event_id: str
    status: str
    code: str
    summary: str
    advice: str
    url: str
    last_error: str | None
    next_attempt_at: str | None
    ahead: int


class ListenSession(Shape):
    """What `purvey listen` signs with."""

    object: str
    secret: str


class EndpointTest(Shape):
    """What a test sent and what was answered."""

    object: str
    endpoint_id: str
    status: str
    duration_ms: int
    timings: dict[str, Any] | None
    address: str | None
    request: dict[str, Any]
    answer: dict[str, Any] | None
    error: dict[str, Any] | None


class Replay(Shape):
    """A stretch of the log, told once more to an endpoint."""

    object: str
    id: str | None
    endpoint_id: str
    status: str
    found: int
    made: int
    created_at: str
    finished_at: str | None
