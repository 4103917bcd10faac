"""`purvey serve` with several processes: one port, one database, and nobody's death is noticed for long."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from running import Serve, open_folder, processes_about, serving, until


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as opened:
        yield opened


@pytest.fixture
async def servers(folder: Path) -> AsyncIterator[Serve]:
    """A server of two processes that answer and one that works."""
    async with serving(folder / "data", "--processes", "2") as server:
        yield server


def children(server: Serve, command: str) -> list[psutil.Process]:
    """Return the living processes of one command that the server has started."""
    found = psutil.Process(server.child.pid).children()
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE and command in child.cmdline()]


async def buy(server: Serve) -> str:
    """Buy a new listing, and return where its buyer is sent."""
    listing = await server.list_kit((await server.account())["api_key"])
    wanted = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
    checkout = (await server.ask("POST", "/v1/checkouts", body=wanted)).json
    paid = await server.ask("POST", f"/sandbox/checkouts/{checkout['id']}/pay", body={"card": "4242424242424242"})
    assert paid.status == 200, paid.text
    back = await server.ask("GET", f"/checkout/{checkout['id']}/return")
    return back.headers["Location"]


async def test_several_processes_sell_and_mail_as_one_does(servers: Serve) -> None:
    assert (len(children(servers, "serve")), len(children(servers, "worker"))) == (2, 1)
    location = await buy(servers)
    assert "the goods" in (await servers.ask("GET", location)).text

    async def mailed() -> bool:
        return "ada@example.com" in (await servers.ask("GET", "/mailbox")).text

    await until(mailed, "the worker has mailed")
    page = (await servers.ask("GET", "/mailbox")).text
    message = page.partition('href="/mailbox/')[2].partition('"')[0]
    # The worker knows the port, which only the command line of the first process has named.
    assert f"{servers.url}/access/" in (await servers.ask("GET", f"/mailbox/{message}")).text


async def kill_one(server: Serve, command: str) -> None:
    """Kill a process, and wait until another one is in its place."""
    before = children(server, command)
    before[0].kill()
    await until(
        lambda: len(children(server, command)) == len(before) and not before[0].is_running(), "there is another one"
    )
    line = server.lines("process.died")[-1]
    assert (line["pid"], line["code"]) == (before[0].pid, -signal.SIGKILL)


async def test_whoever_is_killed_is_replaced(servers: Serve) -> None:
    for command in ("serve", "worker"):
        await kill_one(servers, command)
    assert "the goods" in (await servers.ask("GET", await buy(servers))).text


async def test_when_the_first_is_killed_none_is_left_behind(servers: Serve, folder: Path) -> None:
    started = [*children(servers, "serve"), *children(servers, "worker")]
    servers.child.kill()
    await until(lambda: not any(child.is_running() for child in started), "the others have stopped by themselves")
    async with serving(folder / "data") as again:
        assert (await again.ask("GET", "/readyz")).status == 200
        assert await again.end() == 0


async def test_all_stop_when_told(servers: Serve, folder: Path) -> None:
    assert await servers.end(signal.SIGINT) == 0
    assert processes_about(folder) == []
