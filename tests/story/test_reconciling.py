"""Catching up: through deaths of the receiver and of the server, each event is handled once and in order."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from purvey import AsyncPurvey
from purvey.server.demo.processes import free_port
from running import Process, Serve, open_folder, process, serving, until
from story.reconciling_receiver import Book

SETTINGS = {"PURVEY_RATE_LIMITS": "off"}
TESTS = Path(__file__).parent.parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


async def buy(server: Serve, listing_id: str, times: int) -> None:
    """Buy, each time with two events, until the server is gone."""
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        for _ in range(times):
            body = {"listing_id": listing_id, "buyer_email": "ada@example.com", "checkout_data": {}}
            assert (await server.ask("POST", "/v1/checkouts", body=body)).status == 201


@contextlib.asynccontextmanager
async def receiving(folder: Path, settings: Mapping[str, str], dies_at: int = 0) -> AsyncIterator[Process]:
    """Run the receiver."""
    command = (sys.executable, "-m", "story.reconciling_receiver", str(folder), str(dies_at))
    async with process(*command, log=folder / "receiver.log", settings=settings) as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def beside(doing: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do something as long as the context lasts."""
    task = asyncio.create_task(doing)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def keep_receiving(folder: Path, settings: Mapping[str, str]) -> None:
    """Run the receiver, and start it again whenever it ends, as whatever looks after programs does."""
    while True:
        async with receiving(folder, settings) as receiver:
            await receiver.child.wait()


async def test_ev_10_each_event_is_handled_once_through_an_outage_of_the_receiver_and_a_kill_9_of_the_server(
    folder: Path,
) -> None:
    data, port = folder / "data", free_port()
    followed: list[int] = []
    book = Book(folder)
    async with contextlib.AsyncExitStack() as background:
        async with serving(data, settings=SETTINGS, port=port) as server:
            key = (await server.account())["api_key"]
            listing = await server.list_kit(key, price=0)
            told = {"PURVEY_API_KEY": key, "PURVEY_API_URL": server.url, "PYTHONPATH": str(TESTS)}
            client = await background.enter_async_context(AsyncPurvey(key, server.url))

            async def follow() -> None:
                async for event in client.events.follow():
                    followed.append(event.sequence)  # noqa: PERF401  # it never ends

            following = await background.enter_async_context(beside(follow()))
            await buy(server, listing["id"], 2)
            async with receiving(folder, told, dies_at=3) as receiver:
                assert await receiver.child.wait() == -signal.SIGKILL
            assert book.sequences("handled") == [1, 2, 3]
            await buy(server, listing["id"], 1)

            await background.enter_async_context(beside(keep_receiving(folder, told)))
            await until(lambda: len(book.sequences("handled")) >= 6, "the receiver has caught up")
            assert book.sequences("again") == [3]
            buying = asyncio.create_task(buy(server, listing["id"], 1000))
            await until(lambda: len(book.sequences("handled")) > 10, "the receiver handles what comes")
            assert await server.end(signal.SIGKILL) == -signal.SIGKILL
            await buying
            server.log.unlink()
        async with serving(data, settings=SETTINGS, port=port) as server:
            await buy(server, listing["id"], 2)
            [last] = (await client.events.list(order="desc", limit=1)).data
            assert last.sequence > 14
            await until(lambda: len(book.sequences("handled")) >= last.sequence, "the receiver has caught up")
            await until(lambda: len(followed) >= last.sequence, "the follower has gone on")
            # An order that the death cut short may be made a while later.
            for seen in (book.sequences("handled"), followed):
                assert seen == list(range(1, len(seen) + 1))
            assert book.sequences("again") == [3]
            assert not following.done()
            await server.end()
