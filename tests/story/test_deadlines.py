"""A buyer who has paid is never left with nothing and no word: promises about the time, and what follows when they are not kept."""

from typing import Any

import pytest

from market import Market, expect

LATE_TEXT = "We are late. Here is last year's chart meanwhile."


async def promised(market: Market, **fields: Any) -> dict[str, Any]:
    """Sell something that is promised within an hour."""
    return await market.generated(fulfill_within=3600, **fields)


async def letters(market: Market, number: int) -> list[tuple[str, str]]:
    """Return to whom the next mails go, and their subjects."""
    found = [await market.outside.next_letter() for _ in range(number)]
    return sorted((str(letter["To"]), str(letter["Subject"])) for letter in found)


async def later(market: Market, **by: float) -> None:
    """Let time pass, once the worker has recorded what it did: a lease that runs out meanwhile would have it done again."""
    busy = "SELECT EXISTS (SELECT FROM jobs WHERE due_at <= $1)"
    while await market.shop.tools.database.value(busy, market.shop.clock.now()):
        pass
    market.later(**by)


async def types(market: Market) -> list[str]:
    """Return the types of the events so far."""
    return [event["type"] for event in await market.events()]


async def test_the_promise_is_told_and_kept(market: Market) -> None:
    listing = await promised(market, on_late="refund")
    sold = await market.buy(listing)
    expect(await market.shop.patch(f"/v1/listings/{listing['id']}", json={"fulfill_within": None}), 200)
    order = await market.order(sold)
    assert (order["fulfill_due_at"], order["late_at"]) == ("2026-04-17T11:23:00Z", None)
    assert order["readiness"]["next"]["code"] == "fulfillment_pending"
    page = (await market.shop.get(sold.access, key=None)).text
    assert 'Promised by <strong><time datetime="2026-04-17T11:23:00+00:00">' in page
    assert "or your money goes back" in page
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json={"type": "text", "value": "here"}), 200)
    await letters(market, 2)
    await later(market, minutes=59)
    await later(market, minutes=2)
    while await market.shop.tools.database.value("SELECT count(*) FROM jobs WHERE kind = 'deadlines.check'"):
        pass
    assert await market.shop.tools.database.value("SELECT count(*) FROM messages") == 2
    assert (await market.order(sold))["late_at"] is None


async def test_a_late_seller_is_reminded_and_the_buyer_is_told(market: Market) -> None:
    sold = await market.buy(await promised(market))
    await letters(market, 1)
    await later(market, seconds=3601)
    assert await letters(market, 2) == [
        ("ada@example.com", "Your order is late: Kit"),
        ("seller@example.com", "A buyer is waiting: Kit"),
    ]
    order = await market.order(sold)
    assert (order["status"], order["late_at"]) == ("processing", "2026-04-17T11:23:01Z")
    assert order["readiness"]["next"]["code"] == "fulfillment_late"
    page = await market.shop.get(sold.access, key=None)
    assert (page.status, "Your order is late" in page.text, "has been reminded" in page.text) == (200, True, True)
    assert await types(market) == ["order.paid"]
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json={"type": "text", "value": "here"}), 200)
    assert await letters(market, 1) == [("ada@example.com", "Your order is ready: Kit")]
    assert "here" in (await market.shop.get(sold.access, key=None)).text


async def test_the_page_says_so_as_soon_as_the_time_is_over(market: Market) -> None:
    sold = await market.buy(await promised(market, on_late="refund"))
    # The worker is not told, and looks by itself when it likes.
    market.shop.clock.advance(seconds=3601)
    page = await market.shop.get(sold.access, key=None)
    assert "Your order is late" in page.text or "This order was refunded" in page.text


async def test_a_late_order_is_refunded_where_that_was_promised(market: Market) -> None:
    sold = await market.buy(await promised(market, on_late="refund"))
    await letters(market, 1)
    await later(market, seconds=3601)
    assert await letters(market, 2) == [
        ("ada@example.com", "Your refund: Kit"),
        ("seller@example.com", "A buyer is waiting: Kit"),
    ]
    order = await market.order(sold)
    assert (order["payment_status"], order["refund_amount"], order["readiness"]["actions"]) == ("refunded", 500, [])
    assert (await market.shop.get(sold.access, key=None)).status == 410
    assert await types(market) == ["order.paid", "order.refunded"]
    late = await market.shop.post(f"/v1/orders/{order['id']}/deliver", json={"type": "text", "value": "too late"})
    assert expect(late, 409)["code"] == "invalid_transition"
    [refund] = expect(await market.shop.get(f"/v1/orders/{order['id']}/refunds"), 200)["data"]
    assert (refund["origin"], refund["status"]) == ("deadline", "succeeded")


async def test_a_late_order_gets_the_fallback_where_that_was_promised(market: Market) -> None:
    sold = await market.buy(await promised(market, on_late="fallback", late_text=LATE_TEXT))
    await letters(market, 1)
    await later(market, seconds=3601)
    assert await letters(market, 2) == [
        ("ada@example.com", "Your order is ready: Kit"),
        ("seller@example.com", "A buyer is waiting: Kit"),
    ]
    order = await market.order(sold)
    assert (order["status"], order["deliverables"][0]["value"]) == ("fulfilled", LATE_TEXT)
    assert "last year" in (await market.shop.get(sold.access, key=None)).text
    assert await types(market) == ["order.paid", "order.fulfilled"]
    history = expect(await market.shop.get(f"/v1/orders/{order['id']}/history"), 200)["data"]
    assert (history[-1]["action"], history[-1]["actor"]) == ("deliver", "deadline")


async def test_what_was_free_and_late_is_reminded_of(market: Market) -> None:
    await market.buy(await promised(market, on_late="refund", price=0))
    await letters(market, 1)
    await later(market, seconds=3601)
    assert [to for to, _ in await letters(market, 2)] == ["ada@example.com", "seller@example.com"]


async def test_a_refund_that_the_provider_refuses_leaves_a_reminder(market: Market) -> None:
    sold = await market.buy(await promised(market, on_late="refund"))
    await letters(market, 1)
    reference = (await market.order(sold))["payment"]["reference"]
    await market.till.dispute(reference, "needs_response")
    assert await letters(market, 1) == [("seller@example.com", "A payment is disputed: Kit")]
    await later(market, seconds=3601)
    subjects = sorted(subject for _, subject in await letters(market, 3))
    assert subjects == ["A buyer is waiting: Kit", "A buyer is waiting: Kit", "Your order is late: Kit"]
    assert (await market.order(sold))["refund_pending"] == 0


async def test_without_a_promise_both_get_a_word_after_a_day(market: Market) -> None:
    sold = await market.buy(await market.generated())
    assert (await market.order(sold))["fulfill_due_at"] is None
    await letters(market, 1)
    await later(market, hours=23)
    assert market.outside.letters.empty()
    await later(market, hours=1, seconds=1)
    assert [to for to, _ in await letters(market, 2)] == ["ada@example.com", "seller@example.com"]
    page = (await market.shop.get(sold.access, key=None)).text
    assert "Your order is late" in page
    assert "was promised by" not in page


async def test_a_refunded_order_is_late_no_more(market: Market) -> None:
    sold = await market.buy(await promised(market))
    order_id = (await market.order(sold))["id"]
    expect(await market.shop.post(f"/v1/orders/{order_id}/refund"), 200)
    await letters(market, 2)
    await later(market, hours=2)
    while await market.shop.tools.database.value("SELECT count(*) FROM jobs WHERE kind = 'deadlines.check'"):
        pass
    assert (await market.order(sold))["late_at"] is None


@pytest.mark.parametrize("fields", [{"late_text": None}, {}])
async def test_a_fallback_needs_its_text(market: Market, fields: dict[str, Any]) -> None:
    told = {"name": "Kit", "price": 500, "content_type": "generated", "fulfill_within": 60, "on_late": "fallback"}
    problem = expect(await market.shop.post("/v1/listings", json=told | fields), 422)
    assert (problem["code"], problem["param"]) == ("validation_error", "late_text")
