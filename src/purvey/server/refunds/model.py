"""A refund, as it is asked for and as it is shown."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.kit.idempotency import Claim
from purvey.server.payments.model import RefundNote, RefundOrigin, RefundStatus

JOB = "refunds.carry_out"
LANE = "payments"
"""The lane of what is asked of payment providers."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The command to give `amount` of an order back (None: all that is left). `refund_id` is drawn once, however often it is tried.

    `carry_out_after` is how many seconds the job waits that makes sure of it.
    """

    account_id: str
    order_id: str
    refund_id: str
    amount: int | None
    reason: str | None
    origin: RefundOrigin = "seller"
    carry_out_after: int = 0


class AskedBySeller(msgspec.Struct, frozen=True):
    """What a seller's request asks for, with the claim of its Idempotency-Key."""

    account_id: str
    order_id: str
    amount: int | None = None
    reason: str | None = None
    claim: Claim | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `refunds`: what was noted, and when."""

    note: RefundNote
    requested_at: datetime
    ended_at: datetime | None


class RefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the API shows it. `amount` is in minor units; `error` is why the provider refused."""

    id: str
    object: Literal["refund"] = "refund"
    order_id: str
    amount: int
    currency: str
    reason: str | None
    origin: RefundOrigin
    status: RefundStatus
    payment_reference: str
    provider: str
    error: str | None
    created_at: datetime
    ended_at: datetime | None
