"""The queue when many use it at once, and when it is very long."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from fakes import START
from purvey.server.jobs import store
from purvey.server.kit.database import Connection, Database
from queueing import claim, finish, make_lane, push

LATER = START + timedelta(seconds=46)


async def test_many_workers_at_once_never_claim_one_job_twice(database: Database) -> None:
    lanes = [f"test:{n}" for n in range(7)]
    for lane in lanes:
        await make_lane(database, lane, max_in_flight=1000)
        await push(database, lane, *(f"{lane}-{n}" for n in range(100)))

    async def claim_all() -> list[str]:
        mine: list[str] = []
        while jobs := await claim(database, wants={"test": 13}):
            mine += [job.id for job in jobs]
        return mine

    claimed = [job_id for mine in await asyncio.gather(*(claim_all() for _ in range(8))) for job_id in mine]
    # Each of the eight may have stopped while another held the last lanes, so the rest is fetched here.
    claimed += await claim_all()
    assert len(claimed) == len(set(claimed)) == 700


class Storm:
    """Pushes, runs and disturbs at once, with the same chances every time. Every third job is done, another third fails."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lanes = [f"test:{n}" for n in range(5)]
        self.chance = random.Random(7)  # noqa: S311  # repeatable, not secret
        self.done: Counter[str] = Counter()

    async def push(self, pusher: int) -> None:
        for n in range(40):
            async with self.database.transaction() as transaction:
                for lane in self.chance.sample(self.lanes, 2):
                    await push(transaction, lane, f"{pusher}-{n}-{lane}")

    async def run(self) -> None:
        for _ in range(60):
            jobs = await claim(self.database, wants={"test": 8})
            await store.renew(self.database, jobs[::-1], START + timedelta(seconds=50))
            for job in jobs[::3]:
                self.done.update(await finish(self.database, job, target="answered"))
            lane = self.chance.choice(self.lanes)
            await finish(self.database, *jobs[1::3], next_at=START, attempt=2, lane_id=lane, target="failed")

    async def disturb(self) -> None:
        for n in range(40):
            await store.rescue(self.database, START + timedelta(seconds=50))
            ids = [f"job_{self.chance.randrange(4)}-{n}-{lane}" for lane in self.lanes]
            await self.database.write("SELECT jobs_move($1::text[], $2)", ids, self.chance.choice(self.lanes))

    async def drain(self) -> None:
        """Run what is left to its end; the breakers that the storm tripped are closed first."""
        await store.rescue(self.database, START + timedelta(hours=2))
        await self.database.write("UPDATE lanes SET breaker = 'closed', failed_in_row = 0")
        while jobs := await claim(self.database, now=START + timedelta(days=1)):
            self.done.update(await finish(self.database, *jobs))


async def test_everything_at_once_loses_nothing_and_counts_right(database: Database) -> None:
    storm = Storm(database)
    for lane in storm.lanes:
        await make_lane(database, lane, max_in_flight=6)
    with capture_logs() as complaints:
        await asyncio.gather(*(storm.push(n) for n in range(4)), *(storm.run() for _ in range(4)), storm.disturb())
    assert complaints == []  # a deadlock would be one
    await assert_counts_are_right(database)
    await storm.drain()
    assert len(storm.done) == 4 * 40 * 2
    assert set(storm.done.values()) == {1}
    assert await database.value("SELECT count(*) FROM jobs") == 0
    await assert_counts_are_right(database)


async def assert_counts_are_right(database: Database) -> None:
    wrong = await database.rows(
        "SELECT id, in_flight FROM lanes WHERE in_flight <>"
        " (SELECT count(*) FROM jobs WHERE lane_id = lanes.id AND lease_token IS NOT NULL)"
    )
    assert wrong == []


async def reads_of(connection: Connection, call: str, *args: object) -> Mapping[str, Counter[str]]:
    """Return how many rows `call` read of each table, `scanned` from its beginning or `fetched` by index."""
    before = await reads(connection)
    await connection.execute(call, *args)
    after = await reads(connection)
    return {table: Counter(counts) - before.get(table, Counter()) for table, counts in after.items()}


async def reads(connection: Connection) -> Mapping[str, Counter[str]]:
    rows = await connection.fetch(
        "SELECT relname, seq_tup_read AS scanned, coalesce(idx_tup_fetch, 0) AS fetched FROM pg_stat_xact_user_tables"
    )
    return {row["relname"]: Counter(scanned=row["scanned"], fetched=row["fetched"]) for row in rows}


@pytest.fixture
async def crowded(database: Database) -> Database:
    """A queue of 200,000 jobs in 2,000 lanes, half of them in one lane; made before PostgreSQL has any statistics."""
    await database.write(
        "INSERT INTO lanes (id, kind, target, max_in_flight, created_at)"
        " SELECT 'test:' || n, 'test', 'a test', 8, $1::timestamptz FROM generate_series(1, 2000) n",
        START,
    )
    # Every fourth is due in a month, all others for as many seconds as their number.
    await database.write(
        """
        SELECT jobs_push(array_agg((
            'job_' || n, 'test:' || CASE WHEN n % 2 = 0 THEN 1 ELSE n % 2000 + 1 END, 'test.note', NULL, n,
            $1::timestamptz - n * interval '1 second' + CASE WHEN n % 4 = 3 THEN interval '30 days' ELSE interval '0' END
        )::job_new), $1) FROM generate_series(1, 200000) n
        """,
        START,
    )
    return database


async def test_a_claim_costs_the_same_with_two_hundred_thousand_jobs(crowded: Database) -> None:
    call = "SELECT count(*) FROM jobs_claim('{test}', '{16}', '{NULL}', 32, $1, $2, $3)"
    until = START + timedelta(seconds=45)
    async with crowded.pool.acquire() as connection:
        for _ in range(8):  # past the fifth run PostgreSQL settles for one plan
            async with connection.transaction():
                read = await reads_of(connection, call, uuid.uuid4(), START, until)
    assert read["jobs"]["scanned"] == read["lanes"]["scanned"] == 0
    assert 16 <= read["jobs"]["fetched"] < 100
    assert 16 <= read["lanes"]["fetched"] < 100


async def test_finishing_and_rescuing_cost_the_same_with_two_hundred_thousand_jobs(crowded: Database) -> None:
    jobs = await claim(crowded, wants={"test": 16})
    results = [(job.id, job.lease_token, START, 2, None, "failed") for job in jobs[:8]]
    async with crowded.pool.acquire() as connection, connection.transaction():
        finishing = await reads_of(connection, "SELECT jobs_finish($1::job_result[], $2)", results, START)
        rescuing = await reads_of(connection, "SELECT jobs_rescue($1)", LATER)
    for read in (finishing, rescuing):
        assert read["jobs"]["scanned"] == 0
        assert 8 <= read["jobs"]["fetched"] < 100
        assert read["lanes"]["fetched"] < 100
    assert await crowded.value("SELECT count(*) FROM jobs WHERE lease_token IS NOT NULL") == 0
