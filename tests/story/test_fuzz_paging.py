"""Lists read page by page, in pages of any size, while they grow: nothing is missing, nothing comes twice, and the order holds."""

import random
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from fakes import FakeClock
from market import expect
from served import Shop

FREE = {"name": "Kit", "price": 0, "content_type": "generated", "agent_callback_url": "http://127.0.0.1:1/hook"}


class Growing:
    """A shop whose lists grow: one more listing, order, event and delivery at a time, some of them at the same instant."""

    def __init__(self, shop: Shop, clock: FakeClock, chance: random.Random) -> None:
        self.shop, self.clock, self.chance = shop, clock, chance
        self.listing: dict[str, Any] = {}

    async def open(self) -> None:
        self.listing = expect(await self.shop.post("/v1/listings", json=FREE), 201)
        expect(await self.shop.post(f"/v1/listings/{self.listing['id']}/publish"), 200)
        for _ in range(self.chance.randint(8, 14)):
            await self.grow()

    async def grow(self) -> None:
        self.clock.advance(milliseconds=self.chance.choice([0, 0, 1, 1000]))
        expect(await self.shop.post("/v1/listings", json={"name": "Draft", "price": 1}), 201)
        bought = {"listing_id": self.listing["id"], "buyer_email": "ada@example.com"}
        expect(await self.shop.post("/v1/checkouts", json=bought, key=None), 201)

    @property
    def lists(self) -> list[str]:
        return [
            "/v1/listings?",
            "/v1/orders?",
            f"/v1/webhooks/{self.listing['callback_endpoint_id']}/deliveries?",
            "/v1/events?",
            "/v1/events?order=desc",
        ]

    async def page(self, path: str, limit: int, cursor: str | None) -> Any:
        more = f"&cursor={quote(cursor)}" if cursor else ""
        return expect(await self.shop.get(f"{path}&limit={limit}{more}"), 200)


def instant(entry: Any) -> datetime:
    """Return when an entry of a list was made."""
    return datetime.fromisoformat(entry["created_at"])


@pytest.mark.parametrize("seed", range(3))
async def test_every_entry_comes_once_and_in_order_while_the_list_grows(
    shop: Shop, clock: FakeClock, seed: int
) -> None:
    growing = Growing(shop, clock, random.Random(seed))  # noqa: S311  # must repeat
    await growing.open()
    for path in growing.lists:
        before = [one["id"] for one in (await growing.page(path, 100, None))["data"]]
        seen, cursor, more = [], None, True
        while more:
            page = await growing.page(path, growing.chance.randint(1, 5), cursor)
            seen += page["data"]
            cursor, more = page["cursor"], page["has_more"]
            if growing.chance.random() < 0.5 and len(seen) < 20:
                await growing.grow()
        ids = [one["id"] for one in seen]
        assert len(set(ids)) == len(ids)
        # What came meanwhile may be there too: it may have the time of what was there, and stand after it.
        assert [one for one in ids if one in before] == before
        if path == "/v1/events?":
            assert [one["sequence"] for one in seen] == list(range(1, len(seen) + 1))


async def test_a_cursor_of_one_list_is_read_rightly_by_another_or_refused_by_name(shop: Shop, clock: FakeClock) -> None:
    growing = Growing(shop, clock, random.Random(7))  # noqa: S311  # must repeat
    await growing.open()
    for source in growing.lists:
        first = await growing.page(source, 3, None)
        for path in growing.lists:
            reply = await shop.get(f"{path}&limit=100&cursor={quote(first['cursor'])}")
            if reply.status == 200:
                last, times = instant(first["data"][-1]), [instant(one) for one in reply.json["data"]]
                assert all(at >= last if path == "/v1/events?" else at <= last for at in times)
            else:
                assert reply.status in {404, 422}
                assert reply.json["param"] == "cursor"
