"""A running shop in a thread of its own: for tests that are not asynchronous, and for tests that share one server."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog.testing

from conftest import NewDatabase
from fakes import FakeClock
from market import PATIENCE, running_shop
from purvey.server.app import App
from purvey.server.kit.database import Database
from served import Shop

T = TypeVar("T")


@dataclass(frozen=True)
class ThreadedShop:
    """A shop with its built-in mailbox and without a worker: nothing that is queued gets done, nothing is sent, nobody waits.

    Its log is kept in `logged`, and not printed.
    """

    shop: Shop
    app: App
    loop: asyncio.AbstractEventLoop
    logged: list[Any]

    @property
    def url(self) -> str:
        return self.shop.url

    def run(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do something in the shop's thread, and wait for what comes of it."""

        async def act() -> T:
            return await action()

        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(PATIENCE)


@contextlib.contextmanager
def threaded_shop(new_database: NewDatabase) -> Iterator[ThreadedShop]:
    """Open a shop on a database of its own, in a thread; both end with the context."""
    opened: Future[ThreadedShop] = Future()
    over: Future[None] = Future()

    async def serve() -> None:
        async with new_database() as url:
            database = await Database.open(url)
            try:
                async with running_shop(database, FakeClock(), rate_limits="off") as (shop, app):
                    app.watch.stop()
                    opened.set_result(ThreadedShop(shop, app, asyncio.get_running_loop(), logged))
                    await asyncio.wrap_future(over)
            finally:
                await database.close()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    with structlog.testing.capture_logs() as logged:
        thread = threading.Thread(target=work, name="shop")
        thread.start()
        try:
            yield opened.result(PATIENCE)
        finally:
            over.set_result(None)
            thread.join(PATIENCE)
