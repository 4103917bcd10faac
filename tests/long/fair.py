"""A fair: a real server in two processes that are killed at random moments, and the people who use it meanwhile."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from purvey.server.demo.processes import free_port
from running import PURVEY, Answer, Process, postmaster, process

Victim = Literal["api", "worker", "database"]
KILL_EVERY = 4.0
"""Seconds between two kills, about; at most three times as many."""
ASK_AGAIN_AFTER = 0.3
"""Seconds after which somebody asks again who was not answered."""
SETTINGS: Mapping[str, str] = {
    "PURVEY_ALLOW_PRIVATE_URLS": "1",
    "PURVEY_RATE_LIMITS": "off",
    "PURVEY_WEBHOOK_RATE": "0",
}


class Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._command = (*PURVEY, *arguments)
        self._log = log
        self._running: Process | None = None

    async def keep(self) -> None:
        """Keep it running, until cancelled."""
        while True:
            async with process(*self._command, log=self._log, settings=SETTINGS) as self._running:
                await self._running.child.wait()

    def kill(self) -> None:
        """Kill it; raise ProcessLookupError when it does not run."""
        if self._running is None or self._running.child.returncode is not None:
            raise ProcessLookupError
        self._running.child.kill()


@dataclass
class Fair:
    """What goes on at the fair. `over` is set when nobody begins anything new; `calm` when nobody is killed any more."""

    data: Path
    url: str
    chance: random.Random
    taste: random.Random
    session: aiohttp.ClientSession
    api: Kept
    worker: Kept
    key: str = ""
    hook_url: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    kills: dict[Victim, int] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    read: list[int] = field(default_factory=list)
    bought: list[str] = field(default_factory=list)
    to_deliver: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    async def ask(self, method: str, path: str, *, key: bool = False, body: object = None) -> Answer | None:
        """Send a request; None when no answer came, or one that asks to come again."""
        headers = {"Authorization": f"Bearer {self.key}"} if key else {}
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with self.session.request(
                method, self.url + path, headers=headers, json=body, allow_redirects=False
            ) as answer:
                text = await answer.text()
                assert answer.status < 400 or answer.status == 503, f"{method} {path}: {answer.status} {text}"
                return None if answer.status == 503 else Answer(answer.status, answer.headers, text)
        return None

    async def insist(self, method: str, path: str, *, key: bool = False, body: object = None) -> Answer:
        """Ask until there is an answer."""
        while (answer := await self.ask(method, path, key=key, body=body)) is None:
            await passed(ASK_AGAIN_AFTER)
        return answer

    async def buy(self, listings: list[str]) -> None:
        """Buy one thing after the other, and try again whatever was not answered."""
        while not self.over.is_set():
            body = {"listing_id": self.taste.choice(listings), "buyer_email": "ada@example.com"}
            checkout = (await self.insist("POST", "/v1/checkouts", body=body)).json
            if checkout["amount"]:
                card = {"card": "4242424242424242"}
                await self.insist("POST", f"/sandbox/checkouts/{checkout['id']}/pay", body=card)
            back = await self.insist("GET", f"/checkout/{checkout['id']}/return")
            if "Location" in back.headers:
                await self.insist("GET", back.headers["Location"])
            self.bought.append(checkout["id"])

    async def deliver(self) -> None:
        """Deliver what was heard of, whether it was delivered before or not."""
        while True:
            order_id = await self.to_deliver.get()
            body = {"type": "text", "value": f"made for {order_id}"}
            await self.insist("POST", f"/v1/orders/{order_id}/deliver", key=True, body=body)

    async def follow(self) -> None:
        """Read the log with a cursor while it is written; no event is ever missing."""
        cursor = ""
        while True:
            page = (await self.insist("GET", f"/v1/events?limit=100&cursor={cursor}", key=True)).json
            for event in page["data"]:
                assert event["sequence"] == len(self.read) + 1, f"{event['sequence']} came after {self.read[-1:]}"
                self.read.append(event["sequence"])
                self.must_be_delivered(event)
            cursor = page["cursor"] or cursor
            if not page["has_more"]:
                await passed(ASK_AGAIN_AFTER)

    def must_be_delivered(self, event: Mapping[str, Any]) -> None:
        """Note an order that waits for its content."""
        if event["type"] == "order.paid" and event["data"]["listing"]["content_type"] == "generated":
            self.to_deliver.put_nowait(event["order_id"])

    async def hear(self, request: web.Request) -> web.Response:
        """Take a webhook."""
        event = await request.json()
        self.heard.add(event["id"])
        self.must_be_delivered(event)
        return web.Response()

    async def kill_at_random(self, victims: list[Victim]) -> None:
        """Kill one process after the other, each in its turn but in any order, until it is over."""
        left: list[Victim] = []
        while not await passed(min(self.chance.expovariate(1 / KILL_EVERY), 3 * KILL_EVERY), self.over):
            left = left or self.chance.sample(victims, len(victims))
            # What is just about to start cannot be killed, and keeps its turn.
            with contextlib.suppress(OSError, ValueError):
                self.kill(left[-1])
                victim = left.pop()
                self.kills[victim] = self.kills.get(victim, 0) + 1

    def kill(self, victim: Victim) -> None:
        """Kill a process; raise OSError or ValueError when it does not run."""
        match victim:
            case "api":
                self.api.kill()
            case "worker":
                self.worker.kill()
            case "database":
                os.kill(postmaster(self.data), signal.SIGKILL)


async def passed(seconds: float, event: asyncio.Event | None = None) -> bool:
    """Wait until `seconds` have passed or `event` is set; return whether it is."""
    event = event or asyncio.Event()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


@contextlib.asynccontextmanager
async def open_fair(folder: Path, seed: int) -> AsyncIterator[Fair]:
    """Open a fair: a server, a worker beside it, and a seller who receives webhooks."""
    port, data = free_port(), folder / "data"
    api = Kept(folder / "api.log", "serve", "--role", "api", "--port", str(port), "--data", str(data))
    worker = Kept(folder / "worker.log", "worker", "--data", str(data))
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        url = f"http://127.0.0.1:{port}"
        # Who is killed when is the same for the same seed, however many buyers come by meanwhile.
        chance, taste = random.Random(seed), random.Random(seed)  # noqa: S311  # no secrets
        fair = Fair(data, url, chance, taste, session, api, worker)
        async with receiving(fair.hear) as fair.hook_url, beside(api.keep):
            await fair.insist("GET", "/readyz")
            async with beside(worker.keep):
                yield fair


@contextlib.asynccontextmanager
async def receiving(hear: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a receiver of webhooks, and yield its URL."""
    application = web.Application()
    application.router.add_post("/hook", hear)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def beside(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Do this beside the block, and stop it at its end; what fails there fails the test."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
