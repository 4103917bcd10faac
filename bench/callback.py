"""A dynamic order's way, in one process: from the payment to the callback's first byte, and to the order that the buyer can open.

The seller's server answers in 50 ms, on the same cores; what it takes is taken off the way to the buyer. 64 calls of one listing
are made at once at most: with 256 orders in flight the others wait for a place.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from bench import ground, orders
from purvey.server.accounts.actions import create_account
from purvey.server.app import App, build
from purvey.server.checkout import actions as checkouts
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import NewListing
from purvey.server.payments.model import Payment
from purvey.server.settings import Settings

ORDERS = {1: 200, 32: 1_000, 256: 1_000}
"""Orders in flight -> orders in all."""
ANSWERS_AFTER = 0.05
"""Seconds that the seller's server takes."""

FULFILLED = """
SELECT extract(epoch FROM fulfilled_at - paid_at)::float AS took FROM orders
WHERE starts_with(checkout_id, $1) AND status = 'fulfilled'
"""


async def measure() -> None:
    """Measure and print."""
    async with ground.fresh_postgres() as (url, _):
        database = await Database.open(url)
        clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
        await clock.measure()
        app = build(Settings(allow_private_urls=True), database, clock, Keyring([ground.SECRET_KEY]))
        async with _sellers_server(app) as (address, arrived):
            first = await _listing(app, address)
            app.worker.start()
            await _run(app, first, 32, 200, "warm")
            print("dynamic orders, one process, a server that answers in 50 ms:")
            for in_flight, count in ORDERS.items():
                arrived.clear()
                await _run(app, first, in_flight, count, f"run{in_flight}")
                print(f"  {in_flight} in flight: {await _line(database, f'run{in_flight}', arrived)}")
            await app.worker.stop()
        await app.close()
        await database.close()


async def _line(database: Database, name: str, arrived: dict[str, float]) -> str:
    rows = await database.rows(f"{FULFILLED} ORDER BY took", f"chk_{name}_")
    paid = await database.rows("SELECT id, paid_at FROM orders WHERE starts_with(checkout_id, $1)", f"chk_{name}_")
    calls = [arrived[row["id"]] - row["paid_at"].timestamp() for row in paid]
    ready = [row["took"] - ANSWERS_AFTER for row in rows]
    return f"first byte {_of(calls)}; to the buyer, less the 50 ms, {_of(ready)}; {len(rows)} of {len(paid)} fulfilled"


def _of(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


@asynccontextmanager
async def _sellers_server(app: App) -> AsyncIterator[tuple[str, dict[str, float]]]:
    arrived: dict[str, float] = {}

    async def take(request: web.Request) -> web.Response:
        at = app.tools.clock.now().timestamp()
        arrived.setdefault(request.headers["X-Shoppex-Delivery-Id"].split(":")[1], at)
        await request.read()
        await asyncio.sleep(ANSWERS_AFTER)
        return web.Response(body=msgspec.json.encode({"data": {"dynamic_response": {"token": "dyn_123"}}}))

    runner = web.AppRunner(web.Application(), access_log=None)
    runner.app.router.add_post("/dynamic", take)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/dynamic", arrived
    finally:
        await runner.cleanup()


async def _listing(app: App, address: str) -> str:
    """Put a dynamic listing on sale, and return a checkout of it."""
    account, _ = await create_account(app.tools, "seller@example.com", "Seller")
    told = NewListing(name="Pack", price=500, content_type="dynamic", dynamic_webhook=address)
    listing = await listings.create(app.tools, account, told)
    await listings.publish(app.tools, account.id, listing.id)
    sale = await listings.for_sale(app.tools, listing.id)
    return (await checkouts.begin(app.tools, app.inbox, sale, "ada@example.com", {})).id


async def _run(app: App, first: str, in_flight: int, count: int, name: str) -> None:
    """Pay so many checkouts, each as soon as one of those before it is the buyer's."""
    database = app.tools.database
    await database.write(orders.COPIES, f"chk_{name}_", count, [first], 1)
    free = asyncio.Semaphore(in_flight)

    async def one(number: int) -> None:
        async with free:
            checkout = f"chk_{name}_{number}"
            await app.fulfillment.paid(Payment("sandbox", f"pay_{checkout}", checkout, 500, "USD"))
            while not await database.value("SELECT fulfilled_at FROM orders WHERE checkout_id = $1", checkout):  # noqa: ASYNC110  # nobody is told
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(1, count + 1)))
