"""Stripe's notices race the buyer's return again and again."""

import asyncio

from fakes import FakeClock
from market import Market, open_market
from purvey.server.kit.database import Database
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, Stripe, open_stripe

RACES = 1000
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
