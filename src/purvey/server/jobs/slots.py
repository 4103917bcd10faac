"""What a worker holds, and how much more it may take: the slots of each lane kind, and who no longer counts against them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from purvey.server.jobs.headstart import Lease
from purvey.server.jobs.model import Job

SLOW = timedelta(seconds=1)
"""A job that has run for longer waits for somebody else. Where that is known to happen, it gives up its slot."""
CROWDED = 0.5
"""With fewer than this part of a kind's slots free, a worker gives those that run a moment to end before it claims again: one claim
for several jobs costs as much as one for a single job."""
MANY = 16
"""Kinds with fewer slots are never waited for."""


class Slots:
    """`slots` is how many jobs of each lane kind run at once.

    Of the kinds that `patience` names, jobs that run for longer than a second do not count, up to as many jobs in all as it
    says: one that waits for a receiver costs a socket, and nothing of what the others need. When as many as there are slots wait
    so, the lanes that they are of get nothing more, so that those that answer are not drawn in after them.
    """

    def __init__(self, slots: Mapping[str, int], patience: Mapping[str, int] | None = None) -> None:
        self._slots = dict(slots)
        self._patience = dict(patience or {})
        self._held: dict[tuple[str, UUID], tuple[Job, datetime]] = {}  # the oldest first
        self._numbers: Counter[str] = Counter()  # held and promised
        self._promised: dict[UUID, Lease] = {}

    def __len__(self) -> int:
        return len(self._held) + len(self._promised)

    @property
    def jobs(self) -> list[Job]:
        """All jobs that are held."""
        return [job for job, _ in self._held.values()]

    def take(self, jobs: Sequence[Job], now: datetime) -> None:
        """Hold `jobs`, which begin to run."""
        for job in jobs:
            self._held[job.id, job.lease_token] = (job, now)
            self._numbers[job.lane_kind] += 1

    def give_back(self, job: Job) -> None:
        """Hold this one no longer."""
        del self._held[job.id, job.lease_token]
        self._numbers[job.lane_kind] -= 1

    def promise(self, lease: Lease) -> None:
        """Keep the places of a lease free, until it is redeemed."""
        self._promised[lease.token] = lease
        self._numbers[lease.lane_kind] += lease.places

    def redeem(self, lease: Lease) -> None:
        """Keep them no longer: what was queued with it is held by now."""
        del self._promised[lease.token]
        self._numbers[lease.lane_kind] -= lease.places

    def free(self, now: datetime) -> dict[str, int]:
        """Return how many jobs may be taken, for each lane kind of which any may."""
        held, slow = self._numbers, Counter(job.lane_kind for job in self._slow(now))
        free = {
            kind: min(slots - held[kind] + slow[kind], max(slots, self._patience.get(kind, 0)) - held[kind])
            for kind, slots in self._slots.items()
        }
        return {kind: number for kind, number in free.items() if number > 0}

    def crowded(self, now: datetime) -> bool:
        """Return whether a kind with many slots has few free."""
        free = self.free(now)
        return any(free.get(kind, 0) < slots * CROWDED for kind, slots in self._slots.items() if slots >= MANY)

    def shunned(self, now: datetime) -> list[str]:
        """Return the lanes from which nothing more is to be taken for now."""
        slow = list(self._slow(now))
        numbers = Counter(job.lane_kind for job in slow)
        full = {kind for kind in self._patience if numbers[kind] >= self._slots[kind]}
        return sorted({job.lane_id for job in slow if job.lane_kind in full})

    def full(self, now: datetime) -> bool:
        """Return whether a kind has nothing free that will have when one of its jobs has become slow."""
        free = self.free(now)
        return any(kind not in free and self._numbers[kind] < most for kind, most in self._patience.items())

    def _slow(self, now: datetime) -> Iterator[Job]:
        """Give the jobs that are slow where that matters."""
        for job, since in self._held.values():
            if now - since < SLOW:
                return
            if job.lane_kind in self._patience:
                yield job
