"""When a call is made again, what follows when it fails, and what may happen meanwhile (DW-25 to DW-27)."""

import asyncio
import hashlib
import hmac
from typing import Any

import pytest

from calling import GOODS, SellersServer, bought, callback, letters, order_of, sellers_server, sold, until
from calling import text as plain
from fakes import FakeClock
from market import Market, expect
from purvey.server.app import SLOTS
from purvey.server.fulfillment.kinds.dynamic import rules
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from served import reserved_port

# Attempts


def test_dw_25_an_attempt_has_15_seconds_and_the_next_follows_after_1_and_then_3() -> None:
    assert rules.DEADLINE == 15.0
    assert rules.DELAYS == (1.0, 3.0)


async def test_dw_26_what_may_pass_is_tried_three_times(
    market: Market, server: SellersServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout is one of them. The clock moves by exactly what is waited for."""
    monkeypatch.setattr(rules, "DEADLINE", 0.5)
    listing = await sold(market, server)
    server.gate.clear()
    checkout = await market.checkout(listing)
    await market.pay(checkout)
    order = await order_of(market, checkout)
    for number, seconds in ((1, 0.9), (2, 2.9)):
        assert (await callback(market, order, number))["status"] == "waiting"
        due = await market.shop.tools.database.value("SELECT due_at FROM jobs WHERE kind = 'fulfillment.call'")
        assert (due - market.shop.clock.now()).total_seconds() == rules.DELAYS[number - 1]
        market.later(seconds=seconds)
        assert len((await callback(market, order))["attempts"]) == number
        market.later(seconds=0.1)
    told_of = await callback(market, order, 3)
    assert (told_of["status"], {attempt["stage"] for attempt in told_of["attempts"]}) == ("failed", {"timeout"})
    monkeypatch.undo()
    server.gate.set()
    while not server.calls.empty():
        server.calls.get_nowait()
    for status in sorted(rules.RETRIED):
        server.then = [plain("later", status)]
        _, order = await bought(market, server, listing)
        again = await callback(market, order, 1)
        assert (again["status"], again["attempts"][0]["answer"]) == ("waiting", "later"), status
        market.later(seconds=1)
        await server.next()
        await until(market, order, status="fulfilled")


async def test_dw_26_a_network_error_is_tried_again(market: Market, server: SellersServer) -> None:
    with reserved_port() as port:
        listing = await sold(market, server, dynamic_webhook=f"http://127.0.0.1:{port}/")
        checkout = await market.checkout(listing)
        await market.pay(checkout)
        order = await order_of(market, checkout)
        assert (await callback(market, order, 1))["status"] == "waiting"
    changed = await market.shop.ask("PATCH", f"/v1/listings/{listing['id']}", json={"dynamic_webhook": server.url})
    expect(changed, 200)
    market.later(seconds=1)
    await server.next()
    await until(market, order, status="fulfilled")
    assert [one["stage"] for one in (await callback(market, order, 2))["attempts"]] == ["connect", None]


async def test_dw_26_nothing_else_is_tried_again(market: Market, server: SellersServer) -> None:
    listing = await sold(market, server)
    for status in (301, 307, 400, 401, 404, 408, 422, 501, 505):
        server.then = [plain("no", status)]
        _, order = await bought(market, server, listing)
        await until(market, order, delivery_status="failed")
        [attempt] = (await callback(market, order, 1))["attempts"]
        assert (attempt["status_code"], attempt["answer"]) == (status, "no")
    market.later(seconds=10)
    assert server.calls.empty()


async def failing(market: Market, server: SellersServer, **fields: Any) -> Any:
    """Buy something whose server fails three times, and return the order."""
    server.then = [plain("down", 503)] * 3
    _, order = await bought(market, server, await sold(market, server, **fields))
    for number, seconds in ((1, 1), (2, 3)):
        await callback(market, order, number)
        market.later(seconds=seconds)
        await server.next()
    await callback(market, order, 3)
    return order


async def test_dw_27_after_the_third_failure_buyer_and_seller_are_told_and_the_order_waits(
    market: Market, server: SellersServer
) -> None:
    order = await until(market, await failing(market, server), delivery_status="failed")
    assert (order["status"], order["payment_status"]) == ("processing", "paid")
    assert [(one["code"], one["priority"]) for one in order["readiness"]["actions"]] == [
        ("callback_failed", "required"),
        ("fulfillment_pending", "suggested"),
    ]
    assert order["readiness"]["next"]["resolve"] == {"method": "POST", "endpoint": f"/v1/orders/{order['id']}/retry"}
    assert "Your server answered 503 Service Unavailable." in order["readiness"]["next"]["message"]
    assert await letters(market, 2) == {
        "ada@example.com": "Your order takes a little longer: Pro Pack",
        "seller@example.com": "Your server did not deliver an order: Pro Pack",
    }
    page = await market.shop.get(order["access_url"].removeprefix(market.shop.tools.base_url), key=None)
    assert page.status == 200
    assert "takes a little longer" in page.text
    assert [event["type"] for event in await market.events()] == ["order.paid"]
    assert server.calls.empty()


async def test_dw_27_retry_calls_again_with_the_same_key(market: Market, server: SellersServer) -> None:
    order = await until(market, await failing(market, server), delivery_status="failed")
    await letters(market, 2)
    asked = expect(await market.shop.post(f"/v1/orders/{order['id']}/retry"), 200)
    assert (asked["delivery_status"], asked["readiness"]["actions"]) == ("pending", [])
    called = await server.next()
    told_of = await callback(market, order)
    assert called.headers["x-shoppex-idempotency-key"] == told_of["id"]
    assert called.json == told_of["body"]
    done = await until(market, order, status="fulfilled")
    assert (done["delivered_items"], done["delivery_status"]) == (GOODS["data"], "delivered")
    assert await letters(market, 1) == {"ada@example.com": "Your order is ready: Pro Pack"}
    late = await market.shop.post(f"/v1/orders/{order['id']}/retry")
    assert (late.status, late.json["code"]) == (409, "invalid_transition")


async def test_dw_27_a_second_round_that_fails_is_told_to_the_seller_alone(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(market, server)
    server.then = [plain("no", 400)] * 2
    _, order = await bought(market, server, listing)
    await until(market, order, delivery_status="failed")
    await letters(market, 2)
    expect(await market.shop.post(f"/v1/orders/{order['id']}/retry"), 200)
    await server.next()
    await until(market, order, delivery_status="failed")
    assert set(await letters(market, 1)) == {"seller@example.com"}
    assert market.outside.letters.empty()
    assert len((await callback(market, order, 2))["attempts"]) == 2


async def test_dw_27_fulfill_resolves_it_by_hand(market: Market, server: SellersServer) -> None:
    order = await until(market, await failing(market, server), delivery_status="failed")
    goods = {"deliverables": [{"type": "text", "value": "by hand"}]}
    done = expect(await market.shop.post(f"/v1/orders/{order['id']}/fulfill", json=goods), 200)
    assert (done["status"], done["delivery_status"], done["delivered_items"]) == ("fulfilled", "delivered", None)
    page = await market.shop.get(order["access_url"].removeprefix(market.shop.tools.base_url), key=None)
    assert "by hand" in page.text


async def test_dw_27_with_on_callback_failure_generated_the_order_simply_waits(
    market: Market, server: SellersServer
) -> None:
    order = await failing(market, server, on_callback_failure="generated")
    waits = await until(market, order, delivery_status=None)
    assert (waits["status"], waits["readiness"]["next"]["code"]) == ("processing", "fulfillment_pending")
    assert "answered 503" in waits["readiness"]["next"]["message"]
    assert await letters(market, 1) == {"seller@example.com": "Your server did not deliver an order: Pro Pack"}
    page = await market.shop.get(waits["access_url"].removeprefix(market.shop.tools.base_url), key=None)
    assert "is being prepared" in page.text
    expect(await market.shop.post(f"/v1/orders/{order['id']}/retry"), 200)
    await server.next()
    await until(market, order, status="fulfilled")


async def test_dw_27_what_is_not_dynamic_has_no_call_to_make_again(market: Market, server: SellersServer) -> None:
    order = await market.order(await market.buy(await market.generated()))
    refused = await market.shop.post(f"/v1/orders/{order['id']}/retry")
    assert (refused.status, refused.json["code"]) == (409, "invalid_transition")
    assert (await market.shop.get(f"/v1/orders/{order['id']}/callback")).status == 404
    assert server.calls.empty()


# Meanwhile


async def test_an_answer_after_the_seller_delivered_by_hand_changes_nothing(
    market: Market, server: SellersServer
) -> None:
    server.gate.clear()
    _, order = await bought(market, server)
    goods = {"type": "text", "value": "by hand"}
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=goods), 200)
    server.gate.set()
    told_of = await callback(market, order, 1)
    done = await until(market, order, status="fulfilled")
    assert (told_of["status"], done["delivered_items"]) == ("answered", None)
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    assert await letters(market, 1) == {"ada@example.com": "Your order is ready: Pro Pack"}
    assert market.outside.letters.empty()


async def test_an_answer_after_a_refund_is_kept_and_gives_nothing(market: Market, server: SellersServer) -> None:
    server.gate.clear()
    _, order = await bought(market, server)
    expect(await market.shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
    await until(market, order, payment_status="refunded")
    server.gate.set()
    kept = await until(market, order, delivery_status="delivered")
    assert (kept["status"], kept["delivered_items"]) == ("processing", GOODS["data"])
    assert await market.shop.tools.database.value("SELECT count(*) FROM grants") == 0
    page = await market.shop.get(order_path(market, kept), key=None)
    assert page.status == 410
    assert "order.fulfilled" not in [event["type"] for event in await market.events()]


def order_path(market: Market, order: Any) -> str:
    """Return the path of an order's page."""
    found: str = order["access_url"].removeprefix(market.shop.tools.base_url)
    return found


async def test_a_refund_between_two_attempts_calls_the_next_one_off(market: Market, server: SellersServer) -> None:
    server.then = [plain("later", 503)]
    _, order = await bought(market, server)
    await callback(market, order, 1)
    expect(await market.shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
    await until(market, order, payment_status="refunded")
    market.later(seconds=1)
    while await market.shop.tools.database.value("SELECT count(*) FROM jobs WHERE kind = 'fulfillment.call'"):
        pass
    assert (await callback(market, order, 1))["status"] == "withdrawn"
    assert server.calls.empty()


async def test_the_secret_before_a_rotation_signs_until_its_overlap_ends(market: Market, server: SellersServer) -> None:
    listing = await sold(market, server)
    rotation = {"which": "dynamic", "overlap_seconds": 60}
    rotated = expect(await market.shop.post(f"/v1/listings/{listing['id']}/rotate-secret", json=rotation), 200)
    for seconds, secret in ((0, listing["dynamic_webhook_secret"]), (61, rotated["dynamic_webhook_secret"])):
        market.later(seconds=seconds)
        called, _ = await bought(market, server, listing)
        legacy = hmac.new(secret.encode(), called.body, hashlib.sha512).hexdigest()
        assert called.headers["x-shoppex-signature"] == legacy, seconds


async def test_what_was_sent_by_a_worker_that_died_is_sent_again_and_stored_once(
    market: Market, server: SellersServer, clock: FakeClock
) -> None:
    """At least once called, with the same key; once stored, and once told."""
    server.gate.clear()
    first, order = await bought(market, server)
    for task in [*market.app.worker._loops, *market.app.worker._tasks]:
        task.cancel()
    await asyncio.gather(*market.app.worker._loops, *market.app.worker._tasks, return_exceptions=True)
    server.gate.set()
    clock.advance(seconds=46)
    wake = Wake(market.shop.tools.database, clock)
    second_worker = Worker(market.shop.tools, wake, list(market.app.worker._kinds.values()), SLOTS)
    second_worker.start()
    again = await server.next()
    await until(market, order, status="fulfilled")
    await second_worker.stop()
    await wake.close()
    assert again.body == first.body
    assert again.headers["x-shoppex-idempotency-key"] == first.headers["x-shoppex-idempotency-key"]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    assert await market.shop.tools.database.value("SELECT count(*) FROM grants") == 1
    market.app.worker.start()


async def test_a_listing_that_hangs_delays_no_other(market: Market, server: SellersServer) -> None:
    async with sellers_server() as hanging:
        hanging.gate.clear()
        slow = await sold(market, hanging)
        for _ in range(3):
            await bought(market, hanging, slow)
        _, order = await bought(market, server)
        await until(market, order, status="fulfilled")
