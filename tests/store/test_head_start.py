"""Jobs with a head start: the process that queues them runs them, and whatever becomes of it, somebody does."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from fakes import START, FakeClock
from makers import make_tools
from purvey.server.jobs import store
from purvey.server.jobs.headstart import HeadStart, Lease
from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.kit.database import Database
from purvey.server.kit.tools import Tools
from queueing import PATIENCE, Noting, claim, finish, lane_of, left, make_lane, next_of, push, push_leased, working

UNTIL = START + timedelta(seconds=45)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def tools(database: Database, clock: FakeClock) -> Tools:
    await make_lane(database, "test", max_in_flight=3)
    return make_tools(database, clock)


def lease(places: int = 10) -> Lease:
    return Lease("test", places, uuid.uuid4(), UNTIL)


def given(head_start: HeadStart, places: int) -> Lease:
    found = head_start.lease("test", places)
    assert found is not None
    return found


async def test_what_is_queued_with_a_lease_is_in_flight_and_what_finds_no_room_waits(tools: Tools) -> None:
    mine = lease()
    await push_leased(tools.database, "test", "a", "b", "c", "d", "e", lease=mine)
    held = await store.leased(tools.database, mine.token, mine.until)
    assert sorted(job.ref for job in held) == ["a", "b", "c"]
    assert [(job.attempt, job.claims, job.lease_token) for job in held] == [(1, 1, mine.token)] * 3
    assert (await lane_of(tools.database, "test"))["in_flight"] == 3
    assert await claim(tools.database) == []
    assert await finish(tools.database, *held) == {job.id for job in held}
    assert sorted(job.ref for job in await claim(tools.database)) == ["d", "e"]


async def test_nobody_overtakes_those_who_wait_but_one_who_is_to_be_tried_later_holds_nobody_up(tools: Tools) -> None:
    await push(tools.database, "test", "first")
    assert await claim(tools.database, wants={"other": 1}) == []  # the lane has learnt that somebody waits
    behind, mine = lease(), lease()
    await push_leased(tools.database, "test", "behind", lease=behind)
    assert await store.leased(tools.database, behind.token, UNTIL) == []
    jobs = await claim(tools.database)
    assert [job.ref for job in jobs] == ["behind", "first"]
    await finish(tools.database, *jobs, next_at=START + timedelta(seconds=3), attempt=2)
    await push_leased(tools.database, "test", "now", lease=mine)
    assert [job.ref for job in await store.leased(tools.database, mine.token, UNTIL)] == ["now"]


@pytest.mark.parametrize("column", ["held_until = created_at", "breaker = 'open'", "rate_per_second = 10"])
async def test_a_lane_that_is_held_back_gives_no_head_start(tools: Tools, column: str) -> None:
    await tools.database.write(f"UPDATE lanes SET {column}")
    mine = lease()
    await push_leased(tools.database, "test", "a", lease=mine)
    assert await store.leased(tools.database, mine.token, UNTIL) == []


async def test_a_worker_runs_what_it_gave_a_lease_for_without_a_claim(tools: Tools, clock: FakeClock) -> None:
    head_start, tried = HeadStart(), list[int]()

    async def twice(job: Job) -> Outcome:
        tried.append(job.attempt)
        return RetryAt(clock.now() + timedelta(seconds=3)) if job.attempt == 1 else Done()

    kind = Noting(twice)
    assert head_start.lease("test", 1) is None  # there is no worker
    async with working(tools, [kind], head_start=head_start) as wake:
        assert head_start.lease("test", 0) is None
        assert head_start.lease("other", 1) is None
        mine = given(head_start, 1)
        await push_leased(tools.database, "test", "a", lease=mine)
        head_start.begin(mine)
        assert await next_of(kind.runs) == "a"
        await until_waiting(tools.database)
        clock.advance(seconds=3)
        wake.poke()
        assert await next_of(kind.runs) == "a"
    assert (tried, await left(tools.database)) == ([1, 2], [])
    assert head_start.lease("test", 1) is None  # it has stopped
    assert (await lane_of(tools.database, "test"))["in_flight"] == 0


async def until_waiting(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await database.value("SELECT true FROM jobs WHERE lease_token IS NULL"):
            pass


async def test_places_are_kept_until_the_lease_is_used_and_a_stop_waits_for_it(tools: Tools) -> None:
    head_start, gate = HeadStart(), asyncio.Event()

    async def wait(_: Job) -> Outcome:
        await gate.wait()
        return Done()

    kind = Noting(wait)
    async with working(tools, [kind], slots={"test": 3}, head_start=head_start):
        first, second = given(head_start, 2), given(head_start, 1)
        assert head_start.lease("test", 1) is None
        await push_leased(tools.database, "test", "a", lease=first)
        head_start.begin(first)
        assert await next_of(kind.runs) == "a"
        third = given(head_start, 1)  # what was kept and not needed is free again
        assert head_start.lease("test", 1) is None
        head_start.begin(third)
        gate.set()
        late = asyncio.create_task(queue_and_begin(tools.database, head_start, second))
    assert late.done()
    assert kind.runs.get_nowait() == "b"
    assert await left(tools.database) == []


async def queue_and_begin(database: Database, head_start: HeadStart, mine: Lease) -> None:
    await push_leased(database, "test", "b", lease=mine)
    head_start.begin(mine)


async def test_what_a_process_queued_that_died_is_run_by_another_when_the_lease_is_over(
    tools: Tools, clock: FakeClock
) -> None:
    await push_leased(tools.database, "test", "a", lease=lease())
    kind = Noting()
    async with working(tools, [kind]):
        clock.advance(seconds=44)
        await tools.database.value("SELECT 1")
        assert kind.runs.empty()
        clock.advance(seconds=2)
        assert await next_of(kind.runs) == "a"
    assert await left(tools.database) == []
