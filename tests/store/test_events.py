"""The log under load: no reader with a cursor ever misses an event."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from makers import make_account, make_tools
from purvey.server.errors import NotFound, ValidationError
from purvey.server.events import actions
from purvey.server.events.model import EventType, Filters, NewEvent
from purvey.server.events.store import FRESH, fresh, page_query
from purvey.server.kit.database import Database
from purvey.server.kit.tools import Tools

APPEND = "SELECT events_append($1::event_new[], $2)"
WRITERS, READERS, EACH = 64, 8, 10


def new_event(tools: Tools, account_id: str, **changes: Any) -> NewEvent:
    fields: dict[str, Any] = {
        "account_id": account_id,
        "id": tools.ids.ulid("evt_", tools.clock.now()),
        "type": EventType.ORDER_PAID,
        "listing_id": "lst_1",
        "order_id": tools.ids.new("ord_"),
        "data": '{"object":"order"}',
    }
    return NewEvent(**(fields | changes))


async def append(tools: Tools, *events: NewEvent) -> None:
    await tools.database.write(APPEND, [msgspec.structs.astuple(event) for event in events], tools.clock.now())


async def read(tools: Tools, account_id: str, **options: Any) -> Any:
    settings: dict[str, Any] = {"after": None, "cursor": None, "newest_first": False, "limit": 50}
    filters = options.pop("filters", Filters())
    return await actions.read_page(tools, account_id, filters, **(settings | options))


async def test_every_reader_sees_every_event_once_and_in_order(fresh_database: str) -> None:
    database = await Database.open(fresh_database, connections=WRITERS + READERS)
    tools = make_tools(database)
    account_id = await make_account(tools)

    async def write() -> None:
        for n in range(EACH):
            async with database.transaction() as connection:
                event = msgspec.structs.astuple(new_event(tools, account_id))
                await connection.execute(APPEND, [event], tools.clock.now())
                # The commit comes late, by as much as the others' statements take.
                await connection.fetchval("SELECT count(*) FROM generate_series(1, $1)", n * 1000)

    async def follow() -> list[int]:
        seen: list[int] = []
        after = None
        while len(seen) < WRITERS * EACH:
            page = await read(tools, account_id, after=after, limit=7)
            seen += [msgspec.json.decode(body)["sequence"] for body in page.bodies]
            after = page.cursor or after
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(READERS)]
    await asyncio.gather(*[write() for _ in range(WRITERS)])
    for reader in readers:
        assert await reader == list(range(1, WRITERS * EACH + 1))
    await database.close()


@pytest.fixture
async def tools(database: Database) -> Tools:
    return make_tools(database)


async def test_sequences_are_dense_within_each_account(tools: Tools) -> None:
    ada, bob = await make_account(tools), await make_account(tools)
    await append(tools, new_event(tools, ada), new_event(tools, bob), new_event(tools, ada))
    await append(tools, new_event(tools, bob))
    rows = await tools.database.rows(
        "SELECT account_id, array_agg(sequence ORDER BY sequence) AS all FROM events GROUP BY 1"
    )
    assert {row["account_id"]: row["all"] for row in rows} == {ada: [1, 2], bob: [1, 2]}


async def test_a_failed_transaction_leaves_no_gap(tools: Tools) -> None:
    account_id = await make_account(tools)
    async with tools.database.pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute(APPEND, [msgspec.structs.astuple(new_event(tools, account_id))], tools.clock.now())
        await undone.rollback()
    await append(tools, new_event(tools, account_id))
    assert await tools.database.value("SELECT array_agg(sequence) FROM events") == [1]


async def test_an_order_is_paid_once_in_its_life(tools: Tools) -> None:
    account_id = await make_account(tools)
    await append(tools, new_event(tools, account_id, order_id="ord_1"))
    with pytest.raises(Exception, match="events_once"):
        await append(tools, new_event(tools, account_id, order_id="ord_1"))


async def test_pages_follow_one_another(tools: Tools) -> None:
    account_id = await make_account(tools)
    await append(tools, *[new_event(tools, account_id) for _ in range(5)])
    first = await read(tools, account_id, limit=3)
    second = await read(tools, account_id, cursor=first.cursor, limit=3)
    assert [len(page.bodies) for page in (first, second)] == [3, 2]
    assert (first.has_more, second.has_more) == (True, False)
    assert second.cursor == msgspec.json.decode(second.bodies[-1])["id"]


async def test_newest_first_turns_it_round(tools: Tools) -> None:
    account_id = await make_account(tools)
    await append(tools, *[new_event(tools, account_id) for _ in range(3)])
    page = await read(tools, account_id, newest_first=True, limit=2)
    rest = await read(tools, account_id, newest_first=True, cursor=page.cursor)
    assert [msgspec.json.decode(body)["sequence"] for body in (*page.bodies, *rest.bodies)] == [3, 2, 1]


async def test_filters_must_all_fit(tools: Tools) -> None:
    account_id = await make_account(tools)
    wanted = new_event(tools, account_id, listing_id="lst_2", type=EventType.ORDER_REFUNDED)
    await append(tools, new_event(tools, account_id), wanted, new_event(tools, account_id, listing_id="lst_2"))
    page = await read(tools, account_id, filters=Filters(EventType.ORDER_REFUNDED, "lst_2", wanted.order_id))
    assert [msgspec.json.decode(body)["id"] for body in page.bodies] == [wanted.id]


async def test_after_and_cursor_exclude_each_other(tools: Tools) -> None:
    account_id = await make_account(tools)
    with pytest.raises(ValidationError):
        await read(tools, account_id, after="evt_1", cursor="evt_2")


async def test_an_empty_position_is_none(tools: Tools) -> None:
    account_id = await make_account(tools)
    await append(tools, new_event(tools, account_id))
    assert len((await read(tools, account_id, after="", cursor="")).bodies) == 1


async def test_another_accounts_event_is_no_position(tools: Tools) -> None:
    ada, bob = await make_account(tools), await make_account(tools)
    theirs = new_event(tools, bob)
    await append(tools, theirs)
    with pytest.raises(NotFound):
        await read(tools, ada, after=theirs.id)
    with pytest.raises(NotFound):
        await actions.read_one(tools, ada, theirs.id)


async def test_what_is_stored_is_the_event_object(tools: Tools) -> None:
    account_id = await make_account(tools)
    event = new_event(tools, account_id, data='{"object":"order","id":"ord_1"}')
    await append(tools, event)
    assert msgspec.json.decode(await actions.read_one(tools, account_id, event.id)) == {
        "object": "event",
        "id": event.id,
        "type": "order.paid",
        "sequence": 1,
        "account_id": account_id,
        "listing_id": "lst_1",
        "order_id": event.order_id,
        "created_at": "2026-04-17T10:23:00.000000Z",
        "data": {"object": "order", "id": "ord_1"},
    }


async def make_log(tools: Tools, account_id: str, events: int, *, analyze: bool = True) -> None:
    """Append so many events, of which only the first is of the listing `lst_rare`, of the order `ord_1`, and refunded."""
    await tools.database.write(
        """
        INSERT INTO events (account_id, sequence, id, type, listing_id, order_id, created_at, body)
        SELECT $1, n, 'evt_' || n, CASE WHEN n = 1 THEN 'order.refunded' ELSE 'order.paid' END,
               CASE WHEN n = 1 THEN 'lst_rare' ELSE 'lst_1' END, 'ord_' || n, $3, '{}' FROM generate_series(1, $2::int) n
        """,
        account_id,
        events,
        tools.clock.now(),
    )
    await tools.database.write("INSERT INTO event_streams VALUES ($1, $2)", account_id, events)
    if analyze:
        await tools.database.write("ANALYZE events")


async def blocks(tools: Tools, sql: str, args: Sequence[object]) -> int:
    """Return how many blocks a statement looks at, in the plan that is made for any arguments."""
    async with tools.database.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args)
    [told] = msgspec.json.decode(plan)
    return int(told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"])


RARE = (
    Filters(),
    Filters(type=EventType.ORDER_REFUNDED),
    Filters(type=EventType.ORDER_PAID),
    Filters(listing_id="lst_rare"),
    Filters(listing_id="lst_none"),
    Filters(order_id="ord_1"),
    Filters(EventType.ORDER_PAID, "lst_rare"),
    Filters(EventType.ORDER_REFUNDED, "lst_1"),
    Filters(EventType.ORDER_PAID, "lst_rare", "ord_1"),
)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_page_costs_the_same_however_long_the_log_is(tools: Tools, newest_first: bool) -> None:
    account_id = await make_account(tools)
    costs = []
    for events in (2_000, 40_000):
        await tools.database.write("TRUNCATE events, event_streams")
        await make_log(tools, account_id, events)
        asked = [
            page_query(account_id, filters, start=start, newest_first=newest_first, limit=10)
            for filters in RARE
            for start in (None, events // 2)
        ]
        costs.append([await blocks(tools, *one) for one in asked])
    short, long = costs
    assert max(long) < 40, long
    assert [after - before for before, after in zip(short, long, strict=True) if after - before > 8] == []


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_page_costs_no_more_when_the_planner_takes_every_log_for_a_short_one(
    tools: Tools, newest_first: bool
) -> None:
    await tools.database.write(
        """
        INSERT INTO events (account_id, sequence, id, type, listing_id, order_id, created_at, body)
        SELECT 'acc_' || n, 1, 'evt_' || n, CASE WHEN n % 2 = 0 THEN 'order.refunded' ELSE 'order.paid' END,
               'lst_' || n, 'ord_' || n, $1, '{}' FROM generate_series(1, 5000) n
        """,
        tools.clock.now(),
    )
    await tools.database.write("ANALYZE events")
    account_id = await make_account(tools)
    await make_log(tools, account_id, 20_000, analyze=False)
    for filters in RARE:
        for start in (None, 10_000):
            asked = page_query(account_id, filters, start=start, newest_first=newest_first, limit=10)
            assert await blocks(tools, *asked) < 40, (filters, start)


async def test_a_look_for_what_is_new_costs_the_same_however_long_the_log_is(tools: Tools) -> None:
    account_id = await make_account(tools)
    await make_log(tools, account_id, 20_000)
    seen = {account_id: 19_999, "acc_quiet": 0}
    assert await blocks(tools, FRESH, [list(seen), list(seen.values()), 100]) < 20
    assert [event["id"] for event in await fresh(tools.database, seen, 100)] == ["evt_20000"]
