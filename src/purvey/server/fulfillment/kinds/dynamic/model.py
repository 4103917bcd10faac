"""A callback: the call that a dynamic order makes to its seller's server, and its attempts."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from purvey.server.kit.safe_http.outcome import Answer, Failure
from purvey.server.orders.model import PaymentStatus, Status

CallbackStatus = Literal["waiting", "answered", "failed", "withdrawn"]
"""waiting: attempts are to come · answered: the answer is the order's · failed: the last attempt brought nothing · withdrawn:
nothing is to be called for, because the order was delivered by hand or refunded meanwhile."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `callbacks`."""

    account_id: str
    order_id: str
    listing_id: str
    key: str
    body: str
    round: int
    status: CallbackStatus
    attempts: int
    created_at: datetime
    finished_at: datetime | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try: when, how long it took in milliseconds, what was answered, or in which `stage` it ended without an answer.

    `error` says why it brought nothing; then `answer` is the beginning of what was answered.
    """

    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    stage: str | None
    error: str | None
    answer: str | None
    address: str | None


class Destination(msgspec.Struct, frozen=True):
    """Where a listing's callback leads, and what signs it: sealed, with the secret before it and until when that one signs.

    A listing that has no `url` any more is not called. `on_failure` is what follows when all attempts fail.
    """

    url: str | None
    secret: bytes | None
    secret_before: bytes | None = None
    secret_before_until: datetime | None = None
    on_failure: Literal["pending", "generated"] = "pending"


class Due(msgspec.Struct, frozen=True):
    """What a job is to call for, as it is now."""

    account_id: str
    order_id: str
    listing_id: str
    key: str
    body: str
    round: int
    status: Status
    payment_status: PaymentStatus
    to: Destination


class Sent(msgspec.Struct, frozen=True):
    """A call that was made, or tried, at `at`. `outcome` None: there was nowhere to call."""

    at: datetime
    outcome: Answer | Failure | None


class Items(msgspec.Struct, frozen=True):
    """What an answer brings, as it is stored: `delivered` is a JSON object."""

    delivered: msgspec.Raw


class RetryAfter(msgspec.Struct, frozen=True):
    """The attempt brought nothing, for a reason that may pass: the next one follows in `seconds`."""

    seconds: float
    reason: str


class Failed(msgspec.Struct, frozen=True):
    """The callback failed, for good or until it is asked for again; `reason` is a sentence for the seller."""

    reason: str


Verdict = Items | RetryAfter | Failed


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What to record of an attempt: the attributes of the SQL type `callback_result`, in its order."""

    account_id: str
    order_id: str
    job_id: str
    lease_token: UUID
    status: CallbackStatus
    started_at: datetime | None = None
    duration_ms: int | None = None
    status_code: int | None = None
    stage: str | None = None
    error: str | None = None
    answer: str | None = None
    address: str | None = None
