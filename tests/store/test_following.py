"""What waits for an endpoint follows its changes: some at once, the rest bit by bit, and no order waits for that."""

from collections import Counter
from datetime import timedelta

import pytest

from fakes import START
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.webhooks import store
from queueing import claim
from telling import ACCOUNT, append, deliveries, set_callback

URL, OTHER_URL = "https://seller.example/hooks", "https://seller.example/new"
KEYRING = Keyring(["k" * 32])
LATER = START + timedelta(hours=1)
MANY = 620
"""More than follow at once."""


@pytest.fixture
async def many(database: Database) -> Database:
    """An endpoint for which much waits."""
    await set_callback(database, KEYRING, URL)
    await append(database, *(f"evt_{n:04}" for n in range(MANY)))
    return database


async def counted(database: Database) -> Counter[str]:
    return Counter(str(row["status"]) for row in await deliveries(database))


async def left_to_do(database: Database) -> list[str]:
    """Return what is queued to go on."""
    rows = await database.rows("SELECT ref FROM jobs WHERE kind = 'webhooks.follow' ORDER BY created_at, ref")
    return [row["ref"] for row in rows]


async def disable(database: Database) -> None:
    await database.write("SELECT webhooks_disable($1, 'whk_lst_1', 'by_seller', NULL, $2)", ACCOUNT, START)


async def enable(database: Database) -> None:
    await database.write("SELECT webhooks_enable($1, 'whk_lst_1', $2)", ACCOUNT, LATER)


async def follow(database: Database, lane: str | None = None, most: int = 500) -> bool:
    return await store.follow(database, ACCOUNT, "whk_lst_1", lane, most, LATER)


async def test_much_is_parked_and_resumed_some_at_once_and_the_rest_bit_by_bit(many: Database) -> None:
    being_sent = await claim(many, wants={"webhook": 10})
    await disable(many)
    assert 500 - len(being_sent) <= (await counted(many))["parked"] <= 500
    assert await left_to_do(many) == ["whk_lst_1"]
    while await follow(many, most=50):
        pass
    # What is in a worker's hands parks itself when it is tried again.
    assert await counted(many) == {"parked": MANY - len(being_sent), "waiting": len(being_sent)}

    await enable(many)
    assert (await counted(many))["parked"] == MANY - len(being_sent) - 500
    assert await follow(many, most=50)
    await disable(many)
    await enable(many)
    while await follow(many):
        pass
    assert await counted(many) == {"waiting": MANY}
    jobs = await many.rows("SELECT id FROM jobs WHERE kind = 'webhooks.deliver'")
    assert {row["id"] for row in jobs} == {row["job_id"] for row in await deliveries(many)}


async def test_much_goes_to_another_url_bit_by_bit(many: Database) -> None:
    lanes = "SELECT lane_id, count(*)::int AS jobs FROM jobs WHERE kind = 'webhooks.deliver' GROUP BY lane_id"
    [[before, _]] = await many.rows(lanes)
    await set_callback(many, KEYRING, OTHER_URL)
    [[after]] = await many.rows("SELECT lane_id FROM endpoints")
    assert {row["lane_id"]: row["jobs"] for row in await many.rows(lanes)} == {before: MANY - 500, after: 500}
    assert await left_to_do(many) == [f"whk_lst_1 {before}"]
    assert not await follow(many, before)
    assert {row["lane_id"]: row["jobs"] for row in await many.rows(lanes)} == {after: MANY}
    assert not await follow(many, after)


async def test_nobody_who_tells_of_an_event_waits_for_what_follows(many: Database) -> None:
    await disable(many)
    async with many.transaction() as following:
        await following.execute("SELECT webhooks_follow($1, 'whk_lst_1', NULL, 500, $2)", ACCOUNT, LATER)
        await append(many, "evt_meanwhile")
    assert (await counted(many))["parked"] == MANY + 1
