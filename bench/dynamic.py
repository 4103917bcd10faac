"""A dynamic order's way, in one process: from the payment to the callback's first byte, and to the order that the buyer can open.

The seller's server is a process of its own on the same cores, and answers in 50 ms, which are taken off the way to the buyer. The
limit is a bare loop, taken in turns with the orders: it commits one row, and then calls the same server with the same client. 64
calls of one listing are made at once at most: with 256 orders in flight the others wait for a place.
"""

import asyncio
import contextlib
import logging
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from bench import ground, orders
from bench.sellers_server import ANSWERS_AFTER
from purvey.server.accounts.actions import create_account
from purvey.server.app import App, build
from purvey.server.checkout import actions as checkouts
from purvey.server.fulfillment.model import Change, Changed
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.safe_http import Answer, SafeHttp
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import NewListing
from purvey.server.payments.model import Accepted, Payment
from purvey.server.settings import Settings

ALONE = 200
"""Orders, and turns of the bare loop, one at a time."""
ORDERS = 1_000
IN_FLIGHT = (1, 32, 256)
WARM_UP = 200

Ways = list[tuple[float, float]]
"""Seconds to the first byte, and to the end less the seller's own 50 ms."""


class Ends:
    """Tells when an order's change was committed."""

    def __init__(self, app: App) -> None:
        self._change: Callable[[Change], Awaitable[Changed]] = app.fulfillment.change
        self._waiting: dict[str, asyncio.Future[tuple[float, Any]]] = {}
        self._came: dict[str, tuple[float, Any]] = {}
        app.fulfillment.change = self.change  # type: ignore[method-assign]  # looked at from outside

    async def change(self, command: Change) -> Changed:
        """Change an order, and note when that was done."""
        changed = await self._change(command)
        end = time.monotonic(), changed.order.delivered_items
        self._came[command.order_id] = end
        if command.order_id in self._waiting:
            self._waiting.pop(command.order_id).set_result(end)
        return changed

    async def of(self, order_id: str) -> tuple[float, Any]:
        """Return when the order was fulfilled, and with what."""
        if order_id not in self._came:
            self._waiting[order_id] = asyncio.get_running_loop().create_future()
            return await self._waiting[order_id]
        return self._came.pop(order_id)


async def measure() -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with ground.fresh_postgres() as (url, _), _sellers_server() as address:
        database = await Database.open(url)
        clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
        await clock.measure()
        app = build(Settings(allow_private_urls=True), database, clock, Keyring([ground.SECRET_KEY]))
        ends, first = Ends(app), await _listing(app, address)
        app.worker.start()
        await _run(app, ends, first, 32, WARM_UP, "warm")
        print("dynamic orders, one process, a seller's server that answers in 50 ms:")
        await _alone(app, ends, first, address)
        for in_flight in IN_FLIGHT:
            began = time.monotonic()
            ways = await _run(app, ends, first, in_flight, ORDERS, f"run{in_flight}")
            print(f"  {in_flight} in flight: {_told(ways)}; {ORDERS / (time.monotonic() - began):,.0f}/s")
        await app.worker.stop()
        await app.close()
        await database.close()


async def _alone(app: App, ends: Ends, first: str, address: str) -> None:
    """Take an order and a turn of the bare loop by turns, each alone."""
    database, http = app.tools.database, SafeHttp(allow_private=True)
    await database.write("CREATE TABLE bare (body text)")
    await database.write(orders.COPIES, "chk_alone_", ALONE, [first], 1)
    body = msgspec.json.encode({"note": "x" * 1_800})
    bare: Ways = []
    ways: Ways = []
    for number in range(1, ALONE + 1):
        began = time.monotonic()
        await database.write("INSERT INTO bare VALUES ($1)", body.decode())
        answer = await http.send("POST", address, headers={}, body=body, deadline=15)
        if not isinstance(answer, Answer):
            raise RuntimeError(answer.reason)  # noqa: TRY004  # no type that somebody gave
        bare.append(_way(began, time.monotonic(), msgspec.json.decode(answer.body)["data"]))
        ways.append(await _one(app, ends, f"chk_alone_{number}"))
    await http.close()
    by = statistics.median(way[0] for way in ways) - statistics.median(way[0] for way in bare)
    print(f"  a bare loop (commit a row, call): {_told(bare)}")
    print(f"  one order at a time, in turns with it: {_told(ways)}; the first byte {by * 1000:+.1f} ms")


async def _run(app: App, ends: Ends, first: str, in_flight: int, count: int, name: str) -> Ways:
    """Pay so many checkouts, each as soon as one of those before it is the buyer's."""
    await app.tools.database.write(orders.COPIES, f"chk_{name}_", count, [first], 1)
    free = asyncio.Semaphore(in_flight)

    async def one(number: int) -> tuple[float, float]:
        async with free:
            return await _one(app, ends, f"chk_{name}_{number}")

    return await asyncio.gather(*(one(number) for number in range(1, count + 1)))


async def _one(app: App, ends: Ends, checkout: str) -> tuple[float, float]:
    began = time.monotonic()
    accepted = await app.fulfillment.paid(Payment("sandbox", f"pay_{checkout}", checkout, 500, "USD"))
    if not isinstance(accepted, Accepted):
        raise RuntimeError(accepted.reason)  # noqa: TRY004  # no type that somebody gave
    end, items = await ends.of(accepted.order_id)
    return _way(began, end, msgspec.json.decode(items))


def _way(began: float, end: float, items: Any) -> tuple[float, float]:
    return float(items["dynamic_response"]["at"]) - began, end - began - ANSWERS_AFTER


def _told(ways: Ways) -> str:
    return f"first byte {_of([way[0] for way in ways])}; the end, less the 50 ms, {_of([way[1] for way in ways])}"


def _of(seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


@contextlib.asynccontextmanager
async def _sellers_server() -> AsyncIterator[str]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sellers_server", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout  # noqa: S101  # for the type checker
        yield f"http://127.0.0.1:{int(await server.stdout.readline())}/dynamic"
    finally:
        server.terminate()
        await server.wait()


async def _listing(app: App, address: str) -> str:
    """Put a dynamic listing on sale, and return a checkout of it."""
    account, _ = await create_account(app.tools, "seller@example.com", "Seller")
    told = NewListing(name="Pack", price=500, content_type="dynamic", dynamic_webhook=address)
    listing = await listings.create(app.tools, account, told)
    await listings.publish(app.tools, account.id, listing.id)
    sale = await listings.for_sale(app.tools, listing.id)
    return (await checkouts.begin(app.tools, app.inbox, sale, "ada@example.com", {})).id
