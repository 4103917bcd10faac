"""How long a healthy endpoint waits while others hang: from the commit of an event to the first byte at its receiver.

Two hundred healthy endpoints, each told of a few events, without and with twenty whose receivers never answer, which have a hundred
thousand deliveries waiting: from the moment at which those begin to hang, and once they are known. One worker process; the rate
limit of a URL is off (PURVEY_WEBHOOK_RATE=0).
"""

import asyncio
import time

from bench import ground, webhooks
from purvey.server.accounts.actions import create_account
from purvey.server.app import App
from purvey.server.kit.database import Database
from purvey.server.webhooks import actions as endpoints
from purvey.server.webhooks.wire import NewEndpoint

HEALTHY, HANGING = 200, 20
WAITING = 100_000
EVENTS = 1_000
EVERY = 0.05
"""Seconds between two events, each of which one healthy endpoint is told of: together nearly two deadlines."""


class _Receiver(asyncio.Protocol):
    """Notes when each event's first byte came. A path that begins with /hang is never answered."""

    def __init__(self, came: dict[str, float], began: asyncio.Event) -> None:
        self._came = came
        self._began = began
        self._received = b""
        self._at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._at = time.perf_counter()
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or head.startswith(b"POST /hang"):
            return
        low = head.lower()
        if len(body) >= int(low.partition(b"content-length:")[2].partition(b"\r\n")[0]):
            event = head[low.index(b"webhook-id: ") + 12 :].partition(b"\r\n")[0].decode()
            self._came.setdefault(event, self._at)
            self._began.set()
            self._received = b""
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]  # a stream's


async def measure() -> None:
    """Measure and print, without the bad ones and with them."""
    print(f"fairness, {HEALTHY} healthy endpoints, one event every {EVERY * 1000:.0f} ms, PURVEY_WEBHOOK_RATE=0:")
    for hanging in (0, HANGING):
        async with ground.fresh_postgres() as (url, _):
            database = await Database.open(url)
            app = await webhooks.application(database)
            await _run(app, url, hanging)
            await app.close()
            await database.close()


async def _run(app: App, url: str, hanging: int) -> None:
    came: dict[str, float] = {}
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Receiver(came, began), "127.0.0.1", 0, backlog=1024)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sellers = [await _seller(app, f"{base}/ok/{number}") for number in range(HEALTHY)]
    for number in range(hanging):
        bad = await _seller(app, f"{base}/hang/{number}")
        for start in range(0, WAITING // hanging, 1000):
            await _append(app, bad, f"hang{number}_{start}_", 1000)
    await app.tools.database.write("ANALYZE")
    async with webhooks.worker(url):
        # The worker takes its time to start; it runs when it has told somebody something.
        await _append(app, sellers[0], "first", 1)
        await began.wait()
        if not hanging:
            print(f"  none that hang: {await _told(app, sellers, came, 'without')}")
        else:
            waiting = f"{hanging} that hang, {WAITING:,} waiting"
            print(f"  {waiting}, from when they begin to: {await _told(app, sellers, came, 'onset')}")
            print(f"  {waiting}, once they are known: {await _told(app, sellers, came, 'after')}")
    server.close()


async def _told(app: App, sellers: list[str], came: dict[str, float], name: str) -> str:
    """Tell the healthy endpoints of events, and say how long they waited."""
    sent: dict[str, float] = {}
    for number in range(EVENTS):
        await _append(app, sellers[number % HEALTHY], f"{name}{number}_", 1)
        app.wake.poke()
        sent[f"evt_{name}{number}_1"] = time.perf_counter()
        await asyncio.sleep(EVERY)
    await asyncio.sleep(5)
    waits = sorted(came[event] - at for event, at in sent.items() if event in came)
    return (
        f"p50 {waits[len(waits) // 2] * 1000:.0f} ms, p99 {waits[len(waits) * 99 // 100] * 1000:.0f} ms,"
        f" longest {waits[-1] * 1000:.0f} ms; {EVENTS - len(waits)} did not come within 5 s"
    )


async def _seller(app: App, url: str) -> str:
    """Make an account with one endpoint, and return its id."""
    account, _ = await create_account(app.tools, f"{app.tools.ids.new('').lower()}@example.com", "Seller")
    await endpoints.create_endpoint(app.tools, account.id, NewEndpoint(url=url))
    return account.id


async def _append(app: App, account_id: str, name: str, count: int) -> None:
    await app.tools.database.write(
        "SELECT events_append(array_agg(($1, 'evt_' || $2 || n, 'order.disputed', NULL, 'ord_' || n, '{}')::event_new), $3)"
        " FROM generate_series(1, $4::int) n",
        account_id,
        name,
        app.tools.clock.now(),
        count,
    )
