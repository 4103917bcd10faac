"""A page of the log: a hundred events, over HTTP, with ten thousand and with ten million events in the account's log.

The limit is what the same statement costs in the database alone. The log is filled past its triggers, into a table that is not
logged, and all its indexes but the first are made when it is full: what reads it notices nothing of that. Ten million events take
some 22 GB of disk while that lasts. Other sizes are given as numbers of events: `python -m bench events 10000 1000000`.
"""

import statistics
import time

import aiohttp

from bench import ground
from purvey.server.accounts.actions import create_account
from purvey.server.events import store
from purvey.server.events.model import EventType, Filters
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools

SIZES = (10_000, 10_000_000)
PAGES = 300
BODY = 1_400
"""Bytes of an event, about what an order with a few answers has."""
CHUNK = 1_000_000
"""Events that one statement makes."""

FILL = """
INSERT INTO events (account_id, sequence, id, type, listing_id, order_id, created_at, body)
SELECT $1, n, 'evt_' || lpad(n::text, 26, '0'),
       CASE WHEN n % 1000 = 0 THEN 'order.refunded' WHEN n % 2 = 0 THEN 'order.paid' ELSE 'order.fulfilled' END,
       CASE WHEN n % 100000 = 1 THEN 'lst_rare' ELSE 'lst_' || n % 50 END, 'ord_' || n / 2, $4,
       rpad('{"object":"event","id":"evt_' || lpad(n::text, 26, '0') || '"', $5 - 1) || '}'
FROM generate_series($2::int, $3::int) n
"""

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = 'events' AND indexname <> 'events_pkey'
"""
"""What is made again when the table is full."""

ASKED = {
    "the next hundred": (Filters(), "after=evt_{middle:026d}"),
    "the newest": (Filters(), "order=desc"),
    "of a rare listing": (Filters(listing_id="lst_rare"), "listing_id=lst_rare"),
    "of a rare type": (Filters(type=EventType.ORDER_REFUNDED), "type=order.refunded&after=evt_{middle:026d}"),
    "nothing new": (Filters(), "after=evt_{last:026d}"),
}
"""What is asked for: its filters, and its query."""


async def measure(*sizes: str) -> None:
    """Measure and print."""
    async with ground.fresh_postgres() as (url, _folder):
        database = await Database.open(url)
        clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
        await clock.measure()
        tools = Tools(database, clock, Ids(), Keyring([ground.SECRET_KEY]), "http://127.0.0.1", private_urls=True)
        account, key = await create_account(tools, "seller@example.com", "Seller")
        there = 0
        async with ground.serving(url, 1) as (port, _):
            for size in sorted(int(one) for one in sizes) or SIZES:
                await _fill(database, account.id, there, size, clock)
                there = size
                used = await database.value("SELECT pg_total_relation_size('events')")
                print(f"events, pages of 100, {size:,} events ({used / 1e9:.1f} GB with indexes), one client:")
                await _ask_all(database, account.id, key, port, size)
        await database.close()


async def _fill(database: Database, account_id: str, there: int, size: int, clock: DatabaseClock) -> None:
    began = time.perf_counter()
    async with database.pool.acquire() as connection:
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute("ALTER TABLE events SET UNLOGGED" if not there else "SELECT 1")
        await connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
        indexes = await connection.fetch(INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for start in range(there + 1, size + 1, CHUNK):
            end = min(start + CHUNK - 1, size)
            await connection.execute(FILL, account_id, start, end, clock.now(), BODY, timeout=600)
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=600)
        await connection.execute("ALTER TABLE events ENABLE TRIGGER USER")
        await connection.execute(
            "INSERT INTO event_streams (account_id, last_sequence) VALUES ($1, $2)"
            " ON CONFLICT (account_id) DO UPDATE SET last_sequence = excluded.last_sequence",
            account_id,
            size,
        )
        await connection.execute("VACUUM ANALYZE events", timeout=600)
    print(f"events: filled to {size:,} in {time.perf_counter() - began:.0f} s")


async def _ask_all(database: Database, account_id: str, key: str, port: int, size: int) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
        for name, (filters, query) in ASKED.items():
            path = f"/v1/events?limit=100&{query.format(middle=size // 2, last=size)}"
            start = size if "{last" in query else size // 2 if "{middle" in query else None
            times, alone = [], []
            for _ in range(PAGES):
                began = time.perf_counter()
                async with session.get(path) as answer:
                    if answer.status != 200:
                        raise RuntimeError(f"{path}: {answer.status} {await answer.text()}")
                    await answer.read()
                asked = time.perf_counter()
                newest = query == "order=desc"
                await store.read(database, account_id, filters, start=start, newest_first=newest, limit=101)
                times.append(asked - began)
                alone.append(time.perf_counter() - asked)
            print(f"  {name}: {_told(times)}; the statement alone {_told(alone)}")


def _told(times: list[float]) -> str:
    last = statistics.quantiles(times, n=100)[98]
    return f"p50 {statistics.median(times) * 1000:.2f} ms, p99 {last * 1000:.2f} ms"
