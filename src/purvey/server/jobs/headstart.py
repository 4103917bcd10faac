"""A head start: jobs that are leased by the transaction that queues them, and run at once in the process that queued them.

It saves what somebody waits for: the wake-up, and the claim. Nothing else is different. A process that dies before it has begun is
one that has died of a claimed job: its lease runs out, and another process claims the job.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """What jobs may be queued with by whoever asked for it: the lease of this process, for up to `places` jobs of a lane kind."""

    lane_kind: str
    places: int
    token: UUID
    until: datetime


class Runner(Protocol):
    """What runs the jobs: the worker of this process."""

    def lease(self, lane_kind: str, places: int) -> Lease | None:
        """Keep places free, and return the lease for the jobs that are to have them; None if there are not so many."""
        ...

    def begin(self, lease: Lease) -> None:
        """Run what was queued with the lease, be it nothing, and give the places that are left free again."""
        ...


class HeadStart:
    """The worker of this process, as far as there is one that works."""

    def __init__(self) -> None:
        self.runner: Runner | None = None

    def lease(self, lane_kind: str, places: int) -> Lease | None:
        """Return a lease to queue jobs with; None: they are to wait until somebody claims them.

        Whoever has one must say `begin` afterwards, whatever came of the queueing.
        """
        return self.runner.lease(lane_kind, places) if self.runner and places else None

    def begin(self, lease: Lease) -> None:
        """Run what was queued with the lease. To be called after the commit; returns at once, and never fails."""
        if self.runner:
            self.runner.begin(lease)
