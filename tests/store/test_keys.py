"""Licence keys: each order has one of its own, whatever comes together, and each key is available, held or sold."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from fakes import FakeClock
from makers import make_account, make_payment, make_tools, start_checkout
from purvey.server.accounts import actions as accounts
from purvey.server.checkout.model import Checkout
from purvey.server.checkout.rules import OPEN_FOR
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import Idempotency
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import ListingChanges, NewListing
from purvey.server.orders.wire import DeliverableFacts
from purvey.server.payments.model import Accepted
from purvey.server.stock import actions as stock
from purvey.server.stock import store

POOL = DeliverableIn(type="text", key_pool=True)
TEXT = DeliverableIn(type="text", value="how to install it")


ORDERS = """
SELECT o.status, array_agg(d.value ORDER BY d.value) FILTER (WHERE d.id IS NOT NULL) AS values,
       (SELECT count(*) FROM events e WHERE e.order_id = o.id) AS events,
       (SELECT count(*) FROM grants g WHERE g.order_id = o.id) AS grants
FROM orders o LEFT JOIN deliverables d ON d.account_id = o.account_id AND d.id = ANY (o.deliverables)
WHERE o.account_id = $1 GROUP BY o.account_id, o.id
"""


class Pool:
    """A listing with licence keys and a text beside them; `rivals` are two processes that take payments."""

    def __init__(self, database: Database, account_id: str, listing: Any) -> None:
        self.clock = FakeClock()
        self.tools = make_tools(database, self.clock)
        self.account_id, self.listing_id = account_id, listing.id
        self.content = tuple(DeliverableFacts(one.id, one.type, one.key_pool) for one in listing.deliverables)
        self.rivals = [Fulfillment(self.tools, Idempotency(self.tools), lambda: None) for _ in range(2)]

    async def upload(self, *keys: str) -> int:
        """Add keys; return how many were new."""
        return (await stock.upload(self.tools, self.account_id, self.listing_id, keys)).added

    async def start(self) -> Checkout | None:
        """Start a checkout, unless it is sold out."""
        now = self.clock.now()
        told = {"listing_id": self.listing_id, "deliverables": self.content, "limited": True}
        return await start_checkout(self.tools, self.account_id, created_at=now, expires_at=now + OPEN_FOR, **told)

    async def pay(self, checkout: Checkout) -> None:
        """Have both rivals hear of the payment; its order is always made, once."""
        verdicts = await asyncio.gather(*[rival.paid(make_payment(checkout)) for rival in self.rivals])
        assert all(isinstance(verdict, Accepted) for verdict in verdicts), verdicts

    async def give_back(self) -> None:
        await store.give_back(self.tools.database, self.account_id, self.listing_id, self.clock.now())

    async def restock(self) -> None:
        """Do what the job does at this moment, in both processes."""
        await asyncio.gather(*[rival.restock(self.account_id, self.listing_id) for rival in self.rivals])

    async def counts(self) -> tuple[int, int, int]:
        """Return how many keys are available, held and sold, and see that these are all."""
        pool = await stock.count(self.tools, self.account_id, self.listing_id)
        assert pool.available + pool.held + pool.sold == pool.total
        return pool.available, pool.held, pool.sold

    async def orders(self) -> Counter[str]:
        """Return how many orders there are in which status, and see that each that is fulfilled has all that was bought."""
        rows = await self.tools.database.rows(ORDERS, self.account_id)
        for row in rows:
            done = row["status"] == "fulfilled"
            assert len(row["values"] or ()) == (2 if done else 0), row
            assert (row["events"], row["grants"]) == ((2, 1) if done else (1, 0)), row
        given = [value for row in rows for value in row["values"] or () if value != TEXT.value]
        assert len(given) == len(set(given)), "two orders have the same key"
        return Counter(row["status"] for row in rows)


async def open_pool(database: Database, *keys: str, **fields: Any) -> Pool:
    """Put a listing on sale that gives each order one of these keys."""
    tools = make_tools(database)
    account = await accounts.get_account(tools, await make_account(tools))
    made = await listings.create(tools, account, NewListing(name="Kit", price=500, deliverables=[POOL, TEXT], **fields))
    pool = Pool(database, account.id, made)
    await pool.upload(*keys)
    await listings.publish(tools, account.id, made.id)
    return pool


async def test_each_order_has_the_key_that_its_checkout_held(database: Database) -> None:
    pool = await open_pool(database, "K1", "K2", "K3")
    started = [one for _ in range(3) if (one := await pool.start())]
    assert (await pool.counts(), await pool.start()) == ((0, 3, 0), None)
    await asyncio.gather(*[pool.pay(one) for one in started])
    assert (await pool.counts(), await pool.orders()) == ((0, 0, 3), {"fulfilled": 3})
    rows = await pool.tools.database.rows("SELECT value FROM deliverables WHERE order_id IS NOT NULL ORDER BY value")
    assert [row["value"] for row in rows] == ["K1", "K2", "K3"]
    bodies = await pool.tools.database.rows("SELECT body FROM events")
    assert not any(f'"{key}"' in row["body"] for row in bodies for key in ("K1", "K2", "K3"))


async def test_of_fifty_at_once_as_many_start_as_there_are_keys(database: Database) -> None:
    pool = await open_pool(database, *[f"K{n}" for n in range(7)])
    started = await asyncio.gather(*[pool.start() for _ in range(50)])
    assert (len([one for one in started if one]), await pool.counts()) == (7, (0, 7, 0))


async def test_of_stock_and_keys_the_lesser_counts(database: Database) -> None:
    pool = await open_pool(database, "K1", "K2", "K3", stock=2)
    assert [bool(await pool.start()) for _ in range(3)] == [True, True, False]
    assert await pool.counts() == (1, 2, 0)
    pool.clock.advance(minutes=30)
    await pool.give_back()
    assert await pool.counts() == (3, 0, 0)
    assert await pool.tools.database.value("SELECT stock FROM listings") == 2
    await listings.change(pool.tools, pool.account_id, pool.listing_id, ListingChanges(stock=9))
    assert [bool(await pool.start()) for _ in range(4)] == [True, True, True, False]


async def test_who_pays_late_gets_another_key_or_waits_for_the_next(database: Database) -> None:
    pool = await open_pool(database, "K1", "K2", stock=2)
    late = [one for _ in range(2) if (one := await pool.start())]
    pool.clock.advance(minutes=31)
    await pool.give_back()
    quick = await pool.start()
    assert quick
    await pool.pay(quick)
    for one in late:
        await pool.pay(one)
    assert (await pool.counts(), await pool.orders()) == ((0, 0, 2), {"fulfilled": 2, "processing": 1})
    assert await pool.tools.database.value("SELECT stock FROM listings") == 0
    rows = await pool.tools.database.rows(
        "SELECT template, recipient FROM messages WHERE template <> 'ready' ORDER BY template"
    )
    assert [row["template"] for row in rows] == ["confirmation", "keys_missing"]
    assert [row["recipient"] for row in rows] == ["ada@example.com", "stella@example.com"]

    await pool.upload("K2", "K3", "K4")
    assert await pool.start() is None, "whoever has paid comes first"
    await pool.restock()
    assert (await pool.counts(), await pool.orders()) == ((1, 0, 3), {"fulfilled": 3})


async def test_the_oldest_order_is_given_the_first_key_and_a_refunded_one_none(database: Database) -> None:
    pool = await open_pool(database, "K0")
    started = []
    for _ in range(4):
        one = await pool.start()
        assert one
        started.append(one)
        pool.clock.advance(minutes=31)
        await pool.give_back()
    for one in started:
        await pool.pay(one)
        pool.clock.advance(seconds=1)
    assert await pool.orders() == {"fulfilled": 1, "processing": 3}
    await pool.tools.database.write(
        "UPDATE orders SET payment_status = 'refunded', refund_amount = amount, refunded_at = paid_at WHERE checkout_id = $1",
        started[1].id,
    )
    await pool.upload("K1")
    await pool.restock()
    assert await pool.orders() == {"fulfilled": 2, "processing": 2}
    statuses = {row["checkout_id"]: row["status"] for row in await pool.tools.database.rows("SELECT * FROM orders")}
    assert [statuses[one.id] for one in started] == ["fulfilled", "processing", "fulfilled", "processing"]


async def test_a_restock_gives_out_more_than_one_batch(database: Database) -> None:
    pool = await open_pool(database, *[f"K{n}" for n in range(70)])
    started = [one for one in await asyncio.gather(*[pool.start() for _ in range(70)]) if one]
    pool.clock.advance(minutes=31)
    await pool.give_back()
    await pool.tools.database.write("DELETE FROM pool_keys")
    await asyncio.gather(*[pool.pay(one) for one in started])
    assert await pool.orders() == {"processing": 70}
    assert await pool.upload(*[f"L{n}" for n in range(69)]) == 69
    await pool.restock()
    assert (await pool.orders(), await pool.counts()) == ({"fulfilled": 69, "processing": 1}, (0, 0, 69))


@pytest.mark.parametrize("seed", range(6))
async def test_no_key_is_given_twice_and_none_is_lost_whatever_comes_together(database: Database, seed: int) -> None:
    """Checkouts, payments in time and late ones, ends, uploads and restocks, several at one moment and in any order."""
    chance = random.Random(seed)  # noqa: S311  # of a test
    pool = await open_pool(database, *[f"K{n}" for n in range(6)], stock=chance.choice([None, 12]))
    open_ones: list[Checkout] = []
    uploaded, paid = 6, 0

    async def start() -> None:
        if one := await pool.start():
            open_ones.append(one)

    async def pay() -> None:
        nonlocal paid
        if open_ones:
            paid += 1
            await pool.pay(open_ones.pop(chance.randrange(len(open_ones))))

    async def upload() -> None:
        nonlocal uploaded
        uploaded += 1
        await pool.upload("K0", f"K{uploaded}")

    for _ in range(12):
        deeds = chance.choices([start, pay, pool.give_back, pool.restock, upload], weights=[6, 4, 1, 1, 1], k=8)
        await asyncio.gather(*[deed() for deed in deeds])
        pool.clock.advance(minutes=chance.choice([0, 1, 29, 31]))
        counts, orders = await pool.counts(), await pool.orders()
        assert sum(counts) == uploaded
        assert counts[2] == orders["fulfilled"]
        assert orders.total() == paid
    await asyncio.gather(*[pool.pay(one) for one in open_ones])
    pool.clock.advance(minutes=31)
    await pool.give_back()
    await pool.restock()
    (available, held, sold), orders = await pool.counts(), await pool.orders()
    assert held == 0
    assert not (available and orders["processing"]), "somebody waits though there is a key"
    assert sold == orders["fulfilled"] == min(uploaded, orders.total())


async def test_a_key_of_a_million_is_found_by_index(database: Database) -> None:
    """The plan of what is asked of the pool at each checkout, where most of it has been sold."""
    await database.write(
        "INSERT INTO pool_keys SELECT 'acc_x', 'lst_x', sha256(n::text::bytea), 'del_' || n, n::text,"
        " CASE WHEN n > 39000 THEN 'available' ELSE 'sold' END, CASE WHEN n <= 39000 THEN 'chk_' || n END, '2026-01-01Z', n"
        " FROM generate_series(1, 40000) n"
    )
    await database.write("ANALYZE pool_keys")
    plan = await database.rows(
        "EXPLAIN SELECT digest FROM pool_keys WHERE account_id = 'acc_x' AND listing_id = 'lst_x' AND status = 'available'"
        " ORDER BY uploaded_at, place LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    said = "\n".join(row[0] for row in plan)
    assert "pool_keys_available" in said, said
    assert "Sort" not in said, said
    waiting = await database.rows(
        "EXPLAIN SELECT FROM orders WHERE account_id = 'acc_x' AND listing_id = 'lst_x' AND content_type = 'static' AND status = "
        "'processing' AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost' ORDER BY paid_at, id LIMIT 64"
    )
    assert "orders_without_key" in "\n".join(row[0] for row in waiting), waiting
