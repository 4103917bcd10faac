"""Paid static orders a second, over HTTP: signed notices in, each verified, and its order made and fulfilled in one transaction.

The limit is what pgbench writes on the same cluster: the same rows as one such order, in one prepared statement, with as many
clients. Notices of one account meet at its event stream, whose sequence has no gaps; so both are measured with one account and
with a hundred.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench import ground, same_rows, wire
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

ORDERS = 12_000
WARM_UP = 1_000
IN_FLIGHT = 32

COPIES = """
INSERT INTO checkouts SELECT (jsonb_populate_record(c, jsonb_build_object(
    'id', $1 || n, 'status', 'open', 'order_id', NULL, 'paid_at', NULL))).*
FROM generate_series(1, $2::int) n JOIN unnest($3::text[]) WITH ORDINALITY AS u (id, place) ON u.place = n % $4 + 1
JOIN checkouts c ON c.id = u.id
"""


async def measure() -> None:
    """Measure and print, with one process that answers and with two."""
    for accounts in (1, 100):
        async with ground.fresh_postgres() as (url, folder):
            database = await Database.open(url)
            app = await _app(database)
            firsts = await _sellers(app, accounts)
            await _pay_first(app, firsts[0])
            limit = await same_rows.limit(url, database, accounts, IN_FLIGHT)
            print(f"orders, {accounts} account{'s' * (accounts > 1)}, {IN_FLIGHT} in flight:")
            print(f"  limit: {limit:,.0f}/s by pgbench, the same rows in one prepared statement, {IN_FLIGHT} clients")
            for processes in (1, 2):
                async with ground.serving(url, processes) as (port, server):
                    await _run(app, f"warm{processes}_", firsts, WARM_UP, port)
                    print(
                        f"  {processes} process{'es' * (processes > 1)}: "
                        + await _line(app, firsts, processes, port, (server, folder), limit)
                    )
            await app.close()
            await database.close()


async def _line(
    app: App, firsts: list[str], processes: int, port: int, used: tuple[psutil.Process, Path], limit: float
) -> str:
    server, database = used[0], ground.postgres(used[1])
    before = ground.cpu(server), ground.cpu(database)
    took = await _run(app, f"run{processes}_", firsts, ORDERS, port)
    app_cpu, database_cpu = (
        (now - then) / ORDERS * 1e6
        for now, then in zip((ground.cpu(server), ground.cpu(database)), before, strict=True)
    )
    rate = ORDERS / took
    return f"{rate:,.0f}/s, {rate / limit:.2f} of the limit; CPU per order: {app_cpu:.0f} µs app, {database_cpu:.0f} µs database"


async def _app(database: Database) -> App:
    clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
    await clock.measure()
    return build(Settings(), database, clock, Keyring([ground.SECRET_KEY]))


async def _sellers(app: App, count: int) -> list[str]:
    """Make accounts with a static listing each, and a checkout of each listing; return the checkouts' ids."""
    text = DeliverableIn(type="text", value="the goods")
    found = []
    for n in range(count):
        account, _ = await create_account(app.tools, f"seller{n}@example.com", "Seller")
        listing = await listings.create(app.tools, account, NewListing(name="Kit", price=500, deliverables=[text]))
        await listings.publish(app.tools, account.id, listing.id)
        sale = await listings.for_sale(app.tools, listing.id)
        found.append((await checkouts.begin(app.tools, app.inbox, sale, "ada@example.com", {})).id)
    return found


async def _run(app: App, name: str, firsts: list[str], orders: int, port: int) -> float:
    """Pay so many fresh checkouts through the inbox, and return the seconds that it took."""
    await app.tools.database.write(COPIES, f"chk_{name}", orders, firsts, len(firsts))
    requests = _notices(app, name, orders)
    started = time.perf_counter()
    statuses = await wire.send_all(port, requests, IN_FLIGHT)
    took = time.perf_counter() - started
    made = await app.tools.database.value(
        "SELECT count(*) FROM orders WHERE status = 'fulfilled' AND starts_with(checkout_id, $1)", f"chk_{name}"
    )
    if statuses != {200: orders} or made != orders:
        raise RuntimeError(f"{made} of {orders} orders were fulfilled; the answers: {dict(statuses)}")
    return took


def _notices(app: App, name: str, orders: int) -> Iterator[bytes]:
    sandbox = Sandbox(app.tools, lambda: None)
    payments = (Payment("sandbox", f"pay_{name}{n}", f"chk_{name}{n}", 500, "USD") for n in range(1, orders + 1))
    return iter([wire.post("/payments/sandbox/notices", *sandbox.report(payment)) for payment in payments])


async def _pay_first(app: App, checkout_id: str) -> None:
    """Make the order that the limit's rows are taken from."""
    headers, body = Sandbox(app.tools, lambda: None).report(Payment("sandbox", "pay_first", checkout_id, 500, "USD"))
    await app.inbox.receive("sandbox", headers, body)
