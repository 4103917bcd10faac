"""Which answers of a seller's server are accepted, how each is stored, and how the buyer sees it (DW-18 to DW-24)."""

import hashlib
import hmac
import json
from typing import Any

from calling import GOODS, SellersServer, bought, callback, sold, until
from calling import text as plain
from market import Market, expect
from purvey.server.fulfillment.kinds.dynamic import answers

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


async def stored(market: Market, server: SellersServer, number: int) -> None:
    """Hold the answers of a requirement to what is stored of them."""
    listing = await sold(market, server)
    for name, body, wanted in [one for one in ACCEPTED if one[0].startswith(f"dw_{number} ")]:
        server.then = [plain(body)]
        _, order = await bought(market, server, listing)
        assert (await until(market, order, status="fulfilled"))["delivered_items"] == wanted, name


async def test_dw_18_any_2xx_is_success_and_the_recommended_answer_is_stored(
    market: Market, server: SellersServer
) -> None:
    await stored(market, server, 18)
    for status in (201, 204):
        server.then = [plain("", status)]
        _, order = await bought(market, server)
        assert (await until(market, order, status="fulfilled"))["delivered_items"]["count"] == 0


async def test_dw_20_data_that_is_an_object_is_stored_and_nothing_around_it(
    market: Market, server: SellersServer
) -> None:
    await stored(market, server, 20)


async def test_dw_21_type_and_count_are_added_where_they_are_missing(market: Market, server: SellersServer) -> None:
    await stored(market, server, 21)


async def test_dw_22_a_text_is_stored_as_the_response(market: Market, server: SellersServer) -> None:
    await stored(market, server, 22)


async def test_dw_23_an_empty_answer_is_a_fallback_message_and_count_0(market: Market, server: SellersServer) -> None:
    await stored(market, server, 23)


async def test_dw_19_an_object_is_accepted_and_any_other_answer_is_an_unsupported_response_and_fails_at_once(
    market: Market, server: SellersServer
) -> None:
    await stored(market, server, 19)
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


# A test


async def test_a_test_call_shows_request_answer_and_what_would_be_stored_and_stores_nothing(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(
        market, server, checkout_schema=[{"key": "size", "type": "select", "label": "Size", "options": ["S", "M"]}]
    )
    path = f"/v1/listings/{listing['id']}/test-callback"
    told = expect(await market.shop.post(path), 200)
    called = await server.next()
    assert (told["status"], told["delivered_items"]) == ("accepted", GOODS["data"])
    assert told["request"]["body"] == called.json
    assert called.json["customFields"] == {"size": "S"}
    assert told["request"]["headers"]["X-Shoppex-Signature-V2"] == called.headers["x-shoppex-signature-v2"]
    digest = hmac.new(listing["dynamic_webhook_secret"].encode(), called.body, hashlib.sha512).hexdigest()
    assert called.headers["x-shoppex-signature"] == digest
    for answer, status, said in (
        (plain("x", 503), "would_retry", "503"),
        (plain("[]"), "failed", "unsupported_response"),
    ):
        server.then = [answer]
        told = expect(await market.shop.post(path), 200)
        assert told["status"] == status
        assert said in told["error"]
        assert told["delivered_items"] is None
    for _ in range(7):
        expect(await market.shop.post(path), 200)
    assert (await market.shop.post(path)).status == 429
    assert await market.shop.tools.database.value("SELECT count(*) FROM orders") == 0
    assert await market.shop.tools.database.value("SELECT count(*) FROM callbacks") == 0
    nowhere = await market.listing(name="x", content_type="dynamic", publish=False)
    assert (await market.shop.post(f"/v1/listings/{nowhere['id']}/test-callback")).status == 409
