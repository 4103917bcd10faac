"""Wake-ups: hints that there may be something to claim. A lost one costs at most one poll.

Workers of this process are woken at once, those of other processes by NOTIFY, which is sent after the commit, outside every
business transaction, and at most every 5 milliseconds: a NOTIFY inside a transaction makes all commits wait in one line.
"""

import asyncio
import contextlib
import secrets

import asyncpg
import structlog

from purvey.server.jobs import store
from purvey.server.kit.clock import Clock
from purvey.server.kit.database import LOST, Connection, Database
from purvey.server.kit.problem import Unavailable

log = structlog.get_logger()

NOTIFY_EVERY = 0.005
"""Seconds between two NOTIFYs of one process at least."""
LISTEN_AGAIN_AFTER = 1.0
"""Seconds until the next try to listen, after the connection was lost."""


class Wake:
    """The bell of one process: rung by `poke`, heard by whoever has subscribed, here and in the other processes.

    It takes a connection of the pool for as long as anybody is subscribed.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._origin = secrets.token_hex(8)
        self._subscribers: set[asyncio.Event] = set()
        self._unsent = False
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def poke(self) -> None:
        """Say that something may have been queued. To be called after the commit; returns at once, and never fails."""
        self._stir()
        self._unsent = True
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    def subscribe(self, event: asyncio.Event) -> None:
        """Have `event` set at every wake-up from now on."""
        self._subscribers.add(event)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Leave `event` alone from now on."""
        self._subscribers.discard(event)

    async def close(self) -> None:
        """Stop listening and sending, and give the connection back."""
        tasks = [task for task in (self._sender, self._listener) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stir(self) -> None:
        for event in self._subscribers:
            event.set()

    async def _send(self) -> None:
        while self._unsent:
            self._unsent = False
            # The others poll, should the database be away.
            with contextlib.suppress(Unavailable):
                await store.notify(self._database, self._origin)
            await self._clock.sleep(NOTIFY_EVERY)

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (*LOST, TimeoutError) as error:
                log.warning("jobs.deaf", error=type(error).__name__, reason=str(error))
            except asyncpg.PostgresError as error:
                log.error("jobs.deaf", error=type(error).__name__, reason=str(error))  # noqa: TRY400  # no fault of ours
            await self._clock.sleep(LISTEN_AGAIN_AFTER)

    async def _listen_once(self) -> None:
        """Listen until the connection is lost."""
        async with self._database.pool.acquire(timeout=10) as connection:
            lost = asyncio.Event()

            def gone(_connection: Connection) -> None:
                lost.set()

            connection.add_termination_listener(gone)
            try:
                await connection.add_listener(store.CHANNEL, self._heard)
                self._stir()
                await lost.wait()
            finally:
                # Refused when the connection is gone, and then not needed.
                with contextlib.suppress(asyncpg.InterfaceError):
                    connection.remove_termination_listener(gone)
                    await connection.remove_listener(store.CHANNEL, self._heard)

    def _heard(self, _connection: Connection, _pid: int, _channel: str, origin: object) -> None:
        if origin != self._origin:
            self._stir()
