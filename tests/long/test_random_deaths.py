"""Whatever is killed, whenever: what was paid is fulfilled once, and every event is told.

A server and a worker share one database. Buyers buy and an agent delivers, while a process is killed every few seconds (SIGKILL).
Whoever is not answered asks again. In the end everything that must hold after a single death must hold.
"""

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from crash import checks
from long.fair import Fair, Victim, beside, open_fair, passed
from purvey.server.kit.database import Database
from purvey.server.kit.embedded import attach
from running import open_folder, purvey, until

TEN_MINUTES = 600.0
BUYERS = 6
LONGEST = 3600
"""Seconds after which a run at the full scale hangs."""
RUNS: list[list[Victim]] = [["api", "worker"], ["api", "worker", "database"]]
"""Who is killed in each run; they share the time."""
LISTINGS = [
    {"name": "Kit", "price": 900, "deliverables": [{"type": "text", "value": "the goods"}]},
    {"name": "Gift", "price": 0, "deliverables": [{"type": "url", "value": "https://example.com/gift"}]},
    {"name": "Reading", "price": 500, "content_type": "generated"},
    {"name": "Parcel", "price": 700, "content_type": "webhook"},
]
LEFT = "SELECT kind, attempt, claims FROM jobs WHERE due_at < now() + interval '1 hour'"
"""The jobs that are still to be done; whether a promised hour is kept is looked at only when it comes."""

IN_THE_END = {
    **checks.INVARIANTS,
    "no job is left": f"SELECT NOT EXISTS ({LEFT})",
    "the agent delivered everything": "SELECT NOT EXISTS (SELECT FROM orders WHERE status = 'processing')",
    "every delivery arrived": "SELECT NOT EXISTS (SELECT FROM deliveries WHERE status <> 'delivered')",
    "every mail arrived, once": """
        SELECT NOT EXISTS (SELECT FROM messages FULL JOIN mailbox ON message_id = id WHERE message_id IS NULL OR id IS NULL)""",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


@pytest.mark.timeout(LONGEST)
@pytest.mark.parametrize("victims", RUNS, ids=" and ".join)
async def test_nothing_is_lost_or_done_twice_when_processes_die(
    victims: list[Victim], folder: Path, seed: int, scale: float, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_fair(folder, seed) as fair:
        listings = await open_shop(fair)
        buyers = [partial(fair.buy, listings) for _ in range(BUYERS)]
        async with beside(fair.follow, fair.deliver):
            async with beside(*buyers, partial(fair.kill_at_random, victims)) as busy:
                await passed(scale * TEN_MINUTES / len(RUNS))
                await until(lambda: len(fair.kills) == len(victims), "each of them was killed")
                fair.over.set()
                await asyncio.gather(*busy)
            await everything_is_done(fair)
        await hold(fair)
    with capsys.disabled():
        sys.stdout.write(f" killed: {fair.kills}; bought: {len(fair.bought)}; events: {len(fair.read)} ")


async def open_shop(fair: Fair) -> list[str]:
    """Make a seller and put everything on sale; return the listings."""
    made = await purvey(
        *("accounts", "create", "--email", "seller@example.com", "--name", "The Shop", "--json"),
        "--data",
        str(fair.data),
    )
    assert made.status == 0, made.errors
    fair.key = made.output.split('"api_key": "')[1].split('"')[0]
    return [await put_on_sale(fair, told) for told in LISTINGS]


async def put_on_sale(fair: Fair, told: dict[str, object]) -> str:
    """Make a listing whose webhooks go to the seller, and publish it."""
    body = {**told, "agent_callback_url": fair.hook_url}
    listing_id = str((await fair.insist("POST", "/v1/listings", key=True, body=body)).json["id"])
    await fair.insist("POST", f"/v1/listings/{listing_id}/publish", key=True)
    return listing_id


async def everything_is_done(fair: Fair) -> None:
    """Wait until no work is left but what waits for its hour, and the log has been read to its end."""
    database = await Database.open(attach(fair.data), connections=1)
    left: list[object] = []

    async def is_done() -> bool:
        left[:] = await database.rows(f"{LEFT} LIMIT 20")
        return (
            not left
            and len(fair.read) == await database.value("SELECT count(*) FROM events")
            and fair.to_deliver.empty()
        )

    try:
        await until(is_done, "all jobs are done, and all events are read")
    except BaseException as error:
        error.add_note(f"left: {left}; events read: {len(fair.read)}; orders to deliver: {fair.to_deliver.qsize()}")
        raise
    finally:
        await database.close()


async def hold(fair: Fair) -> None:
    """Hold the world to what was promised."""
    database = await Database.open(attach(fair.data), connections=1)
    try:
        assert await checks.broken(database, IN_THE_END) == []
        paid = await database.value(
            "SELECT count(*) FROM checkouts WHERE id = ANY($1) AND status = 'paid'", fair.bought
        )
        assert paid == len(fair.bought) > BUYERS
        told = await database.rows("SELECT DISTINCT event_id FROM deliveries")
        assert {row["event_id"] for row in told} == fair.heard
    finally:
        await database.close()
