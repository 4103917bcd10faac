"""The world around the servers of one act: its database, the sellers, who takes the webhooks and the mail, and the server itself.

A server lives from one death to the next. It is told when to die, when its worker may work, and when time passes.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest

import child
from makers import SECRET_KEY
from market import Hook, Outside, outside_world
from purvey.server import app as composition
from purvey.server.accounts import actions as accounts
from purvey.server.accounts.model import Account
from purvey.server.app import App
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.tools import Tools
from purvey.server.settings import Settings
from served import Reply, reserved_port
from stripe_standin.server import SECRET_KEY as STRIPE_KEY
from stripe_standin.server import WEBHOOK_SECRET, Stripe, Target, open_stripe

PATIENCE = 60.0
"""Real seconds after which a server that does not get on has failed."""
LEASE = 60.0
"""Seconds by which the next server's clock is ahead, so that no lease of the dead one still holds."""
processes = multiprocessing.get_context("forkserver")


def preload() -> None:
    """Start the process that the servers are forked from; it has imported everything, so that a server starts at once."""
    processes.set_forkserver_preload(["crash.nursery"])
    # It looks for the module where its environment says, and nowhere else.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        forkserver.ensure_running()


@contextlib.contextmanager
def _nameless_main() -> Iterator[None]:
    """Keep a new process from loading the main module of this one, which is pytest: it takes longer than all the rest."""
    main = sys.modules["__main__"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "__spec__", None)
        patch.delattr(main, "__file__", raising=False)
        yield


class Server:
    """A child process that serves, its worker at rest until it is told to work."""

    def __init__(self, orders: child.Orders) -> None:
        ours, theirs = processes.Pipe()
        self._pipe = ours
        self._process = processes.Process(target=child.run, args=(orders, theirs), daemon=True)
        with _nameless_main():
            self._process.start()
        theirs.close()
        self.steps: list[child.Step] = []
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self._idle = asyncio.Event()
        self.dead = asyncio.create_task(asyncio.to_thread(self._listen, asyncio.get_running_loop()))

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                loop.call_soon_threadsafe(self._hear, self._pipe.recv())
        self._process.join()

    def _hear(self, said: Any) -> None:
        if isinstance(said, child.Step):
            self.steps.append(said)
        elif said == "idle":
            self._idle.set()
        else:
            self._said.put_nowait(said)

    def tell(self, *words: Any) -> None:
        """Have the server do something; nobody hears it who is dead."""
        with contextlib.suppress(OSError):
            self._pipe.send(words)

    async def answer(self) -> Any:
        """Return what the server says next, or None when it dies instead."""
        return await self._unless_dead(self._said.get())

    async def idle(self) -> None:
        """Wait until its worker has found nothing to do, or the server is dead."""
        await self._unless_dead(self._idle.wait())
        self._idle.clear()

    async def _unless_dead(self, what: Awaitable[Any]) -> Any:
        waiting = asyncio.ensure_future(what)
        done, _ = await asyncio.wait({waiting, self.dead}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
        assert done, f"nothing happened; the last steps were {[step.name for step in self.steps[-10:]]}"
        return waiting.result() if waiting in done else None

    async def begin(self, die_at: str | None) -> None:
        """Forget the steps so far, and die at `die_at`; the worker must be at rest."""
        self.tell("begin", die_at)
        assert await self.answer() == "begun"
        self.steps = []

    async def rest(self) -> None:
        """Have the worker finish what it has begun, and begin nothing until it is told to work; or find the server dead."""
        self.tell("rest")
        assert await self.answer() in {"at rest", None}

    async def end(self) -> None:
        """End it in peace, if it still lives."""
        self.tell("end")
        try:
            await asyncio.wait_for(asyncio.shield(self.dead), PATIENCE)
        finally:
            self._process.kill()

    def was_killed(self) -> bool:
        """Return whether the server is dead; a server that ended in any other way than by its own hand has failed."""
        if self.dead.done():
            assert self._process.exitcode == -signal.SIGKILL, self._process.exitcode
        return self.dead.done()


class StageClock(DatabaseClock):
    """The clock of the servers, as the parent knows it."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Stage:
    """The world of one act. `app` is the product itself on a connection of the parent's, for setting scenes without a server."""

    database: Database
    database_url: str
    port: int
    outside: Outside
    stripe: Stripe
    payments: str
    app: App
    clock: StageClock
    session: aiohttp.ClientSession
    files: Path
    server: Server = field(init=False)

    @property
    def tools(self) -> Tools:
        return self.app.tools

    async def start(self) -> None:
        """Start a server, later than all leases of the one before."""
        self.clock.ahead += timedelta(seconds=LEASE)
        ahead = self.clock.ahead.total_seconds()
        self.server = Server(
            child.Orders(
                self.database_url,
                self.port,
                self.outside.smtp_url,
                self.files.as_uri(),
                self.stripe.url,
                ahead,
                self.payments,
            )
        )
        assert await self.server.answer() == "ready"

    async def start_again(self) -> bool:
        """Start another server if this one is dead; return whether it was."""
        died = self.server.was_killed()
        if died:
            await self.start()
        return died

    def later(self, seconds: float) -> None:
        """Let time pass, here and in the server."""
        self.clock.ahead += timedelta(seconds=seconds)
        self.server.tell("later", seconds)

    async def ask(self, method: str, path: str, key: str | None, **options: Any) -> Reply | None:
        """Send a request; None when the server is not there or dies meanwhile."""
        headers = dict(options.pop("headers", {})) | ({"Authorization": f"Bearer {key}"} if key else {})
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async with self.session.request(
                method, f"http://127.0.0.1:{self.port}{path}", headers=headers, allow_redirects=False, **options
            ) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        return None

    async def settle(self, hear: Callable[[], Awaitable[None]]) -> None:
        """Let the worker work, and time pass, until nothing is left to do, or the server is dead. `hear` is called in between."""
        self.server.tell("work")
        try:
            async with asyncio.timeout(PATIENCE):
                await self._until_nothing_is_left(hear)
        except TimeoutError:
            jobs = await self.database.rows("SELECT kind, attempt, claims, due_at, leased_until FROM jobs")
            raise AssertionError(f"these jobs are never done: {[dict(job) for job in jobs]}") from None

    async def _until_nothing_is_left(self, hear: Callable[[], Awaitable[None]]) -> None:
        while not self.server.dead.done():
            await self.server.idle()
            await hear()
            row = await self.database.row(JOBS, self.clock.now())
            assert row is not None
            if not row["jobs"]:
                await self.server.rest()
                return
            if not row["leased"] and row["due_at"] > self.clock.now():
                self.later((row["due_at"] - self.clock.now()).total_seconds() + 1)


CALL_KEY = "X-Shoppex-Idempotency-Key"
"""The header by which a dynamic order's call is told from a webhook."""
JOBS = """
SELECT count(*) AS jobs, count(lease_token) AS leased, min(due_at) AS due_at FROM jobs
WHERE kind NOT IN ('payments.stripe_reconcile', 'events.expire', 'access.forget_visits')   -- they come again, for ever
    OR lease_token IS NOT NULL OR due_at <= $1
"""


@contextlib.asynccontextmanager
async def open_stage(database: Database, database_url: str, payments: str = "sandbox") -> AsyncIterator[Stage]:
    """Open the world, with a server that is ready, and whose new payments go to the provider called `payments`."""
    connector = aiohttp.TCPConnector(force_close=True)
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="pv-files-") as files:
        app, clock = _parents_own()
        async with (
            outside_world() as outside,
            open_stripe(lambda: int(clock.now().timestamp())) as stripe,
            aiohttp.ClientSession(connector=connector) as session,
        ):
            app.stripes.__init__(stripe.url)  # type: ignore[misc]  # the one of the last stage is closed
            app.inbox.in_use = app.inbox.provider(payments)
            stripe.targets.append(Target(f"http://127.0.0.1:{port}/payments/stripe/notices"))
            app.tools.database.pool = database.pool
            clock.ahead = timedelta()
            app.storage.url = Path(files).as_uri()
            for opened in ("folder", "_store"):
                vars(app.storage).pop(opened, None)
            stage = Stage(database, database_url, port, outside, stripe, payments, app, clock, session, Path(files))
            await stage.start()
            try:
                yield stage
            finally:
                await stage.server.end()
                await app.wake.close()
                await app.stripes.close()
                # What it sent by belongs to this test's event loop.
                app.wake._sender = None


@cache
def _parents_own() -> tuple[App, StageClock]:
    """Put the product together once for all stages, because that takes long; each stage lends it its connections."""
    database = Database(cast("Any", None))
    clock = StageClock(lambda: database.value("SELECT clock_timestamp()"))
    settings = Settings(
        allow_private_urls=True,
        smtp_url="smtp://127.0.0.1:25",
        rate_limits="off",
        stripe_secret_key=STRIPE_KEY,
        stripe_webhook_secret=WEBHOOK_SECRET,
    )
    return composition.build(settings, database, clock, Keyring([SECRET_KEY])), clock


@dataclass
class Scene:
    """One telling of an act: a seller of its own, what the act has made so far, and what became known of it.

    `called` are the calls of dynamic orders, as they came in. `replies` are the answers that came, so that somebody who got none
    knows that the outcome is unknown.
    """

    stage: Stage
    account: Account
    key: str
    names: dict[str, str] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    lost: int = 0
    heard: list[Mapping[str, Any]] = field(default_factory=list)
    called: list[Hook] = field(default_factory=list)

    @property
    def tools(self) -> Tools:
        return self.stage.tools

    async def ask(self, method: str, path: str, expected: tuple[int, ...] = (200,), **options: Any) -> Reply | None:
        """Send a request with the seller's key; `{name}` in the path stands for what the act has made."""
        reply = await self.stage.ask(method, path.format(**self.names), options.pop("key", self.key), **options)
        if reply is None:
            self.lost += 1
            return None
        assert reply.status in expected, f"{method} {path}: {reply.status} {reply.text}"
        self.replies.append(reply)
        return reply

    async def do(self, action: str, *args: Any) -> Any:
        """Have the server call an action, as a command on the command line does; None when it dies meanwhile."""
        self.stage.server.tell("do", action, *args)
        said = await self.stage.server.answer()
        return said[1] if said else None

    async def sql(self, sql: str, *args: object) -> Any:
        """Return one value of the database."""
        return await self.stage.database.value(sql, *args)

    async def holds(self, check: str, *args: object) -> None:
        """Hold the database to a check of this scene."""
        assert await self.sql(check, *args) is True, check

    def webhooks(self) -> list[Mapping[str, Any]]:
        """Return the events that came over the wire since the last look."""
        queue = self.stage.outside.hooks
        hooks = [queue.get_nowait() for _ in range(queue.qsize())]
        self.called += [hook for hook in hooks if CALL_KEY in hook.headers]
        came = [msgspec.json.decode(hook.body) for hook in hooks if CALL_KEY not in hook.headers]
        self.heard += came
        return came


async def open_scene(stage: Stage) -> Scene:
    """Make a seller for one telling, in a world that has forgotten the one before."""
    outside = stage.outside
    for queue in (outside.hooks, outside.letters):
        while not queue.empty():
            queue.get_nowait()
    outside.answers.clear()
    outside.refusals.clear()
    email = f"{stage.tools.ids.new('')}@example.com".lower()
    account, key = await accounts.create_account(stage.tools, email, "The Shop")
    return Scene(stage, account, key)
