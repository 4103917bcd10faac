"""What every payment provider must do, told of each of them: the sandbox, and Stripe."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from fakes import FakeClock
from market import Bought, Market, expect, open_market
from purvey.server.kit.database import Database
from purvey.server.payments.model import DisputeStatus
from running import until
from stripe_standin.server import open_stripe


@pytest.fixture(params=["sandbox", "stripe"])
async def market(request: pytest.FixtureRequest, database: Database, clock: FakeClock) -> AsyncIterator[Market]:
    """A market with each provider in turn; Stripe sends each of its notices three times at once."""
    if request.param == "sandbox":
        async with open_market(database, clock, payments="sandbox") as opened:
            yield opened
        return
    async with (
        open_stripe(lambda: int(clock.now().timestamp())) as stripe,
        open_market(database, clock, stripe) as opened,
    ):
        stripe.sends_at_once, stripe.copies = True, 3
        yield opened


async def order_with(market: Market, bought: Bought, **fields: Any) -> dict[str, Any]:
    """Return the order once it is as it is told to be."""

    async def seen() -> dict[str, Any] | None:
        order = await market.order(bought)
        return order if {name: order[name] for name in fields} == fields else None

    return cast("dict[str, Any]", await until(seen, f"the order has {fields}"))


async def dispute(market: Market, reference: str, status: DisputeStatus) -> None:
    """Have the bank open a dispute, or go on with it, a second later."""
    market.later(seconds=1)
    await market.till.dispute(reference, status)


async def types(market: Market) -> list[str]:
    """Return the types of the events, oldest first."""
    return [event["type"] for event in await market.events()]


async def test_a_payment_makes_one_order_whoever_tells_of_it_first(market: Market) -> None:
    bought = await market.buy(await market.listing())
    order = await order_with(market, bought, status="fulfilled", payment_status="paid")
    assert order["payment"]["provider"] == market.till.name
    assert await market.shop.tools.database.value("SELECT count(*) FROM orders") == 1
    checkout = await market.checkout(await market.generated())
    assert (await market.pay(checkout, "4000 0000 0000 0002")).status == 402
    assert (await market.pay(checkout)).status < 400
    await until(lambda: _ordered(market, checkout), "the checkout has its order")
    await order_with(market, Bought(checkout, ""), status="processing")
    assert await types(market) == ["order.paid", "order.fulfilled", "order.paid"]


async def _ordered(market: Market, checkout: Mapping[str, Any]) -> bool:
    found = expect(await market.shop.get(f"/v1/checkouts/{checkout['id']}", key=None), 200)
    return found["order_id"] is not None


async def test_parts_and_all_of_the_money_go_back(market: Market) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    path = f"/v1/orders/{order['id']}/refund"
    part = expect(await market.shop.post(path, json={"amount": 200}), 200)
    assert (part["payment_status"], part["refund_amount"]) == ("partially_refunded", 200)
    assert expect(await market.shop.post(path, json={"amount": 301}), 422)["code"] == "refund_not_allowed"
    await market.till.refund(order["payment"]["reference"], 100)
    await order_with(market, bought, refund_amount=300)
    whole = expect(await market.shop.post(path), 200)
    assert (whole["payment_status"], whole["refund_amount"]) == ("refunded", 500)
    assert (await market.shop.get(bought.access, key=None)).status == 410
    assert await types(market) == ["order.paid", "order.fulfilled", "order.refunded"]
    found = expect(await market.shop.get(f"/v1/orders/{order['id']}/refunds"), 200)["data"]
    assert sorted((one["amount"], one["origin"]) for one in found) == [
        (100, "provider"),
        (200, "seller"),
        (200, "seller"),
    ]


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_a_dispute_is_followed_to_its_end(market: Market, end: DisputeStatus) -> None:
    bought = await market.buy(await market.listing())
    reference = (await market.order(bought))["payment"]["reference"]
    await dispute(market, reference, "needs_response")
    await order_with(market, bought, dispute_status="needs_response")
    assert (await market.shop.get(bought.access, key=None)).status == 200
    refused = await market.shop.post(f"/v1/orders/{(await market.order(bought))['id']}/refund")
    assert expect(refused, 422)["code"] == "refund_not_allowed"
    await dispute(market, reference, end)
    await order_with(market, bought, dispute_status=end)
    assert (await market.shop.get(bought.access, key=None)).status == (410 if end == "lost" else 200)
    assert await types(market) == ["order.paid", "order.fulfilled", "order.disputed"]


async def test_what_is_paid_twice_goes_back_once(market: Market) -> None:
    bought = await market.buy(await market.listing())
    await market.till.pay_again(bought.checkout)
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert sorted(str(letter["Subject"]) for letter in letters) == ["You paid twice: Kit", "Your order: Kit"]
    assert (await market.order(bought))["payment_status"] == "paid"
    assert await market.shop.tools.database.value("SELECT count(*) FROM orders") == 1
