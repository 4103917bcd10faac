"""A server that kills itself at a chosen step: the real composition of the product, in a process of its own, for crash tests.

A step is the moment before or after something that lasts: a writing statement, a request sent, a mail handed over. The clock can be
set ahead, so that the leases of a killed process have run out when the next one starts.
"""

import asyncio
import logging
import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from typing import Any

import structlog

from makers import SECRET_KEY
from purvey.server import app as composition
from purvey.server.app import App
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.mail import transports
from purvey.server.settings import Settings
from served import served


@dataclass(frozen=True)
class Orders:
    """What a child is told: its database, port and mail server, where to die (None: nowhere), and how far ahead its clock is."""

    database_url: str
    port: int
    smtp_url: str
    die_at: str | None
    ahead: float = 0.0


class Steps:
    """Counts the steps as they come by, reports each, and dies at the one asked for."""

    def __init__(self, die_at: str | None, pipe: Pipe) -> None:
        self._die_at = die_at
        self._pipe = pipe
        self._seen: Counter[str] = Counter()

    async def around(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do `work` between its two steps."""
        self._pass(f"before {name}")
        result = await work()
        self._pass(f"after {name}")
        return result

    def _pass(self, name: str) -> None:
        self._seen[name] += 1
        step = f"{name} #{self._seen[name]}"
        self._pipe.send(step)
        if step == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(Database):
    """A database whose writing statements are steps."""

    steps: Steps

    async def write(self, sql: str, *args: Any, again: bool = False) -> list[Any]:
        found = await self.steps.around(statement(sql), lambda: Database.write(self, sql, *args, again=again))
        return list(found)


class AheadClock(DatabaseClock):
    """The database's clock, some seconds ahead."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def statement(sql: str) -> str:
    """Return what a writing statement is called: the function it calls, or the table it writes."""
    found = re.search(r"(?:FROM|SELECT|INTO|UPDATE)\s+(\w+)", sql)
    called = re.search(
        r"\b(fulfillment_commit|jobs_claim|jobs_finish|jobs_rescue|webhooks_record|messages_record)\b", sql
    )
    return called[1] if called else found[1] if found else sql.split(maxsplit=1)[0]


def run(orders: Orders, pipe: Pipe) -> None:
    """Run the server until told to stop through the pipe, or until death."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_serve(orders, pipe))


async def _serve(orders: Orders, pipe: Pipe) -> None:
    steps = Steps(orders.die_at, pipe)
    database = await MortalDatabase.open(orders.database_url, connections=8)
    assert isinstance(database, MortalDatabase)
    database.steps = steps
    clock = AheadClock(lambda: database.value("SELECT clock_timestamp()"))
    clock.ahead = timedelta(seconds=orders.ahead)
    app = _build(orders, database, clock, steps)
    told = asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    async with served(app.web, orders.port):
        app.worker.start()
        pipe.send("ready")
        await told
        await app.worker.stop()
    await app.close()
    await database.close()


def _build(orders: Orders, database: Database, clock: AheadClock, steps: Steps) -> App:
    """Build the product's own composition, with sending made into steps."""
    send, hand_over = SafeHttp.send, transports.Smtp.send

    async def mortal_send(self: SafeHttp, *args: Any, **options: Any) -> Any:
        return await steps.around("http", lambda: send(self, *args, **options))

    async def mortal_hand_over(self: transports.Smtp, *args: Any) -> Any:
        return await steps.around("mail", lambda: hand_over(self, *args))

    SafeHttp.send = mortal_send  # type: ignore[method-assign]  # in this process alone
    transports.Smtp.send = mortal_hand_over  # type: ignore[method-assign,assignment]  # same
    settings = Settings(port=orders.port, allow_private_urls=True, smtp_url=orders.smtp_url)
    return composition.build(settings, database, clock, Keyring([SECRET_KEY]))
