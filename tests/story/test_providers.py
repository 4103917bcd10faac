"""What every payment provider must do, told of each of them: the sandbox, and Stripe."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import pytest

from fakes import FakeClock
from market import Bought, Market, expect, open_market
from purvey.server.kit.database import Database
from purvey.server.payments.model import DisputeStatus
from purvey.server.payments.sandbox.provider import Sandbox
from running import until
from stripe_standin.server import PLATFORM, open_stripe

Name = Literal["sandbox", "stripe"]


@dataclass
class Till:
    """A market, and what goes on at its provider without us."""

    market: Market
    name: Name
    disputes: dict[str, str]

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(self.market.shop.tools, self.market.app.wake.poke)

    async def pay_again(self, checkout: Any, reference: str) -> None:
        """Have the buyer pay in a second window."""
        if self.market.stripe:
            paid = self.market.stripe.books.all_of(PLATFORM, "checkout.session")
            self.market.stripe.books.pay_again(next(one["id"] for one in paid if one["payment_intent"] == reference))
        else:
            await self.sandbox.pay(checkout["id"], 500, "USD", "4242424242424242", again=True)

    async def refund(self, reference: str, amount: int) -> None:
        """Refund in the provider's dashboard."""
        if self.market.stripe:
            self.market.stripe.books.refund(PLATFORM, {"payment_intent": reference, "amount": amount})
        else:
            await self.sandbox.refund_by_hand(reference, amount)

    async def dispute(self, reference: str, status: DisputeStatus) -> None:
        """Have the bank open a dispute, or go on with it."""
        self.market.later(seconds=1)
        books = self.market.stripe.books if self.market.stripe else None
        if books is None:
            await self.sandbox.dispute(reference, status)
        elif reference in self.disputes:
            books.move_dispute(self.disputes[reference], status)
        else:
            self.disputes[reference] = books.dispute(reference, status)["id"]

    async def order(self, bought: Bought, **fields: Any) -> dict[str, Any]:
        """Return the order once it is as it is told to be."""

        async def seen() -> dict[str, Any] | None:
            order = await self.market.order(bought)
            return order if {name: order[name] for name in fields} == fields else None

        return cast("dict[str, Any]", await until(seen, f"the order has {fields}"))


@pytest.fixture(params=["sandbox", "stripe"])
async def till(request: pytest.FixtureRequest, database: Database, clock: FakeClock) -> AsyncIterator[Till]:
    """A market with each provider in turn; Stripe sends each of its notices three times at once."""
    if request.param == "sandbox":
        async with open_market(database, clock) as market:
            yield Till(market, "sandbox", {})
        return
    async with (
        open_stripe(lambda: int(clock.now().timestamp())) as stripe,
        open_market(database, clock, stripe) as market,
    ):
        stripe.sends_at_once, stripe.copies = True, 3
        yield Till(market, "stripe", {})


async def types(till: Till) -> list[str]:
    """Return the types of the events, oldest first."""
    return [event["type"] for event in await till.market.events()]


async def test_a_payment_makes_one_order_whoever_tells_of_it_first(till: Till) -> None:
    market = till.market
    bought = await market.buy(await market.listing())
    order = await till.order(bought, status="fulfilled", payment_status="paid")
    assert order["payment"]["provider"] == till.name
    assert await market.shop.tools.database.value("SELECT count(*) FROM orders") == 1
    checkout = await market.checkout(await market.generated())
    assert (await market.pay(checkout, "4000 0000 0000 0002")).status == 402
    assert (await market.pay(checkout)).status < 400
    await until(lambda: _ordered(till, checkout), "the checkout has its order")
    await till.order(Bought(checkout, ""), status="processing")
    assert await types(till) == ["order.paid", "order.fulfilled", "order.paid"]


async def _ordered(till: Till, checkout: Any) -> bool:
    found = expect(await till.market.shop.get(f"/v1/checkouts/{checkout['id']}", key=None), 200)
    return found["order_id"] is not None


async def test_parts_and_all_of_the_money_go_back(till: Till) -> None:
    market = till.market
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    path = f"/v1/orders/{order['id']}/refund"
    part = expect(await market.shop.post(path, json={"amount": 200}), 200)
    assert (part["payment_status"], part["refund_amount"]) == ("partially_refunded", 200)
    assert expect(await market.shop.post(path, json={"amount": 301}), 422)["code"] == "refund_not_allowed"
    await till.refund(order["payment"]["reference"], 100)
    await till.order(bought, refund_amount=300)
    whole = expect(await market.shop.post(path), 200)
    assert (whole["payment_status"], whole["refund_amount"]) == ("refunded", 500)
    assert (await market.shop.get(bought.access, key=None)).status == 410
    assert await types(till) == ["order.paid", "order.fulfilled", "order.refunded"]
    found = expect(await market.shop.get(f"/v1/orders/{order['id']}/refunds"), 200)["data"]
    assert sorted((one["amount"], one["origin"]) for one in found) == [
        (100, "provider"),
        (200, "seller"),
        (200, "seller"),
    ]


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_a_dispute_is_followed_to_its_end(till: Till, end: DisputeStatus) -> None:
    market = till.market
    bought = await market.buy(await market.listing())
    reference = (await market.order(bought))["payment"]["reference"]
    await till.dispute(reference, "needs_response")
    await till.order(bought, dispute_status="needs_response")
    assert (await market.shop.get(bought.access, key=None)).status == 200
    refused = await market.shop.post(f"/v1/orders/{(await market.order(bought))['id']}/refund")
    assert expect(refused, 422)["code"] == "refund_not_allowed"
    await till.dispute(reference, end)
    await till.order(bought, dispute_status=end)
    assert (await market.shop.get(bought.access, key=None)).status == (410 if end == "lost" else 200)
    assert await types(till) == ["order.paid", "order.fulfilled", "order.disputed"]


async def test_what_is_paid_twice_goes_back_once(till: Till) -> None:
    market = till.market
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    await till.pay_again(bought.checkout, order["payment"]["reference"])
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert sorted(str(letter["Subject"]) for letter in letters) == ["You paid twice: Kit", "Your order: Kit"]
    assert (await market.order(bought))["payment_status"] == "paid"
    assert await market.shop.tools.database.value("SELECT count(*) FROM orders") == 1
