"""Stripe's notices at their worst: racing the buyer's return again and again, and in a storm while the database goes away."""

import asyncio

from fakes import FakeClock
from market import Market, open_market
from purvey.server.kit.database import Database, connect_once
from served import Shop
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, WEBHOOK_SECRET, Stripe, open_stripe

RACES = 1000
STORM = 2000
AT_ONCE = 50
"""Requests under way at once, here and at Stripe."""


async def sold(market: Market, stripe: Stripe, number: int) -> list[Object]:
    """Start and pay this many checkouts, and return their sessions; no notice has been sent."""
    listing = await market.listing()
    room = asyncio.Semaphore(AT_ONCE)

    async def begin() -> None:
        async with room:
            await market.checkout(listing)

    await asyncio.gather(*[begin() for _ in range(number)])
    sessions = stripe.books.all_of(PLATFORM, "checkout.session")
    for session in sessions:
        stripe.books.pay(session["id"])
    return sessions


async def test_the_return_and_the_notice_race_for_one_order(database: Database, clock: FakeClock, scale: float) -> None:
    number = max(20, int(RACES * scale))
    async with (
        open_stripe(lambda: int(clock.now().timestamp())) as stripe,
        open_market(database, clock, stripe, rate_limits="off") as market,
    ):
        await sold(market, stripe, number)
        room = asyncio.Semaphore(AT_ONCE)

        async def race(event: Object) -> None:
            checkout = event["data"]["object"]["client_reference_id"]
            async with room:
                back, told = await asyncio.gather(
                    market.shop.get(f"/checkout/{checkout}/return", key=None), stripe.send(event)
                )
            assert (back.status, told) == (303, [200])

        await asyncio.gather(*[race(event) for event in stripe.events])
        counts = "SELECT count(*), count(DISTINCT checkout_id), count(DISTINCT payment_reference) FROM orders"
        row = await database.row(counts)
        assert row is not None
        assert tuple(row) == (number,) * 3
        assert await database.value("SELECT count(*) FROM events WHERE type = 'order.paid'") == number


async def test_a_storm_of_notices_loses_none_while_the_database_drops_everybody(
    database: Database, fresh_database: str, clock: FakeClock, scale: float
) -> None:
    number = max(50, int(STORM * scale))
    async with (
        open_stripe(lambda: int(clock.now().timestamp())) as stripe,
        open_market(database, clock, stripe, rate_limits="off") as market,
    ):
        await sold(market, stripe, number)
        room, sent = asyncio.Semaphore(AT_ONCE * 2), asyncio.Event()
        taken: list[str] = []

        async def insist(event: Object) -> None:
            """Send a notice until it is taken, as Stripe does."""
            while True:
                async with room:
                    status = await post(market.shop, stripe, event)
                if status == 200:
                    taken.append(event["id"])
                    if len(taken) == number // 4:
                        sent.set()
                    return
                assert status == 503

        async def drop_everybody() -> None:
            """End every connection of this database, several times, in the middle of it all."""
            await sent.wait()
            connection = await connect_once(fresh_database)
            for _ in range(5):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await connection.close()

        await asyncio.gather(drop_everybody(), *[insist(event) for event in stripe.events])
        assert len(taken) == number
        assert await database.value("SELECT count(*) FROM notices") == number
        assert await database.value("SELECT count(DISTINCT checkout_id) FROM orders") == number
        assert await database.value("SELECT count(*) FROM orders") == number


async def post(shop: Shop, stripe: Stripe, event: Object) -> int:
    """Post a notice, signed anew."""
    body, signature = stripe.signed(event, WEBHOOK_SECRET)
    reply = await shop.post("/payments/stripe/notices", data=body, headers={"Stripe-Signature": signature}, key=None)
    return reply.status
