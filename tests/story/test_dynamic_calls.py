"""The call that a dynamic order makes to its seller's server: when, with what headers and what body (DW-1 to DW-17, DW-28)."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from calling import GOODS, SellersServer, bought, callback, letters, order_of, sold, until
from calling import text as plain
from fakes import START
from market import PATIENCE, Market, expect
from served import reserved_port

EXAMPLE = json.loads((Path(__file__).parent / "dynamic_example.json").read_text())
GUIDE = Path(__file__).parents[2] / "docs" / "dynamic.md"
PYTHON = [sys.executable, "-u", "-c"]
SERVES = """
import asyncio
from granian.constants import Interfaces
from granian.server.embed import Server
asyncio.run(Server(agent.app, "127.0.0.1", 9000, interface=Interfaces.ASGI, log_enabled=False).serve())
"""
"""What `uvicorn shop:agent.app` does."""
NODE = ["node", "--input-type=module", "-e"]
HANDLER = Path(__file__).parent / "dynamic_handler.mjs"
ASKS = [{"key": "discord_username", "type": "text", "label": "Discord"}]


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
        ("pay", market.till.name),
        ("settle", market.till.name),
        ("answer", "callback"),
    ]
    free, _ = await bought(market, server, await sold(market, server, price=0))
    assert free.json["invoice"]["total"] == "0.00"


async def test_dw_5_it_is_a_post_of_json(market: Market, server: SellersServer) -> None:
    called, _ = await bought(market, server)
    assert called.headers["content-type"] == "application/json"
    assert called.path == "/dynamic"
    assert isinstance(called.json, dict)
    assert called.headers["user-agent"].startswith("Purvey/")


async def test_dw_6_the_headers_are_those_of_the_document_and_no_others(market: Market, server: SellersServer) -> None:
    called, _ = await bought(market, server)
    assert {name for name in called.headers if name.startswith("x-")} == {
        *("x-shoppex-idempotency-key", "x-shoppex-delivery-id", "x-shoppex-timestamp", "x-shoppex-signature-v2"),
        *("x-shoppex-signature-v2-algorithm", "x-shoppex-signature", "x-shoppex-signature-algorithm"),
    }
    assert called.headers["x-shoppex-signature-v2-algorithm"] == "HMAC-SHA256"
    assert called.headers["x-shoppex-signature-algorithm"] == "HMAC-SHA512"
    assert called.headers["x-shoppex-timestamp"] == str(int(START.timestamp()))


async def test_dw_7_the_signature_covers_key_time_and_body_and_the_older_one_the_body(
    market: Market, server: SellersServer
) -> None:
    listing = await sold(market, server)
    called, _ = await bought(market, server, listing)
    secret = listing["dynamic_webhook_secret"].encode()
    headers = called.headers
    message = f"{headers['x-shoppex-delivery-id']}.{headers['x-shoppex-timestamp']}.".encode() + called.body
    v2 = hmac.new(secret, message, hashlib.sha256).hexdigest()
    assert headers["x-shoppex-signature-v2"].endswith(f",h={v2}")
    assert headers["x-shoppex-signature"] == hmac.new(secret, called.body, hashlib.sha512).hexdigest()


async def test_dw_8_the_version_is_a_bare_mark_before_time_and_digest(market: Market, server: SellersServer) -> None:
    called, _ = await bought(market, server)
    mark, timestamp, digest = called.headers["x-shoppex-signature-v2"].split(",")
    assert (mark, timestamp) == ("v1", f"t={called.headers['x-shoppex-timestamp']}")
    assert digest.startswith("h=")
    assert len(digest) == 66
    assert digest == digest.lower()


async def test_dw_9_each_attempt_is_signed_anew(market: Market, server: SellersServer) -> None:
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


async def test_dw_10_the_key_names_order_and_listing(market: Market, server: SellersServer) -> None:
    listing = await sold(market, server)
    called, order = await bought(market, server, listing)
    assert called.headers["x-shoppex-idempotency-key"] == f"dynamic:{order['id']}:{listing['id']}"
    another, _ = await bought(market, server, listing)
    assert another.json["deliveryId"] != called.json["deliveryId"]


async def test_dw_11_what_matters_is_there_in_camel_case_and_snake_case(market: Market, server: SellersServer) -> None:
    called, order = await bought(market, server)
    body = called.json
    pairs = [name for name in body if name != name.lower()]
    assert len(pairs) == 12
    for name in pairs:
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        assert body[snake] == body[name], name
    assert (body["customerEmail"], body["productTitle"], body["quantity"]) == ("ada@example.com", "Pro Pack", 1)
    assert (body["invoiceId"], body["invoiceDbId"]) == (order["id"], order["id"])


async def test_dw_12_the_key_is_the_same_in_both_headers_and_everywhere_in_the_body(
    market: Market, server: SellersServer
) -> None:
    called, _ = await bought(market, server)
    named = [called.json[name] for name in ("deliveryId", "delivery_id", "idempotencyKey", "idempotency_key")]
    assert {*named, called.headers["x-shoppex-delivery-id"]} == {called.headers["x-shoppex-idempotency-key"]}


async def test_dw_13_the_invoice_is_the_order(market: Market, server: SellersServer) -> None:
    called, order = await bought(
        market, server, await sold(market, server, checkout_schema=ASKS), discord_username="tetra"
    )
    assert called.json["invoice"] == EXAMPLE["invoice"] | {
        "id": order["id"],
        "uniqid": order["id"],
        "customer_email": "ada@example.com",
        "country": "",
        "created_at": "2026-04-17T10:23:00.000Z",
        "updated_at": "2026-04-17T10:23:00.000Z",
    }


async def test_dw_14_the_product_is_the_listing(market: Market, server: SellersServer) -> None:
    listing = await sold(market, server)
    called, _ = await bought(market, server, listing)
    assert called.json["product"] == EXAMPLE["product"] | {"id": listing["id"], "uniqid": listing["id"]}


async def test_dw_15_the_shop_is_the_account(market: Market, server: SellersServer) -> None:
    called, _ = await bought(market, server)
    assert called.json["shop"] == {"id": market.shop.account.id, "name": "The Shop"}


async def test_dw_16_the_line_item_is_what_was_bought(market: Market, server: SellersServer) -> None:
    listing = await sold(market, server, checkout_schema=ASKS, metadata={"sku": "P1"})
    called, order = await bought(market, server, listing, discord_username="tetra")
    assert called.json["line_item"] == EXAMPLE["line_item"] | {
        "id": f"{order['id']}:1",
        "product_id": listing["id"],
        "variant_id": "",
        "variant_title": "",
        "metadata": {"sku": "P1"},
    }


def shape(value: Any) -> Any:
    """Return a JSON value with its types in the place of its texts and numbers."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


async def test_dw_17_the_body_has_the_keys_and_types_of_the_document_s_example_in_its_order(
    market: Market, server: SellersServer
) -> None:
    called, _ = await bought(market, server, await sold(market, server, checkout_schema=ASKS), discord_username="tetra")
    body = called.json
    assert shape(body) == shape(EXAMPLE)
    assert list(body) == list(EXAMPLE)
    for one in ("invoice", "product", "shop", "line_item"):
        assert list(body[one]) == list(EXAMPLE[one])


@pytest.mark.parametrize(("currency", "price", "written"), [("JPY", 500, "500.00"), ("KWD", 1500, "1.500")])
async def test_dw_13_money_has_the_places_of_its_currency_and_two_at_least(
    market: Market, server: SellersServer, currency: str, price: int, written: str
) -> None:
    called, _ = await bought(market, server, await sold(market, server, currency=currency, price=price))
    assert called.json["invoice"]["total"] == written
    assert called.json["product"]["price"] == written


# A receiver as the document has it


async def test_dw_28_the_document_s_handler_gives_one_token_however_often_it_is_called(market: Market) -> None:
    """It runs under Node. Its first answer is lost, so that it is called again."""
    market.shop.clock.at = datetime.now(UTC)  # the handler reads the real time
    listing = await market.listing(
        name="Pro Pack",
        content_type="dynamic",
        dynamic_webhook="http://127.0.0.1:1/",
        dynamic_webhook_secret="the secret",
    )
    environment = os.environ | {"SHOPPEX_DYNAMIC_WEBHOOK_SECRET": "the secret"}
    node = await asyncio.create_subprocess_exec("node", str(HANDLER), stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        assert node.stdout is not None
        url = f"http://127.0.0.1:{int(await node.stdout.readline())}/shoppex/dynamic"
        expect(await market.shop.ask("PATCH", f"/v1/listings/{listing['id']}", json={"dynamic_webhook": url}), 200)
        checkout = await market.checkout(listing)
        expect(await market.pay(checkout), 200)
        order = await order_of(market, checkout)
        assert (await callback(market, order, 1))["attempts"][0]["status_code"] == 503
        market.later(seconds=1)
        done = await until(market, order, status="fulfilled")
        sent = expect(await market.shop.get(f"/v1/orders/{order['id']}/callback"), 200)
        async with aiohttp.ClientSession() as session, session.get(url) as issued:
            assert await issued.json() == [done["delivered_items"]["dynamic_response"]]
        assert await refused(url, {}) == 401
        assert await refused(url, signed(sent["id"], b"{}", "another secret")) == 401
        assert await refused(url, signed("", b"{}", "the secret")) == 401
        assert await refused(url, signed("no-key", b"{}", "the secret")) == 400
        cut = signed("x", b"{}", "the secret")["X-Shoppex-Signature-V2"][:-1]
        assert await refused(url, signed("x", b"{}", "the secret") | {"X-Shoppex-Signature-V2": cut}) == 500
    finally:
        node.kill()
        await node.wait()


@pytest.mark.parametrize(
    ("language", "number", "command"), [("python", 0, PYTHON), ("python", 1, PYTHON), ("js", 0, NODE)]
)
async def test_the_guide_s_receiver_answers_a_real_call(
    market: Market, language: str, number: int, command: list[str], tmp_path: Path
) -> None:
    market.shop.clock.at = datetime.now(UTC)
    code = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)[number]
    code += SERVES if "agent.app" in code else ""
    with reserved_port() as port:
        pass
    environment = os.environ | {"DYNAMIC_WEBHOOK_SECRET": "the secret"}
    program = code.replace("9000", str(port))
    receiver = await asyncio.create_subprocess_exec(*command, program, env=environment, cwd=tmp_path)
    try:
        await answering(port)
        listing = await market.listing(
            name="Pack",
            content_type="dynamic",
            dynamic_webhook=f"http://127.0.0.1:{port}/dynamic",
            dynamic_webhook_secret="the secret",
        )
        checkout = await market.checkout(listing)
        expect(await market.pay(checkout), 200)
        done = await until(market, await order_of(market, checkout), status="fulfilled")
        assert done["delivered_items"]["dynamic_response"]["token"]
        assert await refused(f"http://127.0.0.1:{port}/dynamic", {}) == 401
    finally:
        receiver.kill()
        await receiver.wait()


async def answering(port: int) -> None:
    """Return once somebody listens on the port."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return


def signed(key: str, body: bytes, secret: str) -> dict[str, str]:
    """Return headers with a v2 signature, and without an idempotency key."""
    timestamp = str(int(datetime.now(UTC).timestamp()))
    digest = hmac.new(secret.encode(), f"{key}.{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    signature = f"v1,t={timestamp},h={digest}"
    return {"X-Shoppex-Delivery-Id": key, "X-Shoppex-Timestamp": timestamp, "X-Shoppex-Signature-V2": signature}


JSON = {"Content-Type": "application/json"}


async def refused(url: str, headers: dict[str, str]) -> int:
    """Return the status with which the handler answers an empty object."""
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=JSON | headers) as answer:
        return answer.status
