"""The worker: what it runs, what it survives, and what becomes of its jobs when it does not."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from fakes import START, FakeClock
from makers import make_tools
from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.jobs.recording import insist
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from purvey.server.kit.database import Database
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.tools import Tools
from queueing import PATIENCE, Noting, claim, lane_of, left, make_lane, next_of, push, working


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def tools(database: Database, clock: FakeClock) -> Tools:
    await make_lane(database, "test")
    return make_tools(database, clock)


async def test_what_was_queued_before_the_start_is_run(tools: Tools) -> None:
    await push(tools.database, "test", "a", "b")
    kind = Noting()
    async with working(tools, [kind]):
        assert {await next_of(kind.runs), await next_of(kind.runs)} == {"a", "b"}
    assert await left(tools.database) == []


async def test_a_poke_has_a_new_job_run_without_any_time_passing(tools: Tools) -> None:
    kind = Noting()
    async with working(tools, [kind]) as wake:
        for ref in "abc":
            await push(tools.database, "test", ref)
            wake.poke()
            assert await next_of(kind.runs) == ref


async def test_a_lost_wake_up_costs_at_most_one_poll(tools: Tools, clock: FakeClock) -> None:
    kind = Noting()
    async with working(tools, [kind]):
        await push(tools.database, "test", "a")
        async with asyncio.timeout(PATIENCE):
            while kind.runs.empty():
                # In small steps: on a slow machine a lease must not run out while its job is being run.
                clock.advance(seconds=0.05)
                await tools.database.value("SELECT 1")
    assert await left(tools.database) == []


async def test_a_poke_in_one_process_wakes_the_worker_of_another(tools: Tools, fresh_database: str) -> None:
    kind = Noting()
    elsewhere = await Database.open(fresh_database)
    other = Wake(elsewhere, tools.clock)
    async with working(tools, [kind]) as wake:
        heard = asyncio.Event()
        wake.subscribe(heard)
        async with asyncio.timeout(PATIENCE):
            await heard.wait()  # it stirs everybody once it listens
            await push(elsewhere, "test", "a")
            other.poke()
            assert await next_of(kind.runs) == "a"
    await other.close()
    await elsewhere.close()


async def test_more_jobs_than_slots_are_run_one_after_the_other(tools: Tools) -> None:
    await push(tools.database, "test", *(f"{n}" for n in range(25)))
    at_once: list[int] = []
    running: set[str] = set()

    async def act(job: Job) -> Outcome:
        running.add(job.ref)
        at_once.append(len(running))
        await tools.database.value("SELECT 1")
        running.remove(job.ref)
        return Done()

    kind = Noting(act)
    async with working(tools, [kind], {"test": 4}):
        for _ in range(25):
            await next_of(kind.runs)
    assert max(at_once) <= 4
    assert await left(tools.database) == []


async def test_a_retry_is_run_again_at_its_time_with_the_next_number(tools: Tools, clock: FakeClock) -> None:
    await push(tools.database, "test", "a")
    attempts: list[int] = []

    async def act(job: Job) -> Outcome:
        attempts.append(job.attempt)
        return RetryAt(clock.now() + timedelta(seconds=30)) if job.attempt < 3 else Done()

    kind = Noting(act)
    async with working(tools, [kind]) as wake:
        for _ in range(3):
            await next_of(kind.runs)
            clock.advance(seconds=30)
            wake.poke()
    assert attempts == [1, 2, 3]
    assert await left(tools.database) == []


async def test_an_exception_puts_its_job_off_and_harms_no_other(tools: Tools) -> None:
    await push(tools.database, "test", "good", "poison")

    async def act(job: Job) -> Outcome:
        if job.ref == "poison":
            raise ZeroDivisionError
        return Done()

    kind = Noting(act)
    lines: list[Any] = []
    async with working(tools, [kind], lines=lines):
        assert {await next_of(kind.runs), await next_of(kind.runs)} == {"good", "poison"}
    assert await left(tools.database) == [("poison", 1, 10)]
    [failure] = [line for line in lines if line["event"] == "job.failed"]
    assert (failure["ref"], failure["exc_info"], failure["log_level"]) == ("poison", True, "error")


async def test_a_job_that_keeps_failing_waits_longer_each_time_but_is_never_given_up(
    tools: Tools, clock: FakeClock
) -> None:
    await push(tools.database, "test", "poison")

    async def act(_job: Job) -> Outcome:
        raise ZeroDivisionError

    waits = []
    for _ in range(11):
        kind = Noting(act)
        async with working(tools, [kind], lines=[]):
            await next_of(kind.runs)
        due_at = await tools.database.value("SELECT due_at FROM jobs")
        waits.append((due_at - clock.now()).total_seconds())
        clock.advance(seconds=waits[-1])
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


async def test_a_subject_that_cannot_be_loaded_harms_no_other(tools: Tools) -> None:
    await push(tools.database, "test", "good", "unreadable")

    class Unreadable(Noting):
        async def load(self, jobs: Sequence[Job]) -> Sequence[str | None]:
            if any(job.ref == "unreadable" for job in jobs):
                raise ZeroDivisionError
            return await super().load(jobs)

    kind = Unreadable()
    async with working(tools, [kind], lines=[]):
        assert await next_of(kind.runs) == "good"
    assert await left(tools.database) == [("unreadable", 1, 10)]


async def test_a_job_whose_subject_is_gone_is_done_without_being_run(tools: Tools) -> None:
    await push(tools.database, "test", "gone", "here")
    kind = Noting()
    async with working(tools, [kind]):
        assert await next_of(kind.runs) == "here"
    assert kind.runs.empty()
    assert await left(tools.database) == []


async def test_a_job_of_an_unknown_kind_is_put_back_for_whoever_knows_it(tools: Tools) -> None:
    await push(tools.database, "test", "b", kind="test.of_a_later_version")
    await push(tools.database, "test", "a")
    kind = Noting()
    async with working(tools, [kind]):
        assert await next_of(kind.runs) == "a"
    assert await left(tools.database) == [("b", 1, 10)]


async def kill(worker: Worker) -> None:
    """End the worker as a crash does: nothing is recorded, nothing put back."""
    tasks = [*worker._loops, *worker._tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_job_of_a_worker_that_died_is_run_by_another_after_the_lease(tools: Tools, clock: FakeClock) -> None:
    await push(tools.database, "test", "a")

    async def act(_job: Job) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    dying, wake = Noting(act), Wake(tools.database, clock)
    worker = Worker(tools, wake, [dying], {"test": 10})
    worker.start()
    await next_of(dying.runs)
    await kill(worker)
    await wake.close()

    assert await claim(tools.database, now=START + timedelta(seconds=44)) == []
    clock.advance(seconds=45)
    surviving = Noting()
    async with working(tools, [surviving]):
        assert await next_of(surviving.runs) == "a"
    assert await left(tools.database) == []
    assert (await lane_of(tools.database, "test"))["in_flight"] == 0


async def test_a_lease_is_renewed_for_as_long_as_the_run_takes(tools: Tools, clock: FakeClock) -> None:
    await push(tools.database, "test", "long")
    enough = asyncio.Event()

    async def act(_job: Job) -> Outcome:
        await enough.wait()
        return Done()

    kind = Noting(act)
    async with working(tools, [kind]):
        await next_of(kind.runs)
        for _ in range(7):
            await asleep(clock, 10)
            clock.advance(seconds=10)
        await asleep(clock, 10)
        assert await tools.database.value("SELECT leased_until FROM jobs") == clock.now() + timedelta(seconds=45)
        enough.set()
    assert kind.runs.empty()
    assert await left(tools.database) == []


async def asleep(clock: FakeClock, seconds: float) -> None:
    """Return once somebody has begun to sleep for exactly `seconds`."""
    async with asyncio.timeout(PATIENCE):
        while all(at != clock.at + timedelta(seconds=seconds) for at, _, _ in clock._sleepers):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)


async def test_a_worker_that_is_stopped_lets_what_runs_finish(tools: Tools) -> None:
    await push(tools.database, "test", "a")
    enough = asyncio.Event()

    async def act(_job: Job) -> Outcome:
        await enough.wait()
        return Done()

    kind = Noting(act)
    async with working(tools, [kind]):
        await next_of(kind.runs)
        asyncio.get_running_loop().call_soon(enough.set)
    assert await left(tools.database) == []


async def pass_time(clock: FakeClock, seconds: float) -> None:
    """Move the clock on once somebody has begun to wait for exactly `seconds`."""
    await asleep(clock, seconds)
    clock.advance(seconds=seconds)


async def test_what_does_not_finish_in_time_is_put_back_at_once(tools: Tools, clock: FakeClock) -> None:
    await push(tools.database, "test", "endless")

    async def act(_job: Job) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    kind = Noting(act)
    async with working(tools, [kind]):
        await next_of(kind.runs)
        passing = asyncio.create_task(pass_time(clock, 35))
    await passing
    [(ref, attempt, _)] = await left(tools.database)
    assert (ref, attempt) == ("endless", 1)
    assert (await lane_of(tools.database, "test"))["in_flight"] == 0


async def test_a_worker_lives_on_when_every_connection_is_lost(
    tools: Tools, clock: FakeClock, fresh_database: str
) -> None:
    killer = await asyncpg.connect(fresh_database)
    kind = Noting()
    async with working(tools, [kind], lines=[]) as wake:
        await push(tools.database, "test", "before")
        wake.poke()
        assert await next_of(kind.runs) == "before"
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await killer.execute(
            "SELECT jobs_push($1::job_new[], $2)", [("j", "test", "test.note", None, "after", START)], START
        )
        async with asyncio.timeout(PATIENCE):
            while kind.runs.empty():
                clock.advance(seconds=1)
                await killer.execute("SELECT 1")
        assert await next_of(kind.runs) == "after"
    await killer.close()


async def test_recording_is_tried_every_second_until_the_database_is_back(clock: FakeClock) -> None:
    answers: list[str | Unavailable] = ["recorded", Unavailable("away"), Unavailable("away")]

    async def write() -> str:
        answer = answers.pop()
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    recording = asyncio.create_task(insist(clock, write))
    for _ in range(2):
        await pass_time(clock, 1)
    assert await recording == "recorded"
    assert clock.now() == START + timedelta(seconds=2)
