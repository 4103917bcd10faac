"""A delivery: one event for one endpoint, the states it goes through, and the steps of one attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

from purvey.server.kit.safe_http.outcome import Answer, Failure
from purvey.server.kit.states import StateTable


class DeliveryStatus(StrEnum):
    """How far the telling of one event to one endpoint has got."""

    WAITING = "waiting"
    """Made with its event, or resumed or replayed by the seller; it has a job. The attempts take it out: an answer of 2xx, or the
    last failure, within some 24 hours of the first attempt (28.8 with all jitter), longer while the lane is held back. Being
    disabled takes it out to parked; so long that its event is let go takes it out to given up."""
    DELIVERED = "delivered"
    """An attempt was answered with 2xx. For ever."""
    GIVEN_UP = "given_up"
    """Seven attempts failed, or its event is older than what the log keeps. For ever; a replay is a new delivery."""
    PARKED = "parked"
    """The endpoint is or was disabled: by the seller, by the removal of its URL, or because it answered 410. Enabling the endpoint
    takes it out. Else it is given up when its event is older than what the log keeps: never, unless a retention is set."""


STATES = StateTable(
    DeliveryStatus.WAITING,
    {
        DeliveryStatus.WAITING: frozenset(DeliveryStatus),
        DeliveryStatus.DELIVERED: frozenset(),
        DeliveryStatus.GIVEN_UP: frozenset(),
        DeliveryStatus.PARKED: frozenset({DeliveryStatus.WAITING, DeliveryStatus.GIVEN_UP}),
    },
)


EndpointStatus = Literal["enabled", "disabled", "deleted"]
SignatureFormat = Literal["body", "timestamped"]
Kind = Literal["listing_callback", "account"]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that wants events: a row of the table `endpoints`, and how its lane is. The secrets are sealed.

    No `events` means all of them, no `listing_id` those of all listings. `rate_per_second` None means what the server allows.
    """

    id: str
    account_id: str
    kind: Kind
    listing_id: str | None
    name: str
    url: str
    events: Sequence[str]
    status: EndpointStatus
    disabled_reason: Literal["gone", "removed", "by_seller"] | None
    signature_format: SignatureFormat
    rate_per_second: float | None
    secret: bytes
    previous_secret: bytes | None = None
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime
    breaker: Literal["closed", "open"] = "closed"
    failed_in_row: int = 0
    held_until: datetime | None = None


class Due(msgspec.Struct, frozen=True):
    """A delivery whose attempt is due, with what is known now of its endpoint and event. The secrets are sealed."""

    account_id: str
    delivery_id: str
    first_attempt_at: datetime | None
    attempts: int
    endpoint_id: str
    endpoint_status: EndpointStatus
    url: str
    signature_format: SignatureFormat
    secret: bytes
    previous_secret: bytes | None
    previous_until: datetime | None
    event_id: str
    event_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """What signs: the present secret and, during the overlap of a rotation, the one before."""

    current: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request, signed and ready to be sent at once: its time is in the signature."""

    due: Due
    headers: dict[str, str]
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was sent, or tried to be, and what came of it."""

    prepared: Prepared
    outcome: Answer | Failure


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The receiver does not have it; the next attempt is due at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The receiver does not have it, and that was the last attempt."""


@dataclass(frozen=True, slots=True)
class Disable:
    """The receiver says that it is gone for good (410): the endpoint is disabled and its deliveries parked."""


Verdict = Delivered | RetryAt | GiveUp | Disable


@dataclass(frozen=True, slots=True)
class Decided:
    """An attempt that is over, and what follows from it. Only this can be recorded as an attempt."""

    sent: Sent
    verdict: Verdict


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What to record of one job: the attributes of the SQL type `webhook_result`, in its order."""

    account_id: str
    delivery_id: str
    job_id: str
    lease_token: UUID
    attempt: int
    status: DeliveryStatus
    next_at: datetime | None = None
    target: Literal["answered", "failed"] | None = None
    attempt_id: str | None = None
    started_at: datetime | None = None
    duration_ms: int | None = None
    status_code: int | None = None
    stage: str | None = None
    error: str | None = None
    answer: str | None = None
    address: str | None = None
    endpoint_id: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP try. `status_code` is null when there was no answer; then `stage` and `error` say where it ended and why."""

    object: Literal["attempt"] = "attempt"
    id: str
    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    stage: str | None
    error: str | None
    answer: str | None
    address: str | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint. `attempt_count` counts the HTTP tries so far; a replay has a higher `generation`."""

    object: Literal["delivery"] = "delivery"
    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    order_id: str | None
    generation: int
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class DeliveryFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries of an endpoint to list; all of those given must fit."""

    status: DeliveryStatus | None = None
    event_id: str | None = None
    order_id: str | None = None


class DeliveryWithAttempts(Delivery, frozen=True, kw_only=True):
    """A delivery and all its attempts, the first one first."""

    attempts: list[Attempt]


class Redelivered(msgspec.Struct, frozen=True):
    """What came of asking for an order's events once more: how many deliveries were made, or from when on it may be asked again."""

    scheduled: int
    again_at: datetime | None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the log that is told to an endpoint again. `found` events were to be told when it began, `made` have been.

    It is `running` until all of them are, and `stopped` when its endpoint was disabled meanwhile. A dry run has no `id`.
    """

    object: Literal["replay"] = "replay"
    id: str | None
    endpoint_id: str
    status: Literal["running", "done", "stopped", "dry_run"]
    found: int
    made: int
    created_at: datetime
    finished_at: datetime | None


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay is to tell, bounds left out: the first arguments of the SQL function `webhooks_replay_begin`, in its order."""

    account_id: str
    id: str
    endpoint_id: str
    types: Sequence[str]
    scope: Literal["all", "missed"]
    after_sequence: int | None
    before_sequence: int | None
    after: datetime | None
    before: datetime | None
    dry_run: bool
