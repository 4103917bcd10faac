"""The worker: claims due jobs, runs them beside each other, records what came of them, and never dies of any of it."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from time import perf_counter
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter as Count
from prometheus_client import Histogram

from purvey.server.jobs import store
from purvey.server.jobs.headstart import HeadStart, Lease
from purvey.server.jobs.model import Job, Kind, Outcome, Recorded, Result, RetryAt
from purvey.server.jobs.recording import insist
from purvey.server.jobs.rules import after_fault, handed_back, result_of
from purvey.server.jobs.slots import Slots
from purvey.server.jobs.wake import Wake
from purvey.server.kit import metrics
from purvey.server.kit.batching import Batcher
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.tools import Tools

log = structlog.get_logger()

LEASE = timedelta(seconds=45)
"""How long a claim holds without being renewed; longer than the longest run that a kind allows itself (30 s)."""
RENEW_EVERY = 10.0
"""Seconds between two renewals of all that is being run."""
POLL_EVERY = 1.0
"""Seconds without a wake-up after which a worker looks by itself, and between two looks for leases that ran out."""
SHORTEST_WAIT = 0.02
"""Seconds that a worker waits at least after a claim that found nothing: what is due is in another worker's hands."""
PER_LANE = 32
"""Jobs of one lane in one claim at most, so that a long lane does not keep the others from their turn."""
STOP_WITHIN = 35.0
"""Seconds that `stop` lets what runs finish: longer than the longest run."""
FULL_WAIT = 0.1
"""Seconds after which a worker looks again whose slots are taken by jobs that may turn out to be slow (see `slots`)."""
MOMENT, MOMENTS = 0.005, 4
"""Seconds, and how often at most, that a crowded worker gives those that run to end, of this machine: they order nothing, so they
are no matter of the clock."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries while the database is away; the first ones come sooner."""

JOBS = Count("purvey_jobs", "Jobs run, by kind and what came of them.", ["kind", "outcome"], registry=metrics.REGISTRY)
JOB_SECONDS = Histogram(
    "purvey_job_seconds",
    "How long jobs took to run, by kind.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60),
    registry=metrics.REGISTRY,
)


class Worker:
    """Works on the lanes whose kinds `slots` names, with the number of jobs at once in this process for each.

    `patience` is as in `Slots`. `kinds` are the kinds of work it knows; a job of another kind is put back, for a later version's
    worker. `rates` gives lane kinds a number of jobs a second for each lane that has no rate of its own; without it such lanes
    have no limit. It runs what is queued with a `head_start`.
    """

    def __init__(
        self,
        tools: Tools,
        wake: Wake,
        kinds: Sequence[Kind[Any]],
        slots: Mapping[str, int],
        rates: Mapping[str, float] | None = None,
        patience: Mapping[str, int] | None = None,
        head_start: HeadStart | None = None,
    ) -> None:
        self._tools = tools
        self._wake = wake
        self._kinds = {kind.name: kind for kind in kinds}
        self._rates = dict(rates or {})
        self._head_start = head_start or HeadStart()
        self._held = Slots(slots, patience)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._stirred = asyncio.Event()
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._rescue_at = tools.clock.now()
        self._results: Batcher[Result, bool] = Batcher(self._finish, key=lambda result: result.id, largest=256)

    def start(self) -> None:
        """Begin to work, until `stop`."""
        self._wake.subscribe(self._stirred)
        self._loops = [asyncio.create_task(self._work()), asyncio.create_task(self._renew())]
        self._head_start.runner = self

    async def stop(self, within: float = STOP_WITHIN) -> None:
        """Claim nothing more, let what runs finish for at most `within` seconds, then cut it short and put it back."""
        self._stopping.set()
        self._stirred.set()
        working, renewing = self._loops
        await working
        # What was claimed by the last turn may have begun after all before it had ended.
        self._idle.clear()
        self._note_idle()
        await self._tools.clock.wait(self._idle, within)
        left = self._held.jobs
        await _cancel(*self._tasks, renewing)
        if left:
            await self._put_back(left)
        self._wake.unsubscribe(self._stirred)

    def lease(self, lane_kind: str, places: int) -> Lease | None:
        """Keep places free for jobs that are about to be queued with the lease; None while there are not so many, or at the end."""
        now = self._tools.clock.now()
        if self._stopping.is_set() or self._held.free(now).get(lane_kind, 0) < places:
            return None
        lease = Lease(lane_kind, places, UUID(bytes=self._tools.ids.random_bytes(16)), now + LEASE)
        self._held.promise(lease)
        return lease

    def begin(self, lease: Lease) -> None:
        """Run what was queued with the lease, and give the places that are left free again."""
        self._spawn(self._begin(lease))

    async def _begin(self, lease: Lease) -> None:
        try:
            self._start(await store.leased(self._tools.database, lease.token, lease.until))
        except Unavailable as error:
            # The lease runs out by itself, and then whoever comes claims them.
            log.warning("jobs.not_begun", reason=error.detail)
        except Exception:
            log.exception("jobs.not_begun")
        finally:
            self._held.redeem(lease)
            self._stirred.set()
            if self._stopping.is_set():
                self._note_idle()

    async def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._stirred.clear()
            try:
                wait = await self._turn()
                failures = 0
            except Unavailable as error:
                failures += 1
                log.warning("jobs.waiting_for_database", failures=failures, reason=error.detail)
                wait = min(0.5 * 2**failures, LONGEST_PAUSE)
            except Exception:
                failures += 1
                log.exception("jobs.turn_failed", failures=failures)
                wait = LONGEST_PAUSE
            if wait:
                await self._tools.clock.wait(self._stirred, wait)

    async def _turn(self) -> float:
        """Claim and start what is due; return the seconds to wait for the next turn, 0 when there may be more."""
        await self._rescue()
        now = self._tools.clock.now()
        wants, without = self._held.free(now), self._held.shunned(now)
        longest = FULL_WAIT if self._held.full(now) else POLL_EVERY
        if not wants:
            return longest
        token = UUID(bytes=self._tools.ids.random_bytes(16))
        jobs = await store.claim(
            self._tools.database,
            wants,
            self._rates,
            without,
            per_lane=PER_LANE,
            token=token,
            now=now,
            until=now + LEASE,
        )
        self._start(jobs)
        if jobs:
            await self._let_some_end()
        return 0 if jobs else min(longest, await self._until_due(list(wants), without))

    async def _rescue(self) -> None:
        now = self._tools.clock.now()
        if now < self._rescue_at:
            return
        self._rescue_at = now + timedelta(seconds=POLL_EVERY)
        if rescued := await store.rescue(self._tools.database, now):
            log.warning("jobs.rescued", jobs=rescued)

    async def _let_some_end(self) -> None:
        for _ in range(MOMENTS):
            if self._stopping.is_set() or not self._held.crowded(self._tools.clock.now()):
                return
            await asyncio.sleep(MOMENT)

    async def _until_due(self, lane_kinds: Sequence[str], without: Sequence[str]) -> float:
        due_at = await store.next_due(self._tools.database, lane_kinds, without)
        if due_at is None:
            return POLL_EVERY
        left = (due_at - self._tools.clock.now()).total_seconds()
        return min(max(left, SHORTEST_WAIT), POLL_EVERY)

    def _start(self, jobs: Sequence[Job]) -> None:
        self._held.take(jobs, self._tools.clock.now())
        for name, group in groupby(sorted(jobs, key=_kind_of), key=_kind_of):
            self._spawn(self._run_group(name, list(group)))

    def _spawn(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_group(self, name: str, jobs: Sequence[Job]) -> None:
        kind = self._kinds.get(name)
        if kind is None:
            log.warning("jobs.unknown_kind", kind=name, jobs=len(jobs))
            await self._put_off(jobs)
            return
        for job, loaded in zip(jobs, await _load(kind, jobs), strict=True):
            self._spawn(self._run(kind, job, loaded))

    async def _run(self, kind: Kind[Any], job: Job, loaded: object) -> None:
        started = perf_counter()
        said = "cut short"
        try:
            result, said = await self._attempt(kind, job, loaded)
            if result is not None and not await self._record(result):
                said = "lease lost"
        finally:
            self._let_go(job)
            seconds = perf_counter() - started
            JOBS.labels(job.kind, said.replace(" ", "_")).inc()
            JOB_SECONDS.labels(job.kind).observe(seconds)
            # A kind that records for itself has told of it for itself.
            (log.debug if said == "recorded" else log.info)(
                "job",
                kind=job.kind,
                ref=job.ref,
                account=job.account_id,
                attempt=job.attempt,
                lane=job.lane_id,
                outcome=said,
                duration_ms=round(seconds * 1000, 1),
            )

    async def _attempt(self, kind: Kind[Any], job: Job, loaded: object) -> tuple[Result | None, str]:
        """Run the job and return what to record of it, if it is ours to record, and a word for the log."""
        if loaded is None:
            return Result(job.id, job.lease_token), "nothing to do"
        try:
            if isinstance(loaded, Exception):
                raise loaded  # noqa: TRY301  # what failed in loading is reported where what fails in running is
            outcome: Outcome = await kind.run(job, loaded)
        except Unavailable as error:
            log.warning("job.unavailable", kind=job.kind, ref=job.ref, reason=error.detail)
        except Exception:
            log.exception("job.failed", kind=job.kind, ref=job.ref, attempt=job.attempt, claims=job.claims)
        else:
            if isinstance(outcome, Recorded):
                return None, "recorded"
            return result_of(job, outcome), "retry" if isinstance(outcome, RetryAt) else "done"
        return after_fault(job, self._tools.clock.now()), "failed"

    async def _record(self, result: Result) -> bool:
        """Record the result and return whether the lease still held. If that cannot be done, the lease runs out by itself."""
        try:
            return await insist(self._tools.clock, lambda: self._results.submit(result))
        except Exception:
            log.exception("job.not_recorded", job=result.id)
            return False

    async def _finish(self, results: Sequence[Result]) -> Sequence[bool]:
        held = await store.finish(self._tools.database, results, self._tools.clock.now())
        return [result.id in held for result in results]

    async def _put_off(self, jobs: Sequence[Job]) -> None:
        now = self._tools.clock.now()
        await asyncio.gather(*(self._record(after_fault(job, now)) for job in jobs))
        for job in jobs:
            self._let_go(job)

    def _let_go(self, job: Job) -> None:
        self._held.give_back(job)
        self._stirred.set()
        if self._stopping.is_set():
            self._note_idle()

    def _note_idle(self) -> None:
        if not self._held:
            self._idle.set()

    async def _renew(self) -> None:
        while True:
            await self._tools.clock.sleep(RENEW_EVERY)
            try:
                if self._held.jobs:
                    await store.renew(self._tools.database, self._held.jobs, self._tools.clock.now() + LEASE)
            except Exception:
                # What was lost by this is found out when the results are recorded.
                log.exception("jobs.not_renewed", jobs=len(self._held))

    async def _put_back(self, jobs: Sequence[Job]) -> None:
        now = self._tools.clock.now()
        with contextlib.suppress(Unavailable):
            await store.finish(self._tools.database, [handed_back(job, now) for job in jobs], now)
        log.warning("jobs.put_back", jobs=len(jobs))


def _kind_of(job: Job) -> str:
    return job.kind


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _load(kind: Kind[Any], jobs: Sequence[Job]) -> Sequence[object]:
    """Return what the kind loaded for each job: None, or the exception where it failed even for the one job alone."""
    try:
        loaded = await kind.load(jobs)
        if len(loaded) == len(jobs):
            return loaded
        error: Exception = ValueError(f"{kind.name} loaded {len(loaded)} entries for {len(jobs)} jobs")
    except Exception as raised:  # noqa: BLE001  # logged with the job that it belongs to
        error = raised
    if len(jobs) == 1:
        return [error]
    return [found for job in jobs for found in await _load(kind, [job])]
