"""Letting old events go: from the old end, never one that somebody still waits for, and no cursor skips what it did not see."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from fakes import START, FakeClock
from makers import make_account, make_tools
from purvey.server.errors import CursorExpired, NotFound
from purvey.server.events import actions, store, work
from purvey.server.events.model import EventType, Filters, NewEvent
from purvey.server.jobs.model import Job, RetryAt
from purvey.server.kit.database import Database
from purvey.server.kit.tools import Tools

LANE, URL = "webhook:x", "https://receiver.example"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def tools(database: Database, clock: FakeClock) -> Tools:
    return make_tools(database, clock)


async def tell(tools: Tools, account_id: str, events: int) -> list[str]:
    """Append so many events now, and return their ids."""
    now = tools.clock.now()
    new = [
        NewEvent(account_id, tools.ids.ulid("evt_", now), EventType.ORDER_PAID, "lst_1", tools.ids.new("ord_"), "{}")
        for _ in range(events)
    ]
    await tools.database.write(
        "SELECT events_append($1::event_new[], $2)", [msgspec.structs.astuple(one) for one in new], now
    )
    return [one.id for one in new]


async def expire(tools: Tools, days: int | None = 30) -> Any:
    kind = work.Expire(tools, days)
    now = tools.clock.now()
    job = Job("job_1", "events", kind.name, None, kind.name, 1, now, uuid4(), now, 1, now)
    [loaded] = await kind.load([job])
    return None if loaded is None else await kind.run(job, loaded)


async def kept(tools: Tools, account_id: str) -> list[int]:
    rows = await tools.database.rows("SELECT sequence FROM events WHERE account_id = $1 ORDER BY sequence", account_id)
    return [row["sequence"] for row in rows]


async def read_after(tools: Tools, account_id: str, event_id: str) -> int:
    page = await actions.read_page(
        tools, account_id, Filters(), after=event_id, cursor=None, newest_first=False, limit=50
    )
    return len(page.bodies)


async def test_only_what_is_too_old_goes_and_numbers_go_on(tools: Tools, clock: FakeClock, monkeypatch: Any) -> None:
    monkeypatch.setattr(work, "BATCH", 2)
    ada, bob = await make_account(tools), await make_account(tools)
    old = await tell(tools, ada, 5)
    await tell(tools, bob, 1)
    clock.advance(days=20)
    newer = await tell(tools, ada, 2)
    assert await expire(tools) == RetryAt(clock.now() + timedelta(hours=1))
    assert await kept(tools, ada) == [1, 2, 3, 4, 5, 6, 7]
    clock.advance(days=11)
    await expire(tools)
    await expire(tools)
    assert (await kept(tools, ada), await kept(tools, bob)) == ([6, 7], [])
    await tell(tools, ada, 1)
    await tell(tools, bob, 1)
    assert (await kept(tools, ada), await kept(tools, bob)) == ([6, 7, 8], [2])

    assert await read_after(tools, ada, old[-1]) == 3
    with pytest.raises(CursorExpired) as gone:
        await read_after(tools, ada, old[-2])
    assert gone.value.members["oldest_event_id"] == newer[0]
    with pytest.raises(CursorExpired):
        await read_after(tools, ada, tools.ids.ulid("evt_", START))
    for unknown in ("evt_none", tools.ids.ulid("evt_", clock.now())):
        with pytest.raises(NotFound):
            await read_after(tools, ada, unknown)


async def test_a_run_goes_on_at_once_when_much_is_left(tools: Tools, clock: FakeClock, monkeypatch: Any) -> None:
    monkeypatch.setattr(work, "BATCH", 1)
    monkeypatch.setattr(work, "BATCHES", 2)
    account_id = await make_account(tools)
    await tell(tools, account_id, 3)
    clock.advance(days=31)
    assert await expire(tools) == RetryAt(clock.now())
    assert await kept(tools, account_id) == [3]


async def make_endpoint(tools: Tools, account_id: str) -> None:
    """Make the endpoint `whk_1`."""
    await tools.database.write("SELECT lane_ensure($1, 'webhook', NULL, $2, 4, $3)", LANE, URL, START)
    await tools.database.write(
        "INSERT INTO endpoints (account_id, id, kind, name, url, lane_id, secret, status, disabled_reason, created_at, updated_at)"
        " VALUES ($1, 'whk_1', 'account', 'all', $2, $3, '', 'disabled', 'by_seller', $4, $4)",
        account_id,
        URL,
        LANE,
        START,
    )


async def make_delivery(tools: Tools, account_id: str, event_id: str, status: str) -> None:
    """Make a delivery of the event, with one attempt; one that waits has a job, due now."""
    now = tools.clock.now()
    await tools.database.write(
        """
        INSERT INTO deliveries (account_id, id, endpoint_id, event_id, event_sequence, generation, status, job_id, next_attempt_at,
                                created_at, finished_at)
        SELECT $1, 'dlv_' || id, 'whk_1', id, sequence, 1, $3, CASE $3 WHEN 'waiting' THEN 'job_' || id END,
               CASE $3 WHEN 'waiting' THEN $4::timestamptz END, $4,
               CASE WHEN $3 IN ('delivered', 'given_up') THEN $4::timestamptz END
        FROM events WHERE account_id = $1 AND id = $2
        """,
        account_id,
        event_id,
        status,
        now,
    )
    await tools.database.write(
        "INSERT INTO attempts (account_id, id, delivery_id, number, started_at, duration_ms, status_code)"
        " VALUES ($1, 'att_' || $2, 'dlv_' || $2, 1, $3, 1, 200)",
        account_id,
        event_id,
        now,
    )
    if status == "waiting":
        await tools.database.write(
            "SELECT jobs_push(ARRAY[('job_' || $2, $3, 'webhooks.deliver', $1, 'dlv_' || $2, $4)::job_new], $4)",
            account_id,
            event_id,
            LANE,
            now,
        )


async def left(tools: Tools) -> dict[str, int]:
    """Return how many deliveries, attempts and jobs there are."""
    tables = ("deliveries", "attempts", "jobs")
    return {table: await tools.database.value(f"SELECT count(*) FROM {table}") for table in tables}


async def test_what_nobody_took_in_all_that_time_is_given_up_and_goes(tools: Tools, clock: FakeClock) -> None:
    account_id = await make_account(tools)
    events = await tell(tools, account_id, 4)
    await make_endpoint(tools, account_id)
    for event_id, status in zip(events, ("delivered", "parked", "waiting", "given_up"), strict=True):
        await make_delivery(tools, account_id, event_id, status)
    clock.advance(days=29)
    await expire(tools)
    assert await left(tools) == {"deliveries": 4, "attempts": 4, "jobs": 1}
    clock.advance(days=2)
    await expire(tools)
    assert await kept(tools, account_id) == []
    assert await left(tools) == {"deliveries": 0, "attempts": 0, "jobs": 0}


async def test_what_is_being_sent_or_was_made_again_is_waited_for(tools: Tools, clock: FakeClock) -> None:
    account_id = await make_account(tools)
    events = await tell(tools, account_id, 5)
    await make_endpoint(tools, account_id)
    for event_id, status in zip(events, ("parked", "waiting", "parked"), strict=False):
        await make_delivery(tools, account_id, event_id, status)
    await tools.database.write("UPDATE jobs SET lease_token = $1, leased_until = $2", uuid4(), START)
    clock.advance(days=20)
    await make_delivery(tools, account_id, events[3], "waiting")
    clock.advance(days=11)
    await expire(tools)
    assert await kept(tools, account_id) == [2, 3, 4, 5]
    told = "SELECT array_agg(status ORDER BY event_sequence) FROM deliveries"
    assert await tools.database.value(told) == ["waiting", "given_up", "waiting"]

    await tools.database.write("UPDATE jobs SET lease_token = NULL, leased_until = NULL")
    await expire(tools)
    assert await kept(tools, account_id) == [4, 5]
    clock.advance(days=20)
    await expire(tools)
    assert await kept(tools, account_id) == []
    assert await left(tools) == {"deliveries": 0, "attempts": 0, "jobs": 0}


async def test_ended_replays_and_notices_of_ended_failures_go_too(tools: Tools, clock: FakeClock) -> None:
    account_id = await make_account(tools)
    await tell(tools, account_id, 1)
    await make_endpoint(tools, account_id)
    later = START + timedelta(days=20)
    for name, status, ended in (("old", "done", START), ("newer", "stopped", later), ("running", "running", None)):
        await tools.database.write(
            "INSERT INTO replays (account_id, id, endpoint_id, types, scope, reached, last, found, status, created_at, finished_at)"
            " VALUES ($1, $2, 'whk_1', '{}', 'all', 0, 1, 1, $3, $4, $5)",
            account_id,
            name,
            status,
            START,
            ended,
        )
    lasting = START + timedelta(days=1)
    for since, made_at in ((START, START), (lasting, lasting), (later, later)):
        await tools.database.write(
            "INSERT INTO endpoint_notices (account_id, endpoint_id, stage, since, made_at) VALUES ($1, 'whk_1', 'failing', $2, $3)",
            account_id,
            since,
            made_at,
        )
    await tools.database.write("UPDATE endpoints SET failing_since = $1", lasting)
    await tools.database.write("INSERT INTO redeliveries VALUES ($1, 'ord_1', 'key_1', $2)", account_id, START)
    clock.advance(days=40)
    await expire(tools)
    assert await tools.database.value("SELECT array_agg(id ORDER BY id) FROM replays") == ["newer", "running"]
    assert await tools.database.value("SELECT array_agg(since ORDER BY since) FROM endpoint_notices") == [
        lasting,
        later,
    ]
    assert await tools.database.value("SELECT count(*) FROM redeliveries") == 0


async def test_the_job_is_there_once_and_only_while_it_is_wanted(tools: Tools) -> None:
    await work.begin_expiring(tools, None)
    assert await tools.database.value("SELECT count(*) FROM jobs") == 0
    for _ in range(2):
        await work.begin_expiring(tools, 30)
    assert await tools.database.value("SELECT array_agg(kind) FROM jobs") == [store.EXPIRE]
    assert await expire(tools, None) is None
