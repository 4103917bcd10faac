"""A dynamic order: its seller's server is called the moment it is paid, and what it answers is what the buyer gets.

The requirements are those of the document about dynamic_webhook, DW-1 to DW-28.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from calling import GOODS, Called, SellersServer, callback, order_of, sellers_server, sold, until
from calling import text as plain
from fakes import START, FakeClock
from market import Market, expect
from purvey.server.fulfillment.kinds.dynamic import answers, rules
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from served import reserved_port

EXAMPLE = json.loads((Path(__file__).parent / "dynamic_example.json").read_text())


@pytest.fixture
async def server() -> AsyncIterator[SellersServer]:
    async with sellers_server() as running:
        yield running


async def bought(market: Market, server: SellersServer, listing: Any = None, **answers: Any) -> tuple[Called, Any]:
    """Buy a dynamic listing; return the call that came and the order's id in the form of an order."""
    checkout = await market.checkout(listing or await sold(market, server), **answers)
    if checkout["amount"]:
        expect(await market.pay(checkout), 200)
    called = await server.next()
    return called, {"id": called.json["invoiceId"]}


async def letters(market: Market, number: int) -> dict[str, str]:
    """Return the subjects of the next mails, by their recipients."""
    found = [await market.outside.next_letter() for _ in range(number)]
    return {str(mail["To"]): str(mail["Subject"]) for mail in found}


# The listing


async def test_dw_1_a_dynamic_webhook_makes_a_dynamic_listing_whose_secret_is_its_own(market: Market) -> None:
    fields = {"name": "Pro Pack", "price": 2999, "dynamic_webhook": "https://dev.example.com/shoppex/dynamic"}
    made = expect(await market.shop.post("/v1/listings", json=fields), 201)
    assert (made["content_type"], made["dynamic_webhook"]) == ("dynamic", fields["dynamic_webhook"])
    assert made["dynamic_webhook_secret"] != made["signing_secret"]
    assert made["readiness"]["next"]["code"] == "publish_listing"
    published = expect(await market.shop.post(f"/v1/listings/{made['id']}/publish"), 200)
    assert published["readiness"]["sellable"]

    refused = await market.shop.ask("PUT", f"/v1/listings/{made['id']}", json={"dynamic_webhook": None})
    assert (refused.status, refused.json["param"]) == (422, "dynamic_webhook")
    nowhere = expect(
        await market.shop.post("/v1/listings", json={"name": "x", "price": 1, "content_type": "dynamic"}), 201
    )
    unready = await market.shop.post(f"/v1/listings/{nowhere['id']}/publish")
    assert (unready.status, unready.json["next"]["code"]) == (409, "set_dynamic_webhook")


async def test_dw_2_the_secret_is_given_or_made_and_shown_in_that_answer_alone(market: Market) -> None:
    fields = {"name": "Pro Pack", "price": 2999, "content_type": "dynamic"}
    given = expect(
        await market.shop.post(
            "/v1/listings",
            json=fields | {"dynamic_webhook": "https://a.example/", "dynamic_webhook_secret": "my secret"},
        ),
        201,
    )
    assert given["dynamic_webhook_secret"] == "my secret"
    later = expect(await market.shop.post("/v1/listings", json=fields), 201)
    assert "dynamic_webhook_secret" not in later
    path = f"/v1/listings/{later['id']}"
    changed = expect(await market.shop.ask("PATCH", path, json={"dynamic_webhook": "https://a.example/"}), 200)
    made = changed["dynamic_webhook_secret"]
    assert made.startswith("whsec_")
    read = expect(await market.shop.get(path), 200)
    assert "dynamic_webhook_secret" not in read
    assert read["dynamic_webhook_secret_preview"] == made[-4:]
    elsewhere = expect(await market.shop.ask("PUT", path, json={"dynamic_webhook": "https://b.example/"}), 200)
    assert "dynamic_webhook_secret" not in elsewhere
    rotated = expect(await market.shop.post(f"{path}/rotate-secret", json={"which": "dynamic"}), 200)
    assert rotated["dynamic_webhook_secret"] not in {made, ""}
    assert rotated["signing_secret_preview"] == read["signing_secret_preview"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://dev.example.com/", "scheme ftp"),
        ("https://user:pass@dev.example.com/", "user name"),
        ("http://169.254.169.254/latest/", "metadata"),
        ("not a url", "U+0020"),
        ("https://dev.example.com/" + "a" * 2048, "2048"),
    ],
)
async def test_dw_3_the_url_is_http_or_https_and_public(market: Market, url: str, said: str) -> None:
    refused = await market.shop.post("/v1/listings", json={"name": "x", "price": 1, "dynamic_webhook": url})
    assert (refused.status, refused.json["param"]) == (422, "dynamic_webhook")
    assert said in refused.text


async def test_dw_3_a_private_address_is_refused_when_it_is_called_too(market: Market, server: SellersServer) -> None:
    """The name may have led elsewhere when it was given."""
    listing = await sold(market, server)
    market.app.outbound._allow_private = False
    checkout = await market.checkout(listing)
    await market.pay(checkout)
    [attempt] = (await callback(market, await order_of(market, checkout), 1))["attempts"]
    assert (attempt["stage"], attempt["status_code"]) == ("address", None)
    assert "loopback" in attempt["error"]
    assert server.calls.empty()


# The call


async def test_dw_4_the_server_is_called_when_the_order_is_paid_and_its_answer_is_the_order_s(
    market: Market, server: SellersServer
) -> None:
    checkout = await market.checkout(await sold(market, server))
    assert server.calls.empty()
    await market.pay(checkout)
    called = await server.next()
    assert called.json["invoice"]["status"] == "COMPLETED"
    order = await until(market, {"id": called.json["invoiceId"]}, status="fulfilled")
    assert order["delivery_status"] == "delivered"
    assert order["delivered_items"] == GOODS["data"]
    assert (order["deliverables"], order["readiness"]["fulfilled"]) == ([], True)
    assert [(event["type"], event["data"]["delivery_status"]) for event in await market.events()] == [
        ("order.paid", "pending"),
        ("order.fulfilled", "delivered"),
    ]
    assert "delivered_items" not in (await market.events())[1]["data"]
    assert await letters(market, 1) == {"ada@example.com": "Your order is ready: Pro Pack"}
    history = expect(await market.shop.get(f"/v1/orders/{order['id']}/history"), 200)["data"]
    assert [(step["action"], step["actor"]) for step in history] == [
        ("pay", "sandbox"),
        ("settle", "sandbox"),
        ("answer", "callback"),
    ]
    free, _ = await bought(market, server, await sold(market, server, price=0))
    assert free.json["invoice"]["total"] == "0.00"


async def test_dw_5_dw_6_dw_7_dw_8_dw_12_the_headers_and_their_signatures(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(market, server)
    called, order = await bought(market, server, listing)
    secret = listing["dynamic_webhook_secret"].encode()
    key = f"dynamic:{order['id']}:{listing['id']}"
    timestamp = str(int(START.timestamp()))
    v2 = hmac.new(secret, f"{key}.{timestamp}.".encode() + called.body, hashlib.sha256).hexdigest()
    assert {name: value for name, value in called.headers.items() if name.startswith(("x-", "content-t"))} == {
        "content-type": "application/json",
        "x-shoppex-idempotency-key": key,
        "x-shoppex-delivery-id": key,
        "x-shoppex-timestamp": timestamp,
        "x-shoppex-signature-v2": f"v1,t={timestamp},h={v2}",
        "x-shoppex-signature-v2-algorithm": "HMAC-SHA256",
        "x-shoppex-signature": hmac.new(secret, called.body, hashlib.sha512).hexdigest(),
        "x-shoppex-signature-algorithm": "HMAC-SHA512",
    }
    assert called.headers["user-agent"].startswith("Purvey/")
    body = called.json
    assert {body[name] for name in ("deliveryId", "delivery_id", "idempotencyKey", "idempotency_key")} == {key}


async def test_dw_9_dw_10_each_attempt_is_signed_anew_and_has_the_same_key_and_body(
    market: Market, server: SellersServer
) -> None:
    server.then = [plain("", 503), plain("", 503)]
    first, order = await bought(market, server)
    await callback(market, order, 1)
    market.later(seconds=1)
    second = await server.next()
    await callback(market, order, 2)
    market.later(seconds=3)
    third = await server.next()
    await until(market, order, status="fulfilled")
    assert first.body == second.body == third.body
    keys = {call.headers["x-shoppex-idempotency-key"] for call in (first, second, third)}
    assert keys == {first.json["idempotencyKey"]}
    times = [int(call.headers["x-shoppex-timestamp"]) for call in (first, second, third)]
    assert times == [int(START.timestamp()) + seconds for seconds in (0, 1, 4)]
    assert len({call.headers["x-shoppex-signature-v2"] for call in (first, second, third)}) == 3
    assert len({call.headers["x-shoppex-signature"] for call in (first, second, third)}) == 1


def shape(value: Any) -> Any:
    """Return a JSON value with its types in the place of its texts and numbers."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


async def test_dw_11_dw_13_dw_14_dw_15_dw_16_dw_17_the_body_has_the_shape_of_the_document_s_example(
    market: Market, server: SellersServer
) -> None:
    asks = [{"key": "discord_username", "type": "text", "label": "Discord"}]
    listing = await sold(market, server, checkout_schema=asks)
    called, order = await bought(market, server, listing, discord_username="tetra")
    body = called.json
    assert shape(body) == shape(EXAMPLE)
    assert list(body) == list(EXAMPLE)
    for one in ("invoice", "product", "shop", "line_item"):
        assert list(body[one]) == list(EXAMPLE[one])
    account = market.shop.account
    assert body["shop"] == {"id": account.id, "name": "The Shop"}
    assert body["invoice"] == EXAMPLE["invoice"] | {
        "id": order["id"],
        "uniqid": order["id"],
        "customer_email": "ada@example.com",
        "country": "",
        "created_at": "2026-04-17T10:23:00.000Z",
        "updated_at": "2026-04-17T10:23:00.000Z",
    }
    assert body["product"] == EXAMPLE["product"] | {"id": listing["id"], "uniqid": listing["id"]}
    assert body["line_item"] == EXAMPLE["line_item"] | {
        "id": f"{order['id']}:1",
        "product_id": listing["id"],
        "variant_id": "",
        "variant_title": "",
    }
    assert (body["customerEmail"], body["productTitle"], body["quantity"]) == ("ada@example.com", "Pro Pack", 1)
    pairs = [name for name in body if name != name.lower()]
    assert len(pairs) == 12
    for name in pairs:
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        assert body[snake] == body[name], name


@pytest.mark.parametrize(("currency", "price", "written"), [("JPY", 500, "500.00"), ("KWD", 1500, "1.500")])
async def test_dw_13_money_has_the_places_of_its_currency_and_two_at_least(
    market: Market, server: SellersServer, currency: str, price: int, written: str
) -> None:
    called, _ = await bought(market, server, await sold(market, server, currency=currency, price=price))
    assert called.json["invoice"]["total"] == written
    assert called.json["product"]["price"] == written


# The answer

ACCEPTED: list[tuple[str, str, Any]] = [
    ("dw_18 recommended", json.dumps(GOODS), GOODS["data"]),
    (
        "dw_19 an object",
        '{"service_text": "Hello"}',
        {"service_text": "Hello", "deliveryType": "DYNAMIC", "count": 1},
    ),
    (
        "dw_20 the nested object alone",
        '{"data": {"dynamic_response": {"token": "x"}}, "service_text": "left out"}',
        {"dynamic_response": {"token": "x"}, "deliveryType": "DYNAMIC", "count": 1},
    ),
    (
        "dw_20 another data is no wrapper",
        '{"data": [1, 2], "service_text": "kept"}',
        {"data": [1, 2], "service_text": "kept", "deliveryType": "DYNAMIC", "count": 1},
    ),
    ("dw_21 what is there stays", '{"deliveryType": "OTHER", "count": 7}', {"deliveryType": "OTHER", "count": 7}),
    ("dw_21 nothing at all", "{}", {"deliveryType": "DYNAMIC", "count": 1}),
    ("dw_21 nothing in it", '{"data": {}}', {"deliveryType": "DYNAMIC", "count": 1}),
    ("dw_22 a JSON string", '"dyn_123"', {"dynamic_response": "dyn_123", "deliveryType": "DYNAMIC", "count": 1}),
    ("dw_22 a text", "dyn 123\nline", {"dynamic_response": "dyn 123\nline", "deliveryType": "DYNAMIC", "count": 1}),
    ("dw_22 broken JSON", '{"a": 1', {"dynamic_response": '{"a": 1', "deliveryType": "DYNAMIC", "count": 1}),
    ("dw_23 empty", "", {"service_text": answers.FALLBACK, "deliveryType": "DYNAMIC", "count": 0}),
    ("dw_23 white space", " \r\n\t", {"service_text": answers.FALLBACK, "deliveryType": "DYNAMIC", "count": 0}),
]


async def test_dw_18_dw_19_dw_20_dw_21_dw_22_dw_23_every_accepted_answer_is_stored_as_it_should(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(market, server)
    for name, body, stored in ACCEPTED:
        server.then = [plain(body)]
        _, order = await bought(market, server, listing)
        assert (await until(market, order, status="fulfilled"))["delivered_items"] == stored, name
    for status in (201, 202, 204):
        server.then = [plain("", status)]
        _, order = await bought(market, server, listing)
        assert (await until(market, order, status="fulfilled"))["delivered_items"]["count"] == 0


async def test_dw_19_any_other_answer_is_an_unsupported_response_and_fails_at_once(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(market, server)
    for body in ('""', "[]", "1", "-1.5", "true", "null", '{"a":"' + "x" * 1_048_576 + '"}', b"\xff\xfe"):
        server.then = [plain(body)]
        _, order = await bought(market, server, listing)
        failed = await until(market, order, delivery_status="failed")
        assert (failed["status"], failed["delivered_items"]) == ("processing", None)
        [attempt] = (await callback(market, order, 1))["attempts"]
        assert attempt["error"].startswith("unsupported_response: "), body
    assert server.calls.empty()


async def test_dw_24_the_buyer_reads_the_text_and_finds_the_values(market: Market, server: SellersServer) -> None:
    checkout = await market.checkout(await sold(market, server))
    await market.pay(checkout)
    called = await server.next()
    await until(market, {"id": called.json["invoiceId"]}, status="fulfilled")
    back = await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)
    page = (await market.shop.get(back.headers["Location"], key=None)).text
    assert "Use this token in the bot." in page
    assert "dyn_123" in page
    assert "2026-12-31T23:59:59.000Z" in page


# Attempts


def test_dw_25_an_attempt_has_15_seconds_and_the_next_follows_after_1_and_then_3() -> None:
    assert rules.DEADLINE == 15.0
    assert rules.DELAYS == (1.0, 3.0)


async def test_dw_25_dw_26_what_may_pass_is_tried_three_times(
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
    second_worker = Worker(market.shop.tools, wake, list(market.app.worker._kinds.values()), market.app.worker._slots)
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
