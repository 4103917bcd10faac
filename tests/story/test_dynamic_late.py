"""A dynamic order whose call failed: its seller reads why, and the listing's promise holds for it as for any other order."""

from typing import Any

import pytest

from calling import SellersServer, bought, callback, order_of, sold, until
from calling import text as plain
from market import Market, expect
from served import reserved_port

FALLBACK = "We are late. Take this meanwhile."


async def failed(market: Market, server: SellersServer, **fields: Any) -> dict[str, Any]:
    """Buy something whose server refuses the call, and return the order that waits."""
    server.then = [plain("who are you?", 401)]
    _, order = await bought(market, server, await sold(market, server, **fields))
    return await until(market, order, delivery_status="failed")


async def letters(market: Market, number: int) -> list[tuple[str, str]]:
    """Return to whom the next mails go, and their subjects."""
    found = [await market.outside.next_letter() for _ in range(number)]
    return sorted((str(mail["To"]), str(mail["Subject"])) for mail in found)


async def late(market: Market, server: SellersServer, on_late: str) -> dict[str, Any]:
    """Return a failed order whose seller has promised an hour, a moment before that is over."""
    order = await failed(market, server, fulfill_within=3600, on_late=on_late, late_text=FALLBACK)
    await letters(market, 2)
    busy = "SELECT EXISTS (SELECT FROM jobs WHERE due_at <= $1)"
    while await market.shop.tools.database.value(busy, market.shop.clock.now()):
        pass
    market.later(seconds=3601)
    return order


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        ("who are you?", 401, "Your server answered 401 Unauthorized."),
        ("[1]", 200, "unsupported_response: the answer was not understood, because it is a JSON array."),
    ],
)
async def test_the_seller_reads_why_the_call_failed_in_the_order_and_in_the_mail(
    market: Market, server: SellersServer, answer: str, status: int, why: str
) -> None:
    server.then = [plain(answer, status)]
    _, order = await bought(market, server)
    order = await until(market, order, delivery_status="failed")
    message = order["readiness"]["next"]["message"]
    assert message.startswith(f"The buyer has paid and waits. The call to your dynamic_webhook failed: {why}")
    assert message.endswith("Have it called again, or deliver by hand.")
    mails = [await market.outside.next_letter() for _ in range(2)]
    [told] = [mail for mail in mails if mail["To"] == "seller@example.com"]
    text = told.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert why in " ".join(text.split())
    assert f"POST /v1/orders/{order['id']}/retry" in text
    again = expect(await market.shop.post(f"/v1/orders/{order['id']}/retry"), 200)
    assert again["readiness"]["actions"] == []
    done = await until(market, order, status="fulfilled")
    assert done["readiness"] == {"fulfilled": True, "actions": [], "next": None}
    assert await market.shop.tools.database.value("SELECT delivery_error FROM orders") is None


async def test_a_server_that_is_not_there_is_named_so(market: Market) -> None:
    with reserved_port() as port:
        listing = await market.listing(content_type="dynamic", dynamic_webhook=f"http://127.0.0.1:{port}/")
        checkout = await market.checkout(listing)
        expect(await market.pay(checkout), 200)
        order = await order_of(market, checkout)
        for number, seconds in ((1, 1), (2, 3), (3, 0)):
            await callback(market, order, number)
            market.later(seconds=seconds)
        order = await until(market, order, delivery_status="failed")
    assert "Your server could not be called." in order["readiness"]["next"]["message"]


async def test_late_and_failed_reminds_the_seller_and_retry_is_still_the_way_out(
    market: Market, server: SellersServer
) -> None:
    order = await late(market, server, "remind")
    told = await until_late(market, order)
    assert {mail[0] for mail in await letters(market, 2)} == {"ada@example.com", "seller@example.com"}
    assert [one["code"] for one in told["readiness"]["actions"]] == ["callback_failed", "fulfillment_late"]
    assert "401 Unauthorized" in told["readiness"]["next"]["message"]
    expect(await market.shop.post(f"/v1/orders/{order['id']}/retry"), 200)
    done = await until(market, order, status="fulfilled")
    assert done["delivered_items"]["dynamic_response"]["token"] == "dyn_123"


async def test_late_and_failed_gives_the_money_back_and_calls_no_more(market: Market, server: SellersServer) -> None:
    order = await late(market, server, "refund")
    done = await until(market, order, payment_status="refunded")
    assert (done["status"], done["refund_amount"]) == ("processing", 2999)
    assert done["readiness"]["actions"] == []
    refused = await market.shop.post(f"/v1/orders/{order['id']}/retry")
    assert (refused.status, refused.json["code"]) == (409, "invalid_transition")
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.refunded"]


async def test_late_and_failed_gives_the_fallback_and_a_call_afterwards_is_refused(
    market: Market, server: SellersServer
) -> None:
    order = await late(market, server, "fallback")
    done = await until(market, order, status="fulfilled")
    assert [one["value"] for one in done["deliverables"]] == [FALLBACK]
    assert (done["delivered_items"], done["delivery_status"]) == (None, "delivered")
    page = await market.shop.get(done["access_url"].removeprefix(market.shop.tools.base_url), key=None)
    assert FALLBACK in page.text
    assert (await market.shop.post(f"/v1/orders/{order['id']}/retry")).status == 409
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def until_late(market: Market, order: dict[str, Any]) -> dict[str, Any]:
    """Return the order once it is known to be late."""
    while not await market.shop.tools.database.value("SELECT late_at FROM orders WHERE id = $1", order["id"]):
        pass
    return await market.order_by_id(order["id"])
