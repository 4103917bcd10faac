"""Putting work into the queue and taking it out by hand, for tests of the queue and of what stands on it."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from fakes import START
from purvey.server.jobs import store
from purvey.server.jobs.headstart import HeadStart, Lease
from purvey.server.jobs.model import Done, Job, Kind, Outcome, Result
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from purvey.server.kit.database import Connection, Database
from purvey.server.kit.tools import Tools

PATIENCE = 20.0
"""Real seconds after which a test that waits for a signal is taken to have failed."""

Act = Callable[[Job], Awaitable[Outcome]]


class Noting:
    """A kind of work that notes each run, and then acts as the test says."""

    name = "test.note"

    def __init__(self, act: Act | None = None) -> None:
        self.runs: asyncio.Queue[str] = asyncio.Queue()
        self._act = act

    async def load(self, jobs: Sequence[Job]) -> Sequence[str | None]:
        return [None if job.ref.startswith("gone") else job.ref for job in jobs]

    async def run(self, job: Job, loaded: str) -> Outcome:
        self.runs.put_nowait(loaded)
        return Done() if self._act is None else await self._act(job)


async def make_lane(database: Database, lane: str, *, max_in_flight: int = 100, rate: float | None = None) -> None:
    """Make a lane named `kind` or `kind:something`."""
    await database.write(
        "SELECT lane_ensure($1, split_part($1, ':', 1), NULL, 'a test', $2, $3)", lane, max_in_flight, START
    )
    await database.write("UPDATE lanes SET rate_per_second = $2 WHERE id = $1", lane, rate)


async def push(
    target: "Database | Connection", lane: str, *refs: str, kind: str = "test.note", due_at: datetime = START
) -> None:
    """Queue one job for each of `refs`; the ids are `job_` and the ref."""
    jobs = [(f"job_{ref}", lane, kind, "acc_1", ref, due_at) for ref in refs]
    run = target.write if isinstance(target, Database) else target.fetch
    await run("SELECT jobs_push($1::job_new[], $2)", jobs, START)


async def push_leased(database: Database, lane: str, *refs: str, lease: Lease, now: datetime = START) -> None:
    """Queue one job for each of `refs` with a lease, as far as the lane has room."""
    jobs = [(f"job_{ref}", lane, "test.note", "acc_1", ref, now) for ref in refs]
    await database.write("SELECT jobs_push_leased($1::job_new[], $2, $3, $4)", jobs, lease.token, lease.until, now)


async def claim(
    database: Database,
    *,
    now: datetime = START,
    wants: Mapping[str, int] | None = None,
    rates: Mapping[str, float] | None = None,
    without: Sequence[str] = (),
    per_lane: int = 32,
) -> list[Job]:
    """Claim as a worker does, under a fresh token, for 45 seconds."""
    return await store.claim(
        database,
        wants or {"test": 100},
        rates or {},
        without,
        per_lane=per_lane,
        token=uuid.uuid4(),
        now=now,
        until=now + timedelta(seconds=45),
    )


async def finish(database: Database, *jobs: Job, now: datetime = START, **result: Any) -> set[str]:
    """Record the same result for each of `jobs`."""
    return await store.finish(database, [Result(job.id, job.lease_token, **result) for job in jobs], now)


async def lane_of(database: Database, lane: str) -> Mapping[str, Any]:
    """Return the lane's row."""
    row = await database.row("SELECT * FROM lanes WHERE id = $1", lane)
    assert row is not None
    return dict(row)


async def left(database: Database) -> list[tuple[str, int, int]]:
    """Return what is left in the queue: ref, attempt, and the seconds until it is due."""
    rows = await database.rows("SELECT ref, attempt, due_at, lease_token FROM jobs ORDER BY ref")
    assert [row["ref"] for row in rows if row["lease_token"]] == []
    return [(row["ref"], row["attempt"], round((row["due_at"] - START).total_seconds())) for row in rows]


async def next_of(queue: "asyncio.Queue[str]") -> str:
    """Return the next entry, or fail when none comes."""
    async with asyncio.timeout(PATIENCE):
        return await queue.get()


@contextlib.asynccontextmanager
async def working(
    tools: Tools,
    kinds: Sequence[Kind[Any]],
    slots: Mapping[str, int] | None = None,
    *,
    patience: Mapping[str, int] | None = None,
    lines: list[Any] | None = None,
    head_start: HeadStart | None = None,
) -> AsyncIterator[Wake]:
    """Run a worker, and stop it in the end, when all that it runs has been recorded.

    What it logs is added to `lines`; a test that gives none says that nothing goes wrong, and fails when an error is logged.
    """
    wake = Wake(tools.database, tools.clock)
    worker = Worker(tools, wake, kinds, slots or {"test": 10}, patience=patience, head_start=head_start)
    with capture_logs() as logged:
        worker.start()
        try:
            yield wake
        finally:
            async with asyncio.timeout(PATIENCE):
                await worker.stop()
                await wake.close()
    if lines is not None:
        lines += logged
    else:
        assert [line for line in logged if line["log_level"] == "error"] == []
