"""What is left of a listing: taken with the checkout, given back when its time is over, and never given back once it was paid."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from fakes import FakeClock
from makers import make_account, make_payment, make_tools, start_checkout
from purvey.server.accounts import actions as accounts
from purvey.server.checkout.model import Checkout
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import Idempotency
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import ListingChanges, NewListing
from purvey.server.payments.model import Accepted
from purvey.server.stock import store

HELD_FOR = timedelta(minutes=30)


class Stand:
    """A listing with stock, and everything that may happen to it, without any server."""

    def __init__(self, database: Database, account_id: str, listing_id: str) -> None:
        self.clock = FakeClock()
        self.tools = make_tools(database, self.clock)
        self.account_id, self.listing_id = account_id, listing_id
        self.fulfillment = Fulfillment(self.tools, Idempotency(self.tools), lambda: None)

    async def start(self) -> Checkout | None:
        """Start a checkout, unless it is sold out."""
        return await start_checkout(
            self.tools,
            self.account_id,
            listing_id=self.listing_id,
            limited=True,
            created_at=self.clock.now(),
            expires_at=self.clock.now() + HELD_FOR,
        )

    async def pay(self, checkout: Checkout) -> None:
        """Have the checkout paid; its order is always made."""
        assert isinstance(await self.fulfillment.paid(make_payment(checkout)), Accepted)

    async def give_back(self) -> None:
        """Do what the job does at this moment."""
        await store.give_back(self.tools.database, self.account_id, self.listing_id, self.clock.now())

    async def stock(self) -> int | None:
        """Return what is left for sale."""
        left: int | None = await self.tools.database.value("SELECT stock FROM listings WHERE id = $1", self.listing_id)
        return left

    async def count(self, table: str) -> int:
        """Return how many rows of the listing there are."""
        return int(
            await self.tools.database.value(f"SELECT count(*) FROM {table} WHERE listing_id = $1", self.listing_id)
        )


@pytest.fixture
async def stand(database: Database) -> Stand:
    return await open_stand(database)


async def open_stand(database: Database, stock: int = 5) -> Stand:
    """Put so many up for sale."""
    tools = make_tools(database)
    account_id = await make_account(tools)
    account = await accounts.get_account(tools, account_id)
    goods = DeliverableIn(type="text", value="the goods")
    made = await listings.create(tools, account, NewListing(name="Kit", price=500, stock=stock, deliverables=[goods]))
    await listings.publish(tools, account_id, made.id)
    return Stand(database, account_id, made.id)


async def test_a_checkout_takes_one_and_gives_it_back_at_its_end(stand: Stand) -> None:
    first, second = await stand.start(), await stand.start()
    assert first
    assert second
    assert (await stand.stock(), await stand.count("holds")) == (3, 2)
    stand.clock.advance(seconds=HELD_FOR.total_seconds() - 1)
    await stand.give_back()
    assert (await stand.stock(), await stand.count("holds")) == (3, 2)
    await stand.pay(first)
    stand.clock.advance(seconds=1)
    await asyncio.gather(stand.give_back(), stand.give_back())
    assert (await stand.stock(), await stand.count("holds")) == (4, 0)


async def test_of_fifty_at_once_as_many_get_one_as_there_are(stand: Stand) -> None:
    started = await asyncio.gather(*[stand.start() for _ in range(50)])
    assert len([one for one in started if one]) == 5
    assert (await stand.stock(), await stand.count("checkouts"), await stand.count("holds")) == (0, 5, 5)


async def test_a_payment_after_the_end_takes_what_is_left_and_else_makes_its_order_all_the_same(stand: Stand) -> None:
    late = [await stand.start() for _ in range(2)]
    stand.clock.advance(minutes=31)
    await stand.give_back()
    rest = [await stand.start() for _ in range(4)]
    assert await stand.stock() == 1
    await asyncio.gather(*[stand.pay(one) for one in late if one])
    assert await stand.stock() == 0
    await asyncio.gather(*[stand.pay(one) for one in rest if one])
    assert (await stand.stock(), await stand.count("holds"), await stand.count("orders")) == (0, 0, 6)


async def test_a_payment_and_the_end_at_one_moment_count_it_once(database: Database) -> None:
    stand = await open_stand(database, stock=40)
    started = [one for _ in range(40) if (one := await stand.start())]
    stand.clock.advance(minutes=30)
    await asyncio.gather(*[stand.pay(one) for one in started[::2]], *[stand.give_back() for _ in range(5)])
    await stand.give_back()
    assert (await stand.stock(), await stand.count("holds"), await stand.count("orders")) == (20, 0, 20)


async def test_what_the_seller_sets_is_for_sale_beside_what_is_held(stand: Stand) -> None:
    async def change(stock: int | None) -> None:
        await listings.change(stand.tools, stand.account_id, stand.listing_id, ListingChanges(stock=stock))

    first, _ = await stand.start(), await stand.start()
    await change(0)
    assert first
    assert await stand.start() is None
    await stand.pay(first)
    stand.clock.advance(minutes=30)
    await stand.give_back()
    assert await stand.stock() == 1
    third = await stand.start()
    await change(None)
    fourth = await stand.start()
    assert third
    assert fourth
    stand.clock.advance(minutes=30)
    await stand.give_back()
    assert (await stand.stock(), await stand.count("holds")) == (None, 0)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_and_nothing_sold_twice_whatever_comes_together(database: Database, seed: int) -> None:
    """What is left, what is held and what was sold from the stock make up what there was."""
    chance = random.Random(seed)  # noqa: S311  # of a test
    stand = await open_stand(database, stock=8)
    waiting: list[Checkout] = []

    async def start() -> None:
        if one := await stand.start():
            waiting.append(one)

    async def pay() -> None:
        if waiting:
            await stand.pay(waiting.pop(chance.randrange(len(waiting))))

    for _ in range(12):
        deeds = chance.choices([start, pay, stand.give_back], weights=[5, 2, 1], k=8)
        await asyncio.gather(*[deed() for deed in deeds])
        stand.clock.advance(minutes=chance.choice([0, 1, 29, 31]))
        left, held, orders = await stand.stock(), await stand.count("holds"), await stand.count("orders")
        assert left is not None
        assert left + held <= 8
        assert left + held + orders >= 8
    await asyncio.gather(*[stand.pay(one) for one in waiting])
    stand.clock.advance(minutes=31)
    await stand.give_back()
    assert await stand.count("holds") == 0


async def test_giving_back_looks_at_what_is_held_alone(stand: Stand) -> None:
    checkout = await stand.start()
    assert checkout
    await stand.tools.database.write(
        "INSERT INTO holds SELECT 'chk_' || n, 'acc_x', 'lst_x', 1, $1 FROM generate_series(1, 20000) n",
        stand.clock.now(),
    )
    await stand.tools.database.write("ANALYZE holds")
    plan: list[Any] = await stand.tools.database.rows(
        "EXPLAIN SELECT FROM holds WHERE account_id = 'acc_y' AND listing_id = 'lst_y' AND until <= now()"
    )
    assert any("holds_until" in row[0] for row in plan), plan
