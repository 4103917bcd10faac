"""A server that kills itself at a chosen step: the real composition of the product, in a process of its own, for crash tests.

A step is the moment before or after something that lasts, or that is part of it: a writing statement, each statement of a
transaction and its commit, a request sent, a mail handed over. It is told to the parent together with the actions on whose behalf
it is done. The parent says when the worker works, and sets the clock ahead, so that the leases of a killed process run out.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from multiprocessing.connection import Connection as Pipe
from typing import Any, cast

import structlog

from crash import tracing
from makers import SECRET_KEY
from purvey.server import app as composition
from purvey.server.app import App
from purvey.server.files.storage import Storage
from purvey.server.jobs.worker import Worker
from purvey.server.kit.batching import Batcher
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Connection, Database
from purvey.server.kit.problem import ProblemError
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.mail import render, transports
from purvey.server.payments.stripe.client import Stripes
from purvey.server.settings import Settings
from served import served
from stripe_standin.server import SECRET_KEY as STRIPE_KEY
from stripe_standin.server import WEBHOOK_SECRET

STATEMENTS = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval"})
"""What runs SQL on a connection."""
NOTHING_LASTS = frozenset({"pg_notify", "jobs_renew"})
"""Statements that are no steps: a hint that may be lost, and a lease that is lengthened every ten seconds."""

RETENTION_DAYS = 30
"""How long events stay, once the parent has had that begun."""

DUE = "SELECT id, kind, due_at FROM jobs WHERE lease_token IS NULL AND due_at <= $1 ORDER BY id"
LEFT_BEHIND = "SELECT count(*) FROM jobs WHERE lease_token IS NOT NULL AND leased_until <= $1"


@dataclass(frozen=True)
class Orders:
    """What a child is told at its birth: where everything is, who takes payments, and how many seconds its clock is ahead."""

    database_url: str
    port: int
    smtp_url: str
    storage_url: str
    stripe_url: str
    ahead: float
    payments: str = "sandbox"


@dataclass(frozen=True)
class Step:
    """A step that came by: its name, unique within a telling, the actions under way, the innermost first, and the place."""

    name: str
    actions: tuple[str, ...]
    place: str


class Steps:
    """Counts the steps as they come by, reports each, and dies at the one asked for."""

    pipe: Pipe

    def __init__(self) -> None:
        self._die_at: str | None = None
        self._seen: dict[str, int] = {}

    def begin(self, die_at: str | None) -> None:
        """Count from one again, and die at `die_at`."""
        self._die_at = die_at
        self._seen = {}

    async def around(self, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do `work` between its two steps."""
        self.came("before", what)
        result = await work()
        self.came("after", what)
        return result

    def came(self, moment: str, what: str, on_behalf: tuple[str, ...] = ()) -> None:
        """Report a step; it is the last thing done if it is the one to die at. `on_behalf` counts when no action is under way."""
        self.came_to(moment, what, tracing.actions() or on_behalf, tracing.place())

    def came_to(self, moment: str, what: str, actions: tuple[str, ...], place: str) -> None:
        """Report a step that comes by where it cannot be seen who is at it."""
        name = f"{actions[0] if actions else place}: {moment} {what}"
        count = self._seen[name] = self._seen.get(name, 0) + 1
        step = Step(name if count == 1 else f"{name} #{count}", actions, place)
        self.pipe.send(step)
        if step.name == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalConnection:
    """A connection within a transaction, whose statements are steps; it remembers the actions that it was used by last."""

    def __init__(self, connection: Connection, steps: Steps) -> None:
        self._connection = connection
        self._steps = steps
        self.actions: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in STATEMENTS:
            return found

        async def run(sql: str, *args: Any, **options: Any) -> Any:
            self.actions = tracing.actions() or self.actions
            return await self._steps.around(tracing.statement(sql), lambda: found(sql, *args, **options))

        return run


class MortalDatabase(Database):
    """A database whose writing statements, transactions and commits are steps. It gets its connections after its birth.

    `idle` is called after each claim that found nothing.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.idle: Callable[[], None] = lambda: None
        self._due: set[tuple[Any, ...]] = set()
        self._kinds: dict[str, str] = {}

    async def write(self, sql: str, *args: Any, again: bool = False) -> list[Any]:
        called = tracing.statement(sql)
        if called == "jobs_claim":
            return await self._claim(sql, *args)
        if called in NOTHING_LASTS or (called == "jobs_rescue" and not await self.value(LEFT_BEHIND, *args)):
            return await super().write(sql, *args, again=again)
        names = self._names(called, args)
        self._pass("before", names)
        found = await super().write(sql, *args, again=again)
        self._pass("after", names)
        return found

    async def _claim(self, sql: str, *args: Any) -> list[Any]:
        """Claim jobs. The steps are those of each job, so that it makes no difference which of them are claimed together."""
        due = {tuple(row) for row in await self.rows(DUE, args[5])} - self._due
        self._due |= due
        self._pass("before", (f"jobs_claim of {kind}" for _, kind, _ in sorted(due)))
        found = await super().write(sql, *args)
        self._kinds |= {row["id"]: row["kind"] for row in found}
        self._pass("after", (f"jobs_claim of {row['kind']}" for row in found))
        if not found:
            self.idle()
        return found

    async def rows(self, sql: str, *args: Any) -> list[Any]:
        found = await super().rows(sql, *args)
        if "leased_until = $1" in sql:
            self._kinds |= {row["id"]: row["kind"] for row in found}
        return found

    def _names(self, called: str, args: tuple[Any, ...]) -> list[str]:
        """Return the steps of a statement: one for each result, where several may be recorded together or one by one."""
        match called:
            case "jobs_finish":
                return [f"{called} of {self._kinds.get(result[0])}" for result in args[0]]
            case "webhooks_record":
                return [called for _ in args[0]]
            case _:
                return [called]

    def _pass(self, moment: str, names: Iterable[str]) -> None:
        for name in names:
            self.steps.came(moment, name)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            mortal = MortalConnection(connection, self.steps)
            yield cast("Connection", mortal)
            self.steps.came("before", "commit", mortal.actions)
        self.steps.came("after", "commit", mortal.actions)


class AheadClock(DatabaseClock):
    """The database's clock, which is this machine's, some time ahead."""

    ahead = timedelta()

    def now(self) -> Any:
        return super().now() + self.ahead


@dataclass
class Gate:
    """Holds the worker back between two turns."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    turning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def rest(self, worker: Worker) -> None:
        """Let no turn begin, and wait for the end of the one under way, and of all that was begun."""
        self.open.clear()
        async with self.turning:
            while worker._tasks:
                await asyncio.wait(worker._tasks)


class Child:
    """The server, and what the parent has it do."""

    def __init__(self, born: "Unborn", pipe: Pipe) -> None:
        self._app = born.app
        self._clock = born.clock
        self._steps = born.steps
        self._gate = born.gate
        self._pipe = pipe
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def until_told(self) -> None:
        """Do what comes through the pipe, until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._hear)
        await self._stop.wait()
        loop.remove_reader(self._pipe.fileno())

    def _hear(self) -> None:
        name, *args = self._pipe.recv()
        task = asyncio.create_task(getattr(self, f"_{name}")(*args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, die_at: str | None) -> None:
        """Count the steps from one again, and die at `die_at`."""
        self._steps.begin(die_at)
        self._pipe.send("begun")

    async def _rest(self) -> None:
        """Have the worker finish what it has begun, and begin nothing."""
        await self._gate.rest(self._app.worker)
        self._pipe.send("at rest")

    async def _work(self) -> None:
        """Let the worker work."""
        self._gate.open.set()
        self._app.wake.poke()

    async def _later(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.ahead += timedelta(seconds=seconds)
        self._app.wake.poke()

    async def _do(self, qualified: str, *args: Any) -> None:
        """Call an action with this process's tools, as a command does, and send its result, or the name of its error."""
        module, _, function = qualified.rpartition(".")
        action = getattr(importlib.import_module(f"purvey.server.{module}"), function)
        try:
            self._pipe.send(("did", await action(self._app.tools, *args)))
        except ProblemError as error:
            self._pipe.send(("did", type(error).__name__))

    async def _end(self) -> None:
        self._gate.open.set()
        self._stop.set()


@dataclass(frozen=True)
class Unborn:
    """A server that was put together, and that knows neither its database nor its parent yet."""

    app: App
    database: MortalDatabase
    clock: AheadClock
    steps: Steps
    gate: Gate


@cache
def unborn() -> Unborn:
    """Put the server together, once in the process that servers are forked from: that takes longer than all the rest of a start."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    steps = Steps()
    database = MortalDatabase(steps)
    clock = AheadClock(lambda: database.value("SELECT clock_timestamp()"))
    settings = Settings(
        allow_private_urls=True,
        smtp_url="smtp://127.0.0.1:25",
        webhook_rate=0,
        rate_limits="off",
        stripe_secret_key=STRIPE_KEY,
        stripe_webhook_secret=WEBHOOK_SECRET,
        stripe_fraud_warnings="refund",
        event_retention_days=RETENTION_DAYS,
    )
    app = composition.build(settings, database, clock, Keyring([SECRET_KEY]))
    asyncio.run(_warm_up(app))
    return Unborn(app, database, clock, steps, Gate())


async def _warm_up(app: App) -> None:
    """Load what is loaded when it is needed first."""
    for template in render._environment.list_templates():
        render._environment.get_template(template)
    async with app.web.lifespan():
        pass


def run(orders: Orders, pipe: Pipe) -> None:
    """Run the server until told to stop through the pipe, or until death."""
    asyncio.run(_serve(unborn(), orders, pipe))


async def _serve(self: Unborn, orders: Orders, pipe: Pipe) -> None:
    opened = await Database.open(orders.database_url, connections=8)
    self.database.pool = opened.pool
    self.database.idle = lambda: pipe.send("idle")
    self.steps.pipe = pipe
    self.clock.ahead = timedelta(seconds=orders.ahead)
    self.app.storage.url = orders.storage_url
    self.app.stripes.__init__(orders.stripe_url)  # type: ignore[misc]  # what it was born with leads nowhere
    self.app.inbox.in_use = self.app.inbox.provider(orders.payments)
    _make_mortal(self.steps, self.gate, transports.Smtp(transports.read_url(orders.smtp_url)))
    _make_stripe_mortal(self.steps)
    async with served(self.app.web, orders.port):
        self.app.worker.start()
        pipe.send("ready")
        await Child(self, pipe).until_told()
        await self.app.worker.stop()
    await self.app.close()
    await opened.close()


def _make_mortal(steps: Steps, gate: Gate, mail_server: transports.Smtp) -> None:
    """Make steps of what is sent, note who gave a batch its commands, and hold the worker back; in this process alone."""
    send, hand_over, submit, turn = SafeHttp.send, mail_server.send, Batcher.submit, Worker._turn
    put, delete = Storage.put, Storage.delete

    async def mortal_send(self: SafeHttp, *args: Any, **options: Any) -> Any:
        return await steps.around("send over HTTP", lambda: send(self, *args, **options))

    async def mortal_hand_over(_: transports.Smtp, *args: Any) -> Any:
        return await steps.around("hand over the mail", lambda: hand_over(*args))

    async def mortal_put(self: Storage, blob: str, chunks: AsyncIterator[bytes]) -> None:
        whose = tracing.actions(), tracing.place()

        async def mortal_chunks() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk
            steps.came_to("in the middle of", "storing a file", *whose)

        await steps.around("store a file", lambda: put(self, blob, mortal_chunks()))

    async def mortal_delete(self: Storage, blob: str) -> None:
        await steps.around("delete a file", lambda: delete(self, blob))

    async def traced_submit(self: Batcher[Any, Any], command: Any) -> Any:
        with tracing.on_behalf():
            return await submit(self, command)

    async def gated_turn(self: Worker) -> float:
        await gate.open.wait()
        async with gate.turning:
            return await turn(self)

    replaced: list[tuple[type, str, Any]] = [
        (SafeHttp, "send", mortal_send),
        (Storage, "put", mortal_put),
        (Storage, "delete", mortal_delete),
        (transports.Smtp, "send", mortal_hand_over),
        (Batcher, "submit", traced_submit),
        (Worker, "_turn", gated_turn),
    ]
    for owner, name, replacement in replaced:
        setattr(owner, name, replacement)


def _make_stripe_mortal(steps: Steps) -> None:
    """Make steps of what is asked of Stripe."""
    told = Stripes._told

    async def mortal_told(self: Stripes, asking: Awaitable[Any]) -> Any:
        return await steps.around("ask Stripe", lambda: told(self, asking))

    Stripes._told = mortal_told  # type: ignore[method-assign]  # in this process alone
