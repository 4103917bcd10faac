"""The queue in SQL: pushing, claiming, finishing, and what holds when many do so at once."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from fakes import START
from purvey.server.jobs import store
from purvey.server.jobs.model import Job
from purvey.server.kit.database import Database
from queueing import claim, finish, lane_of, make_lane, push

LATER = START + timedelta(seconds=46)


def refs(jobs: list[Job]) -> list[str]:
    return sorted(job.ref for job in jobs)


async def test_a_due_job_is_claimed_once_and_is_gone_when_it_is_done(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    [job] = await claim(database)
    assert (job.ref, job.attempt, job.claims, job.lane_kind) == ("a", 1, 1, "test")
    assert await claim(database) == []
    assert await finish(database, job) == {job.id}
    assert await database.value("SELECT count(*) FROM jobs") == 0
    lane = await lane_of(database, "test")
    assert (lane["in_flight"], lane["due_at"]) == (0, None)


async def test_a_job_is_not_claimed_before_it_is_due(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a", due_at=START + timedelta(seconds=30))
    assert await claim(database) == []
    assert await store.next_due(database, ["test"]) == START + timedelta(seconds=30)
    assert refs(await claim(database, now=START + timedelta(seconds=30))) == ["a"]


async def test_a_lane_that_is_due_later_learns_of_a_job_that_is_due_earlier(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "later", due_at=START + timedelta(hours=1))
    assert await claim(database) == []
    await push(database, "test", "now")
    assert refs(await claim(database)) == ["now"]
    assert (await lane_of(database, "test"))["first_at"] == START + timedelta(hours=1)


async def test_pushing_a_job_again_leaves_it_as_it_is(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a", due_at=START + timedelta(hours=1))
    await push(database, "test", "a")
    assert await claim(database) == []
    assert refs(await claim(database, now=START + timedelta(hours=1))) == ["a"]


async def test_a_job_for_a_lane_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="no lane nowhere"):
        await push(database, "nowhere", "a")


async def test_a_job_that_commits_late_is_found_although_the_lane_was_looked_at_meanwhile(database: Database) -> None:
    await make_lane(database, "test")
    async with database.transaction() as open_one:
        await push(open_one, "test", "late")
        await push(database, "test", "early")
        [early] = await claim(database)
        await finish(database, early)
        assert await claim(database) == []
    assert refs(await claim(database)) == ["late"]


async def test_a_push_waits_for_no_lane(database: Database) -> None:
    await make_lane(database, "test")
    async with database.transaction() as holder:
        await holder.execute("SELECT 1 FROM lanes FOR UPDATE")
        async with asyncio.timeout(5):
            await push(database, "test", "a")
    assert refs(await claim(database)) == ["a"]


async def test_a_lane_never_holds_more_than_its_cap_in_flight(database: Database) -> None:
    await make_lane(database, "test", max_in_flight=3)
    await push(database, "test", *"abcdefg")
    first = await claim(database)
    assert len(first) == 3
    assert await claim(database) == []
    await finish(database, first[0])
    assert len(await claim(database)) == 1


async def test_a_lane_that_learns_gets_more_with_each_answer_and_half_with_each_failure(database: Database) -> None:
    await make_lane(database, "test", max_in_flight=5)
    await database.write("UPDATE lanes SET width = 2 WHERE id = 'test'")
    await push(database, "test", *(f"{n}" for n in range(30)))
    held = await claim(database)
    assert len(held) == 2
    await finish(database, held[0], target="answered")
    held = [held[1], *await claim(database)]
    assert len(held) == 3
    await finish(database, *held, target="answered")
    held = await claim(database)
    assert len(held) == 5  # never more than its cap
    await finish(database, held[0])
    assert len(await claim(database)) == 1  # what says nothing about the receiver teaches nothing
    await finish(database, held[1], target="failed")
    assert (await lane_of(database, "test"))["width"] == 2
    await finish(database, *held[2:], target="failed")
    assert (await lane_of(database, "test"))["width"] == 1


async def test_nothing_is_claimed_of_lanes_that_are_not_wanted(database: Database) -> None:
    for lane in ("test:1", "test:2"):
        await make_lane(database, lane)
        await push(database, lane, lane)
    assert refs(await claim(database, without=["test:1"])) == ["test:2"]
    assert await store.next_due(database, ["test"], ["test:1"]) is None
    assert await store.next_due(database, ["test"]) == START


async def test_no_more_is_claimed_than_is_wanted_and_lanes_share_it_evenly(database: Database) -> None:
    for lane in ("test:1", "test:2"):
        await make_lane(database, lane)
        await push(database, lane, *(f"{lane}-{n}" for n in range(20)))
    claimed = await claim(database, wants={"test": 10})
    assert Counter(job.lane_id for job in claimed) == {"test:1": 5, "test:2": 5}


async def test_lanes_take_turns_when_there_is_room_for_one_job_only(database: Database) -> None:
    await make_lane(database, "test:long")
    await push(database, "test:long", *(f"long-{n}" for n in range(5)), due_at=START - timedelta(hours=1))
    await make_lane(database, "test:short")
    await push(database, "test:short", "short")
    order = [(await claim(database, wants={"test": 1}, now=START + timedelta(seconds=n)))[0].lane_id for n in range(3)]
    assert order == ["test:long", "test:short", "test:long"]


async def test_kinds_of_lanes_are_claimed_apart(database: Database) -> None:
    for lane in ("test", "other"):
        await make_lane(database, lane)
        await push(database, lane, lane)
    assert refs(await claim(database, wants={"other": 1})) == ["other"]
    assert refs(await claim(database, wants={"test": 1, "other": 1})) == ["test"]


@pytest.mark.parametrize("own", ["the lane's rate", "its kind's rate"])
async def test_a_rate_lets_a_second_s_worth_through_at_once_and_then_one_by_one(database: Database, own: str) -> None:
    await make_lane(database, "test", rate=4 if own == "the lane's rate" else None)
    rates = {} if own == "the lane's rate" else {"test": 4.0}
    await push(database, "test", *(f"{n}" for n in range(10)))

    async def claimed_after(milliseconds: int) -> int:
        now = START + timedelta(milliseconds=milliseconds)
        return len(await claim(database, now=now, rates=rates))

    assert await claimed_after(0) == 4
    assert await claimed_after(0) == 0
    assert await store.next_due(database, ["test"]) == START + timedelta(milliseconds=250)
    assert [await claimed_after(n) for n in (249, 250, 300, 1000, 1249, 1250)] == [0, 1, 0, 3, 0, 1]


async def test_a_retry_waits_until_its_time_at_the_next_attempt(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    [job] = await claim(database)
    await finish(database, job, next_at=START + timedelta(seconds=30), attempt=2)
    assert await claim(database) == []
    [again] = await claim(database, now=START + timedelta(seconds=30))
    assert (again.attempt, again.claims) == (2, 1)


async def test_a_retry_may_go_on_in_another_lane(database: Database) -> None:
    for lane in ("test:old", "test:new"):
        await make_lane(database, lane)
    await push(database, "test:old", "a")
    [job] = await claim(database)
    await finish(database, job, next_at=START, attempt=2, lane_id="test:new")
    [again] = await claim(database)
    assert again.lane_id == "test:new"
    assert (await lane_of(database, "test:old"))["in_flight"] == 0
    assert (await lane_of(database, "test:new"))["in_flight"] == 1


async def test_who_lost_the_lease_records_nothing(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    [lost] = await claim(database)
    assert await store.rescue(database, LATER) == 1
    [held] = await claim(database, now=LATER)
    assert await finish(database, lost) == set()
    assert await finish(database, lost, next_at=LATER, attempt=2) == set()
    assert (await lane_of(database, "test"))["in_flight"] == 1
    assert await finish(database, held) == {held.id}


async def test_a_lease_that_is_renewed_is_not_taken_back(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    jobs = await claim(database)
    await store.renew(database, jobs, LATER + timedelta(seconds=1))
    assert await store.rescue(database, LATER) == 0
    assert await store.rescue(database, LATER + timedelta(seconds=1)) == 1


async def test_renewing_does_not_bring_back_a_lease_that_was_lost(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    lost = await claim(database)
    await store.rescue(database, LATER)
    await store.renew(database, lost, LATER + timedelta(hours=1))
    assert refs(await claim(database, now=LATER)) == ["a"]


async def test_a_rescued_job_is_due_at_once_but_later_each_time_from_the_third_on(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "poison")
    now, waits = START, []
    for _ in range(6):
        [job] = await claim(database, now=now)
        assert job.attempt == 1
        now += timedelta(seconds=46)
        assert await store.rescue(database, now) == 1
        due_at = await database.value("SELECT due_at FROM jobs")
        waits.append((due_at - now).total_seconds())
        now = due_at
    assert waits == [0, 0, 10, 20, 40, 80]


async def test_a_result_without_an_attempt_keeps_the_number_and_the_count_of_claims(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a")
    [job] = await claim(database)
    await finish(database, job, next_at=START)
    [again] = await claim(database)
    assert (again.attempt, again.claims) == (1, 2)


async def fail(database: Database, jobs: list[Job], **finished: Any) -> None:
    await finish(database, *jobs, attempt=2, target="failed", **finished)


async def test_after_five_failures_in_a_row_a_lane_sends_one_at_a_time_until_one_is_answered(
    database: Database,
) -> None:
    await make_lane(database, "test", max_in_flight=10)
    await push(database, "test", *(f"{n:02}" for n in range(30)))
    jobs = await claim(database)
    await fail(database, jobs[:4], next_at=LATER)
    assert len(await claim(database)) == 4
    await fail(database, jobs[4:5], next_at=LATER)
    assert await claim(database) == []
    await finish(database, jobs[5], target="answered")
    assert len(await claim(database)) == 2


async def test_more_than_fifty_failures_in_an_hour_open_the_breaker_for_a_quarter(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", *(f"{n:02}" for n in range(60)))
    jobs = await claim(database, per_lane=60)
    await fail(database, jobs[:50], next_at=START)
    assert (await lane_of(database, "test"))["breaker"] == "closed"
    await fail(database, jobs[50:51], next_at=START)
    assert (await lane_of(database, "test"))["breaker"] == "open"
    await finish(database, *jobs[51:])

    assert await claim(database, now=START + timedelta(minutes=14)) == []
    reopened = START + timedelta(minutes=15)
    assert await store.next_due(database, ["test"]) == reopened
    probe = await claim(database, now=reopened)
    assert len(probe) == 1
    assert await claim(database, now=reopened) == []
    await fail(database, probe, now=reopened, next_at=reopened)
    assert await claim(database, now=reopened + timedelta(minutes=14)) == []

    probe = await claim(database, now=reopened + timedelta(minutes=15))
    await finish(database, *probe, now=reopened + timedelta(minutes=15), target="answered")
    lane = await lane_of(database, "test")
    assert (lane["breaker"], lane["failed_in_hour"], lane["failed_in_row"]) == ("closed", 0, 0)
    assert len(await claim(database, now=reopened + timedelta(minutes=15))) == 32


async def test_failures_of_different_hours_do_not_add_up(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", *(f"{n:02}" for n in range(60)))
    jobs = await claim(database, per_lane=60)
    await fail(database, jobs[:50], next_at=START)
    await fail(database, jobs[50:], now=START + timedelta(hours=1), next_at=START)
    lane = await lane_of(database, "test")
    assert (lane["breaker"], lane["failed_in_hour"]) == ("closed", 10)


async def test_waiting_jobs_move_to_another_lane_and_the_one_that_runs_stays(database: Database) -> None:
    for lane in ("test:old", "test:new"):
        await make_lane(database, lane)
    await push(database, "test:old", "a", "b")
    [running] = await claim(database, wants={"test": 1})
    await database.write("SELECT jobs_move($1::text[], $2)", ["job_a", "job_b"], "test:new")
    [moved] = await claim(database)
    assert (moved.lane_id, moved.ref) == ("test:new", ({"a", "b"} - {running.ref}).pop())
    assert (await lane_of(database, "test:old"))["in_flight"] == 1


async def test_waiting_jobs_are_withdrawn_and_the_one_that_runs_stays(database: Database) -> None:
    await make_lane(database, "test")
    await push(database, "test", "a", "b")
    [running] = await claim(database, wants={"test": 1})
    gone = await database.write("SELECT jobs_withdraw($1::text[]) AS id", ["job_a", "job_b"])
    assert [row["id"] for row in gone] == [f"job_{ref}" for ref in {"a", "b"} - {running.ref}]
    assert await store.next_due(database, ["test"]) == START
    assert await claim(database) == []
    assert await store.next_due(database, ["test"]) is None  # the lane has learnt that nothing waits
    assert await finish(database, running) == {running.id}


async def test_a_job_that_is_being_moved_is_claimed_by_nobody(database: Database) -> None:
    for lane in ("test:old", "test:new"):
        await make_lane(database, lane)
    await push(database, "test:old", "a", "b")
    async with database.transaction() as mover:
        await mover.execute("SELECT jobs_move($1::text[], $2)", ["job_a"], "test:new")
        async with asyncio.timeout(5):
            assert refs(await claim(database)) == ["b"]
    [moved] = await claim(database)
    assert moved.lane_id == "test:new"
