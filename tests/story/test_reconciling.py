"""Catching up (EV-10, EV-11): through an outage of the receiver and a death of the server, nothing is missed or doubled."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from purvey import AsyncPurvey, Purvey
from purvey.client.objects import Event
from purvey.server.demo.processes import free_port
from running import Serve, open_folder, serving, until
from story import seed_reconciling

SETTINGS = {"PURVEY_RATE_LIMITS": "off"}


class NothingLeftError(Exception):
    """The loop has nothing to do for now."""


class OutageError(Exception):
    """The receiver dies."""


class Receiver:
    """What handles events, on a machine that keeps one file: it dies before it handles its n-th event."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.handled: list[int] = []
        self.dies_at = 0

    def load_cursor(self) -> str | None:
        return self.file.read_text() if self.file.exists() else None

    def save_cursor(self, cursor: str) -> None:
        self.file.write_text(cursor)

    def handle(self, event: Event) -> None:
        if len(self.handled) + 1 == self.dies_at:
            raise OutageError
        self.handled.append(event.sequence)

    def sleep(self, seconds: float) -> None:
        assert seconds == 30
        raise NothingLeftError

    def run(self, client: Purvey) -> None:
        """Run the loop as it is written until it has nothing to do, or dies."""
        seed_reconciling.run(client, self, self.load_cursor, self.save_cursor, self.handle)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


async def buy(server: Serve, listing_id: str, times: int) -> None:
    for _ in range(times):
        body = {"listing_id": listing_id, "buyer_email": "ada@example.com", "checkout_data": {}}
        assert (await server.ask("POST", "/v1/checkouts", body=body)).status == 201


async def test_ev_10_and_ev_11_each_event_is_handled_once_through_outages_and_a_kill_9(folder: Path) -> None:
    data, port = folder / "data", free_port()
    receiver = Receiver(folder / "cursor")
    followed: list[int] = []
    async with serving(data, settings=SETTINGS, port=port) as server:
        key = (await server.account())["api_key"]
        listing = await server.list_kit(key, price=0)
        client, following_client = Purvey(key, server.url), AsyncPurvey(key, server.url)

        async def follow() -> None:
            async for event in following_client.events.follow():
                followed.append(event.sequence)  # noqa: PERF401  # it never ends

        following = asyncio.create_task(follow())
        await buy(server, listing["id"], 3)
        receiver.dies_at = 4
        with pytest.raises(OutageError):
            await asyncio.to_thread(receiver.run, client)
        assert receiver.handled == [1, 2, 3]
        receiver.dies_at = 0
        await buy(server, listing["id"], 1)
        with pytest.raises(NothingLeftError):
            await asyncio.to_thread(receiver.run, client)
        await until(lambda: len(followed) == 8, "the follower has seen what there is")
        await server.end(signal.SIGKILL)
        server.log.unlink()
    catching_up = asyncio.create_task(asyncio.to_thread(receiver.run, client))
    async with serving(data, settings=SETTINGS, port=port) as server:
        await buy(server, listing["id"], 2)
        with pytest.raises(Exception):  # noqa: B017, PT011  # what the loop met while the server was away, or its end
            await catching_up
        with pytest.raises(NothingLeftError):
            await asyncio.to_thread(receiver.run, client)
        await until(lambda: len(followed) == 12, "the follower has gone on after the restart")
        assert receiver.handled == followed == list(range(1, 13))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await following_client.close()
        client.close()
        await server.end()
