"""Paid static orders a second: signed notices in, each verified, and its order made and fulfilled in one transaction.

The notices go straight to the inbox, without HTTP. The limit is what pgbench commits on the same cluster, one row a transaction,
with as many clients.
"""

import asyncio
import time
from pathlib import Path

import structlog

from bench.ground import commits_per_second, fresh_postgres, postgres_cpu
from purvey.server.accounts.actions import create_account
from purvey.server.app import App, build
from purvey.server.checkout import actions as checkouts
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import NewListing
from purvey.server.payments.model import Payment
from purvey.server.payments.sandbox.provider import Sandbox
from purvey.server.settings import Settings

ORDERS = 4000
IN_FLIGHT = 32

COPIES = """
INSERT INTO checkouts SELECT (jsonb_populate_record(c, jsonb_build_object('id', 'chk_' || n))).*
FROM checkouts c, generate_series(1, $1) n WHERE c.id = $2
"""


async def measure() -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    async with fresh_postgres() as (url, folder):
        limit = await commits_per_second(url, IN_FLIGHT, 5)
        database = await Database.open(url)
        clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
        app = build(Settings(), database, clock, Keyring(["a key that only this measurement uses"]))
        payments = await _prepare(app)
        rate, ours, theirs = await _timed(app, payments, folder)
        print(f"orders: {rate:,.0f}/s, {IN_FLIGHT} in flight, one account, {ORDERS} orders")
        print(f"  CPU per order: {ours * 1e6:.0f} µs of the app, {theirs * 1e6:.0f} µs of the database")
        print(f"  limit: {limit:,.0f} one-row commits/s by pgbench, {IN_FLIGHT} clients; ratio {rate / limit:.2f}")
        await app.close()
        await database.close()


async def _prepare(app: App) -> list[Payment]:
    """Make a listing and a checkout for each order."""
    account, _ = await create_account(app.tools, "seller@example.com", "Seller")
    text = DeliverableIn(type="text", value="the goods")
    listing = await listings.create(app.tools, account, NewListing(name="Kit", price=500, deliverables=[text]))
    await listings.publish(app.tools, account.id, listing.id)
    first = await checkouts.start(app.tools, app.inbox, listing.id, "ada@example.com", {})
    await app.tools.database.write(COPIES, ORDERS, first.id)
    return [Payment("sandbox", f"pay_{n}", f"chk_{n}", 500, "USD") for n in range(1, ORDERS + 1)]


async def _timed(app: App, payments: list[Payment], folder: Path) -> tuple[float, float, float]:
    """Return orders a second, and the seconds of CPU that one took here and in the database."""
    sandbox = Sandbox(app.tools, lambda: None)
    notices = iter([sandbox.report(payment) for payment in payments])

    async def work() -> None:
        for headers, body in notices:
            await app.inbox.receive("sandbox", headers, body)

    before = postgres_cpu(folder), time.process_time(), time.perf_counter()
    await asyncio.gather(*[work() for _ in range(IN_FLIGHT)])
    after = postgres_cpu(folder), time.process_time(), time.perf_counter()
    made = await app.tools.database.value("SELECT count(*) FROM orders WHERE status = 'fulfilled'")
    if made != len(payments):
        raise RuntimeError(f"{made} orders were fulfilled, not {len(payments)}")
    theirs, ours, took = (b - a for a, b in zip(before, after, strict=True))
    return made / took, ours / made, theirs / made
