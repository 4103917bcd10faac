"""A job, what may come of it, and what a room implements to have its work done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

Loaded = TypeVar("Loaded")


class Job(msgspec.Struct, frozen=True):
    """One piece of work, as claimed: a row of the table `jobs`.

    `ref` is the id of what it is about, `attempt` the number of this attempt (from 1). `claims` counts how often it was
    claimed since the last result; more than 1 means that a worker died of it or beside it.
    """

    id: str
    lane_id: str
    kind: str
    account_id: str | None
    ref: str
    attempt: int
    due_at: datetime
    lease_token: UUID
    leased_until: datetime
    claims: int
    created_at: datetime

    @property
    def lane_kind(self) -> str:
        """What the lane is one of, such as `webhook` or `mail`: the part of its id before the colon."""
        return self.lane_id.partition(":")[0]


class NewJob(msgspec.Struct, frozen=True):
    """A job to queue: the attributes of the SQL type `job_new`, in its order. One whose id is there already is left as it is."""

    id: str
    lane_id: str
    kind: str
    account_id: str | None
    ref: str
    due_at: datetime


class Done(msgspec.Struct, frozen=True):
    """The work is done, or there is nothing left to do: the job goes."""


class RetryAt(msgspec.Struct, frozen=True):
    """The attempt did not succeed: the next one is due at `at`."""

    at: datetime


class Recorded(msgspec.Struct, frozen=True):
    """The kind has finished the job itself, in one statement with its own rows, through the SQL function `jobs_finish`."""


Outcome = Done | RetryAt | Recorded


class Kind(Protocol[Loaded]):
    """One kind of work. Several batches and runs are under way at once; an instance keeps no state between them."""

    @property
    def name(self) -> str:
        """The jobs' `kind`, such as `webhooks.deliver`."""
        ...

    async def load(self, jobs: Sequence[Job]) -> Sequence[Loaded | None]:
        """Read what the jobs are about, with one query for all of them.

        Returns one entry per job, in their order; None for a job whose subject is gone or settled, which then is done.
        """
        ...

    async def run(self, job: Job, loaded: Loaded) -> Outcome:
        """Do the work, holding no transaction while it talks to others. It may run again after a crash.

        What the far side does wrong is an outcome. An exception is a fault of ours: it is logged, and the job waits 10
        seconds, then 20, and so on up to an hour, at the same attempt.
        """
        ...


class Result(msgspec.Struct, frozen=True):
    """What to record of one claimed job: the attributes of the SQL type `job_result`, in its order.

    `next_at` None means that the job goes. `attempt` is the number of the next attempt, None when this one does not count.
    `target` is what was learnt about where the lane leads.
    """

    id: str
    lease_token: UUID
    next_at: datetime | None = None
    attempt: int | None = None
    lane_id: str | None = None
    target: Literal["answered", "failed"] | None = None
