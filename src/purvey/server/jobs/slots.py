"""What a worker holds, and how much more it may take: the slots of each lane kind, and who no longer counts against them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from purvey.server.jobs.headstart import Lease
from purvey.server.jobs.model import Job

SLOW = timedelta(seconds=1)
"""A job that has run for longer waits for somebody else. Where that is known to happen, it gives up its slot."""
CROWDED = 0.25
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
        self._held: dict[tuple[str, UUID], tuple[Job, datetime]] = {}
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

    def give_back(self, job: Job) -> None:
        """Hold this one no longer."""
        del self._held[job.id, job.lease_token]

    def promise(self, lease: Lease) -> None:
        """Keep the places of a lease free, until it is redeemed."""
        self._promised[lease.token] = lease

    def redeem(self, lease: Lease) -> None:
        """Keep them no longer: what was queued with it is held by now."""
        del self._promised[lease.token]

    def free(self, now: datetime) -> dict[str, int]:
        """Return how many jobs may be taken, for each lane kind of which any may."""
        held, slow = self._counted(now)
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
        _, slow = self._counted(now)
        full = {kind for kind in self._patience if slow[kind] >= self._slots[kind]}
        return sorted(
            {job.lane_id for job, since in self._held.values() if job.lane_kind in full and _slow(since, now)}
        )

    def full(self, now: datetime) -> bool:
        """Return whether a kind has nothing free that will have when one of its jobs has become slow."""
        free = self.free(now)
        held, _ = self._counted(now)
        return any(kind not in free and held[kind] < most for kind, most in self._patience.items())

    def _counted(self, now: datetime) -> tuple[Counter[str], Counter[str]]:
        """Return how many jobs of each lane kind are held, and how many of those are slow where that matters."""
        held: Counter[str] = Counter()
        slow: Counter[str] = Counter()
        for lease in self._promised.values():
            held[lease.lane_kind] += lease.places
        for job, since in self._held.values():
            kind = job.lane_kind
            held[kind] += 1
            if kind in self._patience and _slow(since, now):
                slow[kind] += 1
        return held, slow


def _slow(since: datetime, now: datetime) -> bool:
    return now - since >= SLOW
