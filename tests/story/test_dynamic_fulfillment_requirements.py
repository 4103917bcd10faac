"""The requirements DF-1 to DF-22, each by its number: content made for one order, from the listing to the buyer's page."""

import hashlib
import hmac
import json
import re
from typing import Any

import aiohttp
import pytest

from market import Bought, Market, expect, looks

BIRTH_DATE = {"key": "birth_date", "type": "date", "label": "Your birth date", "required": True}
FOCUS = {
    "key": "zodiac_focus",
    "type": "select",
    "label": "Reading focus",
    "required": False,
    "options": ["Career", "Love", "Health", "General"],
}
HOROSCOPE = {"name": "Personal Horoscope Reading", "price": 500, "fulfillment": "external"}
PDF = b"%PDF-1.7 a report made for one order"


async def bought(market: Market, **fields: Any) -> Bought:
    """Return an order of the horoscope that waits for its content."""
    listing = await market.generated(checkout_schema=[BIRTH_DATE, FOCUS], **fields)
    return await market.buy(listing, birth_date="1990-05-15", zodiac_focus="Love")


async def deliver(market: Market, order_id: str, body: object, status: int = 200) -> Any:
    """Push content to an order as the document has it, and return the answer."""
    return expect(await market.shop.post(f"/v1/orders/{order_id}/deliver", json=body), status)


async def upload(market: Market, content: bytes = PDF, filename: str = "generated-report.pdf") -> Any:
    """Upload a file as `curl -F file=@...` does, and return the answer."""
    form = aiohttp.FormData()
    form.add_field("file", content, filename=filename, content_type="application/pdf")
    return expect(await market.shop.post("/v1/files", data=form), 201)


async def order_paid(market: Market) -> Any:
    """Return the event that the seller's program is told of next."""
    return json.loads((await market.outside.next_hook()).body)


async def link_on(market: Market, access: str) -> str:
    """Return the one download link on an access page."""
    page = await market.shop.get(access, key=None)
    found: set[str] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    [link] = found
    return link


async def test_df_1_a_key_that_begins_with_lb_is_the_bearer_token(market: Market) -> None:
    assert market.shop.key.startswith("lb_")
    expect(await market.shop.get("/v1/listings", key=None, headers={"Authorization": f"Bearer {market.shop.key}"}), 200)
    refused = expect(await market.shop.get("/v1/listings", key=None), 401)
    assert refused["code"] == "authentication_error"


async def test_df_2_a_listing_takes_name_price_fulfillment_and_checkout_schema(market: Market) -> None:
    made = expect(await market.shop.post("/v1/listings", json=HOROSCOPE | {"checkout_schema": [BIRTH_DATE]}), 201)
    assert {name: made[name] for name in HOROSCOPE} == HOROSCOPE
    assert made["content_type"] == "generated"


async def test_df_3_a_question_has_key_type_label_required_and_options(market: Market) -> None:
    company = {"key": "company_name", "type": "text", "label": "Company", "required": True}
    schema = [BIRTH_DATE, FOCUS, company]
    made = expect(await market.shop.post("/v1/listings", json=HOROSCOPE | {"checkout_schema": schema}), 201)
    shown = [
        {name: value for name, value in field.items() if name in told}
        for field, told in zip(made["checkout_schema"], schema, strict=True)
    ]
    assert shown == schema


async def test_df_4_an_optional_answer_may_be_missing(market: Market) -> None:
    await market.buy(await market.generated(checkout_schema=[BIRTH_DATE, FOCUS]), birth_date="1990-05-15")
    data = (await order_paid(market))["data"]
    assert data["checkout_data"].get("zodiac_focus", "General") == "General"


async def test_df_5_the_answers_come_keyed_by_the_schema(market: Market) -> None:
    await bought(market)
    event = await order_paid(market)
    assert event["data"]["checkout_data"] == {"birth_date": "1990-05-15", "zodiac_focus": "Love"}


async def test_df_6_the_payment_posts_order_paid_to_the_webhook(market: Market) -> None:
    await bought(market)
    hook = await market.outside.next_hook()
    assert hook.headers["Content-Type"].startswith("application/json")
    assert {"type", "data"} <= set(json.loads(hook.body))
    assert json.loads(hook.body)["type"] == "order.paid"


async def test_df_7_the_event_is_a_whole_snapshot_of_the_order(market: Market) -> None:
    order = await market.order(await bought(market))
    data = (await order_paid(market))["data"]
    assert (data["order_id"], data["buyer_email"]) == (order["id"], "ada@example.com")
    not_told = {"status", "deliverables", "delivered_items", "access_url", "readiness", "held_at"}
    assert {name: value for name, value in order.items() if name not in not_told}.items() <= data.items()


async def test_df_8_the_signature_is_the_hex_hmac_of_the_raw_body(market: Market) -> None:
    listing = await market.generated()
    await market.buy(listing)
    hook = await market.outside.next_hook()
    expected = hmac.new(listing["signing_secret"].encode(), hook.body, hashlib.sha256).hexdigest()
    assert hook.headers["X-ListBee-Signature"] == expected


async def test_df_9_the_secret_is_a_whsec_and_an_answer_of_400_is_a_failure(market: Market) -> None:
    market.outside.answers = [400]
    listing = await market.generated()
    assert listing["signing_secret"].startswith("whsec_")
    await market.buy(listing)
    first = await market.outside.next_hook()
    await recorded(market)
    market.later(seconds=37)
    assert (await market.outside.next_hook()).body == first.body


async def recorded(market: Market) -> None:
    """Return once an attempt is on record; each look gives the worker its turn."""
    async for _ in looks():
        if await market.shop.tools.database.rows("SELECT FROM deliveries WHERE attempts > 0"):
            return
    pytest.fail("no attempt was recorded")


async def test_df_10_content_is_pushed_to_the_order_that_the_event_names(market: Market) -> None:
    await bought(market)
    order_id = (await order_paid(market))["data"]["order_id"]
    assert (await deliver(market, order_id, {"type": "text", "value": "Rest."}))["id"] == order_id


async def test_df_11_the_body_is_flat(market: Market) -> None:
    token = (await upload(market))["id"]
    for body in (
        {"type": "file", "token": token},
        {"type": "url", "value": "https://generated-content.example.com/report"},
        {"type": "text", "value": "Your generated content here..."},
    ):
        order = await market.order(await bought(market))
        [held] = (await deliver(market, order["id"], body))["deliverables"]
        assert body.items() <= held.items()


@pytest.mark.parametrize("body", [{}, {"value": "https://example.com/report"}, {"token": "file_1"}])
async def test_df_12_without_a_type_nothing_is_guessed(market: Market, body: dict[str, str]) -> None:
    order = await market.order(await bought(market))
    refused = await deliver(market, order["id"], body, 422)
    assert refused["param"] == "type"
    assert (await market.order_by_id(order["id"]))["status"] == "processing"


async def test_df_13_a_file_has_a_token_and_the_others_a_value(market: Market) -> None:
    order = await market.order(await bought(market))
    for body, fields in (
        ({"type": "file", "value": "https://example.com"}, {"token", "value"}),
        ({"type": "file"}, {"token"}),
        ({"type": "url", "token": "file_1"}, {"value", "token"}),
        ({"type": "text"}, {"value"}),
    ):
        refused = await deliver(market, order["id"], body, 422)
        assert {fault["loc"][-1] for fault in refused["errors"]} == fields
    assert (await market.order_by_id(order["id"]))["status"] == "processing"


async def test_df_14_an_uploaded_file_has_an_id_which_is_its_token(market: Market) -> None:
    token = (await upload(market))["id"]
    assert token.startswith("file_")
    order = await market.order(await bought(market))
    done = await deliver(market, order["id"], {"type": "file", "token": token})
    assert done["deliverables"][0]["token"] == token


async def test_df_15_the_answer_is_the_fulfilled_order(market: Market) -> None:
    order = await market.order(await bought(market))
    done = await deliver(market, order["id"], {"type": "text", "value": "Rest."})
    assert (done["object"], done["status"]) == ("order", "fulfilled")
    assert done == await market.order_by_id(order["id"])


async def test_df_16_content_grant_mail_and_event_follow_from_a_delivery(market: Market) -> None:
    paid = await bought(market)
    order = await market.order(paid)
    await market.outside.next_letter()
    await deliver(market, order["id"], {"type": "text", "value": "Rest."})
    assert "Rest." in (await market.shop.get(paid.access, key=None)).text
    letter = await market.outside.next_letter()
    assert letter["To"] == "ada@example.com"
    assert order["access_url"] in str(letter.get_body(("plain",)))
    assert (await market.events())[-1]["type"] == "order.fulfilled"


async def test_df_17_a_file_is_downloaded_a_url_redirects_and_a_text_is_shown(market: Market) -> None:
    one, two, three = [await bought(market) for _ in range(3)]
    token = (await upload(market))["id"]
    await deliver(market, (await market.order(one))["id"], {"type": "file", "token": token})
    file = await market.shop.get(await link_on(market, one.access), key=None)
    assert (file.status, file.body) == (200, PDF)
    assert "generated-report.pdf" in file.headers["Content-Disposition"]
    await deliver(market, (await market.order(two))["id"], {"type": "url", "value": "https://example.com/report"})
    opened = await market.shop.get(await link_on(market, two.access), key=None)
    assert (opened.status, opened.headers["Location"]) == (302, "https://example.com/report")
    await deliver(market, (await market.order(three))["id"], {"type": "text", "value": "Venus & Mars"})
    assert "Venus &amp; Mars" in (await market.shop.get(three.access, key=None)).text


async def test_df_18_paid_told_delivered_mailed_and_told_again(market: Market) -> None:
    paid = await bought(market)
    assert (await market.outside.next_letter())["To"] == "ada@example.com"
    assert (await order_paid(market))["data"]["checkout_data"]["birth_date"] == "1990-05-15"
    await deliver(market, (await market.order(paid))["id"], {"type": "text", "value": "Rest."})
    assert (await order_paid(market))["type"] == "order.fulfilled"
    assert paid.access in str((await market.outside.next_letter()).get_body(("plain",)))


async def test_df_19_nothing_is_fulfilled_before_the_delivery(market: Market) -> None:
    paid = await bought(market)
    assert [event["type"] for event in await market.events()] == ["order.paid"]
    await deliver(market, (await market.order(paid))["id"], {"type": "text", "value": "Rest."})
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_df_20_the_documented_listing_is_taken_as_it_stands(market: Market) -> None:
    made = expect(
        await market.shop.post("/v1/listings", json=HOROSCOPE | {"checkout_schema": [BIRTH_DATE, FOCUS]}), 201
    )
    expect(await market.shop.post(f"/v1/listings/{made['id']}/publish"), 200)
    page = await market.shop.get(made["url"].removeprefix(market.shop.url), key=None)
    assert all(
        text in page.text for text in ("Your birth date", "Reading focus", "Career", "Personal Horoscope Reading")
    )


async def test_df_21_the_event_has_the_documented_shape(market: Market) -> None:
    await bought(market)
    event = await order_paid(market)
    assert event["type"] == "order.paid"
    assert event["data"]["order_id"].startswith("ord_")
    assert event["data"]["buyer_email"] == "ada@example.com"
    assert event["data"]["checkout_data"] == {"birth_date": "1990-05-15", "zodiac_focus": "Love"}


async def test_df_22_the_answer_to_an_upload_has_the_id(market: Market) -> None:
    file = await upload(market)
    assert (file["object"], file["filename"], file["size"]) == ("file", "generated-report.pdf", len(PDF))
    assert file["sha256"] == hashlib.sha256(PDF).hexdigest()
