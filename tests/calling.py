"""A seller's server that dynamic orders call, and a market in which one can be bought."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from aiohttp import web

from market import PATIENCE, Market, expect, looks

GOODS = {
    "data": {
        "service_text": "Use this token in the bot.",
        "dynamic_response": {"token": "dyn_123", "expires_at": "2026-12-31T23:59:59.000Z"},
        "deliveryType": "DYNAMIC",
        "count": 1,
    }
}


@dataclass(frozen=True)
class Called:
    """A call as it came in: its headers by their names in lower case, and its very bytes."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


Answering = Callable[[Called], web.Response]


def text(body: str | bytes, status: int = 200) -> Answering:
    """Answer with this body, whatever comes."""
    raw = body.encode() if isinstance(body, str) else body
    return lambda _: web.Response(status=status, body=raw)


def told(body: Any, status: int = 200) -> Answering:
    """Answer with this JSON, whatever comes."""
    return lambda _: web.Response(
        status=status, body=msgspec.json.encode(body), headers={"Content-Type": "application/json"}
    )


@dataclass
class SellersServer:
    """A seller's server. `then` are the answers to the next calls; when none is left, `answering` gives it.

    While `gate` is shut, calls come in and are not answered.
    """

    url: str = ""
    calls: "asyncio.Queue[Called]" = field(default_factory=asyncio.Queue)
    then: list[Answering] = field(default_factory=list)
    answering: Answering = field(default_factory=lambda: told(GOODS))
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Note a call and answer it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        called = Called(request.path, headers, await request.read())
        answer = self.then.pop(0) if self.then else self.answering
        self.calls.put_nowait(called)
        await self.gate.wait()
        return answer(called)

    async def next(self) -> Called:
        """Return the next call, or fail when none comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.calls.get()


@contextlib.asynccontextmanager
async def sellers_server() -> AsyncIterator[SellersServer]:
    """Run a seller's server on loopback, its gate open."""
    server = SellersServer()
    server.gate.set()
    runner = web.AppRunner(web.Application())
    runner.app.router.add_post("/{path:.*}", server.take)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/dynamic"
    try:
        yield server
    finally:
        server.gate.set()
        await runner.cleanup()


async def sold(market: Market, server: SellersServer, **fields: Any) -> dict[str, Any]:
    """Put a dynamic listing on sale whose callback leads to `server`; its secrets are in the result."""
    named: dict[str, Any] = {"name": "Pro Pack", "price": 2999, "dynamic_webhook": server.url} | fields
    return await market.listing(content_type="dynamic", deliverables=[], **named)


async def bought(
    market: Market, server: SellersServer, listing: Mapping[str, Any] | None = None, **answers: Any
) -> tuple[Called, dict[str, Any]]:
    """Buy a dynamic listing; return the call that came and the order's id in the form of an order."""
    checkout = await market.checkout(listing or await sold(market, server), **answers)
    if checkout["amount"]:
        expect(await market.pay(checkout), 200)
    called = await server.next()
    return called, {"id": called.json["invoiceId"]}


async def letters(market: Market, number: int) -> dict[str, str]:
    """Return the subjects of the next mails, by their recipients."""
    found = [await market.outside.next_letter() for _ in range(number)]
    return {str(mail["To"]): str(mail["Subject"]) for mail in found}


async def until(market: Market, order: Mapping[str, Any], **wanted: Any) -> dict[str, Any]:
    """Return the order once these of its columns are so; each look gives the worker its turn."""
    row = None
    async for _ in looks():
        row = await market.shop.tools.database.row("SELECT * FROM orders WHERE id = $1", order["id"])
        if row and all(row[name] == value for name, value in wanted.items()):
            return cast("dict[str, Any]", expect(await market.shop.get(f"/v1/orders/{order['id']}"), 200))
    raise AssertionError(f"wanted {wanted}, got { {name: row[name] for name in wanted} if row else None }")


async def callback(market: Market, order: Mapping[str, Any], attempts: int | None = None) -> dict[str, Any]:
    """Return the order's callback, once it has had that many attempts."""
    made = None
    async for _ in looks():
        made = await market.shop.tools.database.value("SELECT attempts FROM callbacks WHERE order_id = $1", order["id"])
        if attempts is None or made == attempts:
            return cast("dict[str, Any]", expect(await market.shop.get(f"/v1/orders/{order['id']}/callback"), 200))
    raise AssertionError(f"wanted {attempts} attempts, got {made}")


async def order_of(market: Market, checkout: Mapping[str, Any]) -> dict[str, Any]:
    """Return the order of a paid checkout, once it is there."""
    async for _ in looks():
        found = await market.shop.tools.database.value("SELECT order_id FROM checkouts WHERE id = $1", checkout["id"])
        if found:
            return cast("dict[str, Any]", expect(await market.shop.get(f"/v1/orders/{found}"), 200))
    raise AssertionError("it has no order")
