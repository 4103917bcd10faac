"""How deep the queue is and who waits for what was paid: exact when little waits, and never a walk through everything."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest

from fakes import START
from purvey.server.kit.database import Database
from purvey.server.metrics.measures import backlog
from purvey.server.metrics.model import Depth

KINDS = ["webhook", "mail"]
FAILED = 51
"""Failures in an hour that open a breaker."""


async def make_lane(database: Database, lane_id: str) -> None:
    kind = lane_id.partition(":")[0]
    await database.write("SELECT lane_ensure($1, $2, NULL, 'https://receiver.example', 100, $3)", lane_id, kind, START)


async def push(database: Database, lane_id: str, ref: str, due_after: float = 0.0) -> None:
    job = (f"{lane_id}/{ref}", lane_id, "test", None, ref, START + timedelta(seconds=due_after))
    await database.write("SELECT jobs_push($1::job_new[], $2)", [job], START)


async def absorb(database: Database) -> None:
    await database.write("SELECT lanes_absorb_wakes()")


async def depths(database: Database, after: float = 0.0) -> Mapping[str, Depth]:
    found = await backlog(database, KINDS, START + timedelta(seconds=after))
    return {depth.kind: depth for depth in found.queue}


async def claim(database: Database, kind: str, wanted: int) -> None:
    await database.write(
        "SELECT jobs_claim($1, $2, $3::real[], 100, gen_random_uuid(), $4, $5)",
        [kind],
        [wanted],
        [None],
        START + timedelta(seconds=1),
        START + timedelta(seconds=46),
    )


@pytest.fixture
async def lanes(database: Database) -> Database:
    """A database with two lanes for webhooks; the one for mail is there from the beginning."""
    for lane_id in ("webhook:a", "webhook:b"):
        await make_lane(database, lane_id)
    return database


async def test_the_oldest_due_job_tells_for_how_long_work_has_waited(lanes: Database) -> None:
    assert await depths(lanes) == {kind: Depth(kind, 0.0, 0, 0, 0) for kind in KINDS}
    await push(lanes, "webhook:a", "later", due_after=600)
    await absorb(lanes)
    assert (await depths(lanes, after=60))["webhook"] == Depth("webhook", 0.0, 1, 0, 0)
    await push(lanes, "webhook:b", "second", due_after=10)
    await push(lanes, "webhook:a", "first")
    await absorb(lanes)
    assert (await depths(lanes, after=90))["webhook"] == Depth("webhook", 90.0, 3, 0, 0)
    assert (await depths(lanes, after=90))["mail"] == Depth("mail", 0.0, 0, 0, 0)


async def test_work_that_no_worker_has_looked_at_is_seen(lanes: Database) -> None:
    await push(lanes, "webhook:a", "first")
    await push(lanes, "mail", "letter", due_after=30)
    found = await depths(lanes, after=90)
    assert found["webhook"] == Depth("webhook", 90.0, 1, 0, 0)
    assert found["mail"] == Depth("mail", 60.0, 1, 0, 0)


async def test_what_is_being_run_is_leased_and_does_not_wait(lanes: Database) -> None:
    for ref in "abc":
        await push(lanes, "webhook:a", ref)
    await claim(lanes, "webhook", 2)
    found = (await depths(lanes, after=1))["webhook"]
    assert (found.waiting, found.leased) == (1, 2)


async def test_a_receiver_that_fails_is_told_of_and_makes_nothing_late(lanes: Database) -> None:
    await push(lanes, "webhook:a", "job")
    await absorb(lanes)
    lane_ids, targets = ["webhook:a"] * FAILED, ["failed"] * FAILED
    await lanes.write("UPDATE lanes SET in_flight = $1 WHERE id = 'webhook:a'", FAILED)
    await lanes.write(
        "SELECT lanes_settle_results($1, array_fill($2::timestamptz, ARRAY[$4::int]), $3, $2)",
        lane_ids,
        START,
        targets,
        FAILED,
    )
    assert (await depths(lanes, after=600))["webhook"] == Depth("webhook", 0.0, 1, 0, 1)


async def test_counting_ends_where_it_is_told_to(lanes: Database) -> None:
    for ref in range(4):
        await push(lanes, "webhook:a", f"a{ref}")
        await push(lanes, "webhook:b", f"b{ref}")
    await absorb(lanes)
    for most in (1, 5):
        [row] = await lanes.rows("SELECT waiting FROM jobs_depths('{webhook}', $1, $2)", most, START)
        assert row["waiting"] == most


async def test_what_grows_is_read_through_an_index(lanes: Database) -> None:
    for name, types, given in (
        ("jobs_depths", "text[], int, timestamptz", "'{webhook,mail}', 10000, 'epoch'"),
        ("orders_by_wait", "int, timestamptz", "10000, 'epoch'"),
    ):
        plan = await _plan(lanes, name, types, given)
        assert "Index" in plan
        assert re.findall(r"Seq Scan on (\w+)", plan) in ([], ["lane_wakes"])
        assert re.findall(r"using (\w+_pkey)", plan) == []


async def _plan(database: Database, name: str, types: str, given: str) -> str:
    """Return how PostgreSQL would run what a function consists of, whatever it is given, as the function has it run."""
    source, parameters = await _source(database, name)
    for number, parameter in enumerate(parameters, 1):
        source = re.sub(rf"\b{parameter}\b", f"${number}", source)
    async with database.transaction() as connection:
        for setting in ("enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"):
            await connection.execute(f"SET LOCAL {setting}")
        await connection.execute(f"PREPARE asked({types}) AS {source}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked({given})")
        await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


async def _source(database: Database, name: str) -> tuple[str, list[str]]:
    row = await database.row("SELECT prosrc, proargnames FROM pg_proc WHERE proname = $1", name)
    assert row
    return row["prosrc"], [parameter for parameter in row["proargnames"] if parameter.startswith("p_")]
