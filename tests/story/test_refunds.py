"""Money that goes back: who may ask for how much, what follows, and what happens when the provider cannot be reached."""

import asyncio
from typing import Any

import pytest

from market import Bought, Market, expect
from served import Reply


async def refund(market: Market, order_id: str, **body: Any) -> Reply:
    """Ask for a refund; without a body for all that is left."""
    headers = {"Idempotency-Key": body.pop("key")} if "key" in body else {}
    return await market.shop.post(f"/v1/orders/{order_id}/refund", json=body or None, headers=headers)


async def bought(market: Market, price: int = 500, **fields: Any) -> tuple[Bought, str]:
    """Buy something, and return what was bought and its order's id."""
    sold = await market.buy(await market.listing(price=price, **fields))
    return sold, (await market.order(sold))["id"]


async def history(market: Market, order_id: str) -> list[tuple[str, str]]:
    """Return (action, actor) of each change."""
    entries = expect(await market.shop.get(f"/v1/orders/{order_id}/history"), 200)["data"]
    return [(entry["action"], entry["actor"]) for entry in entries]


async def refunds(market: Market, order_id: str) -> list[tuple[Any, ...]]:
    """Return (amount, origin, status) of each refund."""
    found = expect(await market.shop.get(f"/v1/orders/{order_id}/refunds"), 200)["data"]
    return [(one["amount"], one["origin"], one["status"]) for one in found]


async def letters(market: Market, number: int) -> list[str]:
    """Return the subjects of the next mails."""
    return [str((await market.outside.next_letter())["Subject"]) for _ in range(number)]


async def test_a_full_refund_ends_access_and_is_told_ev_2(market: Market) -> None:
    sold, order_id = await bought(market)
    order = expect(await refund(market, order_id, reason="Changed my mind"), 200)
    assert (order["payment_status"], order["refund_amount"], order["refund_pending"]) == ("refunded", 500, 0)
    assert (order["status"], order["refunded_at"]) == ("fulfilled", "2026-04-17T10:23:00Z")
    page = await market.shop.get(sold.access, key=None)
    assert page.status == 410
    assert "This order was refunded" in page.text
    assert "the goods" not in page.text
    events = await market.events()
    assert [event["type"] for event in events] == ["order.paid", "order.fulfilled", "order.refunded"]
    assert (events[2]["data"]["payment_status"], events[2]["data"]["refund_amount"]) == ("refunded", 500)
    assert [entry["type"] for entry in events[2]["data"]["deliverables"]] == ["text"]
    assert sorted(await letters(market, 2)) == ["Your order: Kit", "Your refund: Kit"]
    assert await history(market, order_id) == [
        ("pay", market.till.name),
        ("settle", market.till.name),
        ("request_refund", "seller"),
        ("refund", "seller"),
    ]
    assert await refunds(market, order_id) == [(500, "seller", "succeeded")]
    [listing] = expect(await market.shop.get("/v1/listings"), 200)["data"]
    assert (listing["stats"]["orders"], listing["stats"]["revenue"]) == (1, 0)


async def test_parts_are_refunded_until_nothing_is_left(market: Market) -> None:
    sold, order_id = await bought(market)
    first = expect(await refund(market, order_id, amount=200), 200)
    assert (first["payment_status"], first["refund_amount"], first["refunded_at"]) == ("partially_refunded", 200, None)
    assert (await market.shop.get(sold.access, key=None)).status == 200
    too_much = expect(await refund(market, order_id, amount=301), 422)
    assert (too_much["code"], too_much["refundable_amount"]) == ("refund_not_allowed", 300)
    assert "$3.00" in too_much["detail"]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    expect(await refund(market, order_id, amount=100), 200)
    last = expect(await refund(market, order_id), 200)
    assert (last["payment_status"], last["refund_amount"]) == ("refunded", 500)
    assert (await market.shop.get(sold.access, key=None)).status == 410
    again = expect(await refund(market, order_id), 422)
    assert (again["code"], "already" in again["detail"]) == ("refund_not_allowed", True)
    assert [event["type"] for event in await market.events()][2:] == ["order.refunded"]
    subjects = await letters(market, 4)
    assert sorted(subjects) == ["A part of your money goes back: Kit"] * 2 + ["Your order: Kit", "Your refund: Kit"]


async def test_what_was_free_cannot_be_refunded(market: Market) -> None:
    _, order_id = await bought(market, price=0)
    assert expect(await refund(market, order_id), 422)["code"] == "refund_not_allowed"


@pytest.mark.parametrize("amount", [0, -1, 1.5, "500", True, 10**16])
async def test_an_amount_that_is_none_is_named(market: Market, amount: Any) -> None:
    problem = expect(await refund(market, "ord_none", amount=amount), 422)
    assert (problem["code"], problem["param"]) == ("validation_error", "amount")


async def test_a_payment_that_nobody_here_can_reach_is_missing(market: Market) -> None:
    _, order_id = await bought(market)
    await market.shop.tools.database.write("UPDATE orders SET payment_provider = 'elsewhere'")
    assert expect(await refund(market, order_id), 422)["code"] == "missing_payment"


async def test_an_order_that_waits_is_refunded_and_delivered_no_more(market: Market) -> None:
    sold = await market.buy(await market.generated())
    order_id = (await market.order(sold))["id"]
    expect(await refund(market, order_id), 200)
    page = await market.shop.get(sold.access, key=None)
    assert (page.status, "This order was refunded" in page.text) == (410, True)
    late = await market.shop.post(f"/v1/orders/{order_id}/deliver", json={"type": "text", "value": "too late"})
    problem = expect(late, 409)
    assert (problem["code"], problem["payment_status"]) == ("invalid_transition", "refunded")


async def test_a_delivery_and_a_refund_at_once_end_in_one_of_the_two_orders(market: Market) -> None:
    listing = await market.generated()
    for _ in range(4):
        sold = await market.buy(listing)
        order_id = (await market.order(sold))["id"]
        path = f"/v1/orders/{order_id}/deliver"
        refunded, delivered = await asyncio.gather(
            refund(market, order_id), market.shop.post(path, json={"type": "text", "value": "just in time"})
        )
        expect(refunded, 200)
        assert delivered.status in {200, 409}
        order = await market.order(sold)
        assert order["payment_status"] == "refunded"
        assert order["status"] == ("fulfilled" if delivered.status == 200 else "processing")
        assert (await market.shop.get(sold.access, key=None)).status == 410


async def test_fifty_refunds_at_once_give_back_what_was_paid(market: Market) -> None:
    _, order_id = await bought(market)
    replies = await asyncio.gather(*[refund(market, order_id, amount=30) for _ in range(50)])
    assert sorted(reply.status for reply in replies) == [200] * 16 + [422] * 34
    assert {reply.json["refundable_amount"] for reply in replies if reply.status == 422} == {20}
    order = expect(await market.shop.get(f"/v1/orders/{order_id}"), 200)
    assert (order["refund_amount"], order["refund_pending"]) == (480, 0)
    assert await refunds(market, order_id) == [(30, "seller", "succeeded")] * 16


async def test_fifty_refunds_with_one_key_are_one(market: Market) -> None:
    _, order_id = await bought(market)
    replies = await asyncio.gather(*[refund(market, order_id, amount=100, key="one") for _ in range(50)])
    assert {reply.status for reply in replies} <= {200, 409}
    after = await refund(market, order_id, amount=100, key="one")
    assert {reply.body for reply in replies if reply.status == 200} == {after.body}
    assert (after.json["refund_amount"], after.json["refund_pending"]) == (100, 0)
    assert await refunds(market, order_id) == [(100, "seller", "succeeded")]


async def test_a_provider_that_is_away_is_asked_again(market: Market) -> None:
    sold, order_id = await bought(market)
    async with market.till.away():
        waiting = expect(await refund(market, order_id, key="one"), 200)
        assert (waiting["payment_status"], waiting["refund_amount"], waiting["refund_pending"]) == ("paid", 0, 500)
        assert expect(await refund(market, order_id), 422)["refundable_amount"] == 0
        assert (await market.shop.get(sold.access, key=None)).status == 200
    market.later(seconds=31)
    assert "Your refund: Kit" in await letters(market, 2)
    order = expect(await market.shop.get(f"/v1/orders/{order_id}"), 200)
    assert (order["payment_status"], order["refund_pending"]) == ("refunded", 0)
    assert expect(await refund(market, order_id, key="one"), 200) == waiting


async def test_a_refund_that_the_provider_refuses_is_told_and_may_be_tried_again(market: Market) -> None:
    sold, order_id = await bought(market)
    reference = (await market.order(sold))["payment"]["reference"]
    await market.till.dispute(reference, "needs_response")
    refused = expect(await refund(market, order_id, amount=100, key="one"), 422)
    assert (refused["code"], refused["refundable_amount"]) == ("refund_not_allowed", 500)
    assert market.till.refuses_disputed in refused["detail"]
    assert await refunds(market, order_id) == [(100, "seller", "failed")]
    await market.till.dispute(reference, "won")
    order = expect(await refund(market, order_id, amount=100, key="one"), 200)
    assert (order["refund_amount"], order["refund_pending"]) == (100, 0)


async def test_a_refund_in_the_provider_s_dashboard_is_heard_of_and_counted_once(market: Market) -> None:
    sold, order_id = await bought(market)
    assert await letters(market, 1) == ["Your order: Kit"]
    reference = (await market.order(sold))["payment"]["reference"]
    await market.till.refund(reference, 150)
    assert await letters(market, 1) == ["A part of your money goes back: Kit"]
    await market.till.refund(reference)
    assert await letters(market, 1) == ["Your refund: Kit"]
    order = await market.order(sold)
    assert (order["payment_status"], order["refund_amount"]) == ("refunded", 500)
    assert sorted(await refunds(market, order_id)) == [(150, "provider", "succeeded"), (350, "provider", "succeeded")]
    assert (await history(market, order_id))[2:] == [("refund", market.till.name), ("refund", market.till.name)]
    assert (await market.shop.get(sold.access, key=None)).status == 410


async def test_a_second_payment_of_a_checkout_is_given_back(market: Market) -> None:
    sold, order_id = await bought(market)
    assert await letters(market, 1) == ["Your order: Kit"]
    await market.till.pay_again(sold.checkout)
    assert await letters(market, 1) == ["You paid twice: Kit"]
    order = await market.order(sold)
    assert (order["payment_status"], order["refund_amount"], order["id"]) == ("paid", 0, order_id)
    assert await refunds(market, order_id) == [(500, "second_payment", "succeeded")]
    assert (await history(market, order_id))[2:] == [
        ("refuse_second_payment", market.till.name),
        ("refund_second_payment", "system"),
    ]
    assert (await market.shop.get(sold.access, key=None)).status == 200
    outcomes = await market.shop.tools.database.rows("SELECT type, outcome FROM notices ORDER BY received_at, type")
    assert {row["outcome"] for row in outcomes} == {"handled"}
    assert await market.till.given_back() == 500


async def test_a_webhook_order_is_refunded_too(market: Market) -> None:
    sold = await market.buy(await market.listing(content_type="webhook"))
    order_id = (await market.order(sold))["id"]
    order = expect(await refund(market, order_id), 200)
    assert (order["status"], order["payment_status"]) == ("handed_off", "refunded")
