"""From product page to content, for each content type, as buyers and sellers see it."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from fakes import FakeClock
from market import Bought, Hook, Market, expect, looks

QUESTIONS = [
    {"key": "birth_date", "type": "date", "label": "Your birth date", "required": True},
    {
        "key": "zodiac_focus",
        "type": "select",
        "label": "Reading focus",
        "required": False,
        "options": ["Career", "Love"],
    },
]


async def delivered(market: Market, bought: Bought, body: Any, route: str = "deliver") -> Any:
    """Deliver to a bought order and return the order."""
    order = await market.order(bought)
    return expect(await market.shop.post(f"/v1/orders/{order['id']}/{route}", json=body), 200)


async def test_a_static_order_is_opened_at_once_fu_3(market: Market) -> None:
    bought = await market.buy(await market.listing())
    page = await market.shop.get(bought.access, key=None)
    assert (page.status, page.headers["Cache-Control"]) == (200, "private, no-store")
    assert "the goods" in page.text
    order = await market.order(bought)
    assert (order["status"], order["content_type"], order["fulfillment"]) == ("fulfilled", "static", "managed")
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    letter = await market.outside.next_letter()
    assert bought.access in str(letter.get_body(("plain",)))
    assert "the goods" not in letter.as_string()


async def test_a_generated_order_waits_and_then_shows_its_content_fu_4_df_18(market: Market) -> None:
    bought = await market.buy(await market.generated(checkout_schema=QUESTIONS), birth_date="1990-05-15")
    waiting = await market.shop.get(bought.access, key=None)
    assert waiting.status == 200
    assert 'http-equiv="refresh"' in waiting.text
    assert [event["type"] for event in await market.events()] == ["order.paid"]
    order = await delivered(market, bought, {"type": "text", "value": "Taurus: <b>rest</b>."})
    assert (order["status"], order["object"]) == ("fulfilled", "order")
    assert order["deliverables"][0]["value"] == "Taurus: <b>rest</b>."
    page = await market.shop.get(bought.access, key=None)
    assert "Taurus: &lt;b&gt;rest&lt;/b&gt;." in page.text
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    subjects = [str((await market.outside.next_letter())["Subject"]) for _ in range(2)]
    assert len(set(subjects)) == 2


async def test_a_webhook_order_is_handed_off_fu_5(market: Market) -> None:
    listing = await market.listing(content_type="webhook", agent_callback_url=market.outside.hook_url)
    bought = await market.buy(listing)
    order = await market.order(bought)
    assert (order["status"], order["access_url"]) == ("handed_off", None)
    assert order["handed_off_at"] is not None
    hook = json.loads((await market.outside.next_hook()).body)
    assert (hook["type"], hook["data"]["status"]) == ("order.paid", "paid")
    assert [event["type"] for event in await market.events()] == ["order.paid"]
    assert market.outside.letters.empty()


async def test_the_webhook_carries_the_answers_and_a_signature_df_5_df_8(market: Market) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    await market.buy(listing, birth_date="1990-05-15")
    hook = await market.outside.next_hook()
    signature = hmac.new(listing["signing_secret"].encode(), hook.body, hashlib.sha256).hexdigest()
    assert hook.headers["X-ListBee-Signature"] == signature
    assert hook.headers["X-ListBee-Event"] == "order.paid"
    data = json.loads(hook.body)["data"]
    assert data["checkout_data"] == {"birth_date": "1990-05-15"}
    assert data["buyer_email"] == "ada@example.com"
    assert data["order_id"] == data["id"]


async def test_the_log_holds_the_very_bytes_that_were_sent_ev_9(market: Market) -> None:
    await market.buy(await market.generated())
    sent = (await market.outside.next_hook()).body
    log = await market.shop.get("/v1/events")
    assert sent in log.body
    one = await market.shop.get(f"/v1/events/{json.loads(sent)['id']}")
    assert one.body == sent


async def test_a_failed_webhook_comes_again_with_the_same_event_id(market: Market) -> None:
    market.outside.answers = [500]
    await market.buy(await market.generated())
    first = await market.outside.next_hook()
    [delivery] = await until_recorded(market, attempts=1)
    assert delivery["status"] == "waiting"
    market.later(seconds=37)
    second = await market.outside.next_hook()
    assert second.body == first.body
    assert second.headers["webhook-id"] == first.headers["webhook-id"]


async def until_recorded(market: Market, attempts: int) -> list[Any]:
    """Return the deliveries once one has that many attempts; each look gives the worker its turn."""
    async for _ in looks():
        rows = await market.shop.tools.database.rows("SELECT status, attempts FROM deliveries")
        if any(row["attempts"] >= attempts for row in rows):
            return rows
    raise AssertionError("no attempt was recorded")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "url", "value": "https://generated.example.com/report"},
        {"deliverables": [{"type": "url", "value": "https://generated.example.com/report"}]},
        {"deliverable": {"type": "url", "value": "https://generated.example.com/report"}},
    ],
)
@pytest.mark.parametrize("route", ["deliver", "fulfill"])
async def test_a_url_is_opened_through_a_counted_link_df_17_fu_12(market: Market, body: Any, route: str) -> None:
    bought = await market.buy(await market.generated())
    await delivered(market, bought, body, route)
    page = await market.shop.get(bought.access, key=None)
    [link] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    assert "generated.example.com/report" not in page.text
    for _ in range(3):
        assert (await market.shop.ask("HEAD", link, key=None)).status == 302
    for _ in range(10):
        opened = await market.shop.get(link, key=None)
        assert (opened.status, opened.headers["Location"]) == (302, "https://generated.example.com/report")
    assert (await market.shop.get(link, key=None)).status == 410
    used_up = await market.shop.get(bought.access, key=None)
    assert used_up.status == 410
    assert "mailto:" in used_up.text


async def test_ten_openings_never_become_eleven(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[{"type": "url", "value": "https://example.com/kit"}]))
    page = await market.shop.get(bought.access, key=None)
    [link] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    replies = await asyncio.gather(*[market.shop.get(link, key=None) for _ in range(60)])
    assert sorted(reply.status for reply in replies) == [302] * 10 + [410] * 50


async def test_a_grant_ends_after_48_hours_fu_11(market: Market, clock: FakeClock) -> None:
    bought = await market.buy(await market.listing(deliverables=[{"type": "url", "value": "https://example.com/kit"}]))
    page = await market.shop.get(bought.access, key=None)
    [link] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    clock.advance(hours=47, minutes=59)
    assert (await market.shop.get(link, key=None)).status == 302
    clock.advance(minutes=1)
    assert (await market.shop.get(link, key=None)).status == 410
    assert (await market.shop.get(bought.access, key=None)).status == 410


async def test_a_link_that_was_not_made_here_opens_nothing(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[{"type": "url", "value": "https://example.com/kit"}]))
    page = await market.shop.get(bought.access, key=None)
    [link] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    head, signature = link.rsplit("/", 1)
    assert (await market.shop.get(f"{head}/{signature[::-1]}", key=None)).status == 404
    assert (await market.shop.get("/access/unknown", key=None)).status == 404


async def test_fifty_deliveries_at_once_fulfil_once_and_mail_once(market: Market) -> None:
    bought = await market.buy(await market.generated())
    order = await market.order(bought)
    body = {"type": "text", "value": "Taurus: rest."}
    replies = await asyncio.gather(
        *[market.shop.post(f"/v1/orders/{order['id']}/deliver", json=body) for _ in range(50)]
    )
    assert [reply.status for reply in replies] == [200] * 50
    assert len({reply.body for reply in replies}) == 1
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]
    ready = await market.shop.tools.database.value("SELECT count(*) FROM messages WHERE template = 'ready'")
    assert ready == 1


async def test_other_content_on_a_fulfilled_order_is_already_fulfilled(market: Market) -> None:
    bought = await market.buy(await market.generated())
    order = await delivered(market, bought, {"type": "text", "value": "one"})
    again = await market.shop.post(f"/v1/orders/{order['id']}/deliver", json={"type": "text", "value": "two"})
    assert expect(again, 409)["code"] == "already_fulfilled"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "type"),
        ({"type": "text"}, "value"),
        ({"type": "url", "value": "ftp://x"}, "value"),
        ({"type": "file", "value": "x"}, "token"),
        ({"type": "poem", "value": "x"}, "type"),
        ({"deliverables": []}, "deliverables"),
        ({"deliverables": [{"type": "text", "value": "x"}] * 4}, "deliverables"),
        ({"deliverables": [{"type": "text", "token": "x"}]}, "deliverables.0.value"),
        ({"type": "text", "value": "x", "deliverables": []}, "type"),
        ({"type": "text", "value": "x" * 100_001}, "value"),
        ({"type": "text", "valeu": "x"}, "valeu"),
    ],
)
async def test_a_wrong_delivery_names_its_field_df_12_df_13(market: Market, body: Any, param: str) -> None:
    order = await market.order(await market.buy(await market.generated()))
    refused = expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=body), 422)
    assert (refused["code"], refused["param"]) == ("validation_error", param)


async def test_a_free_listing_skips_the_payment(market: Market) -> None:
    bought = await market.buy(await market.listing(price=0))
    order = await market.order(bought)
    assert (order["status"], order["payment"]["provider"]) == ("fulfilled", "free")


async def test_another_account_sees_no_order(market: Market) -> None:
    order = await market.order(await market.buy(await market.generated()))
    stranger = await market.stranger()
    for method, path in (("GET", ""), ("GET", "/history"), ("POST", "/deliver"), ("POST", "/fulfill")):
        body = {"json": {"type": "text", "value": "x"}} if method == "POST" else {}
        reply = await market.shop.ask(method, f"/v1/orders/{order['id']}{path}", key=stranger, **body)
        assert expect(reply, 404)["code"] == "not_found"
    assert expect(await market.shop.get("/v1/orders", key=stranger), 200)["data"] == []
    assert expect(await market.shop.get("/v1/events", key=stranger), 200)["data"] == []


async def test_orders_are_listed_newest_first_with_filters(market: Market, clock: FakeClock) -> None:
    kit, reading = await market.listing(), await market.generated()
    bought = []
    for listing, email in ((kit, "ada@example.com"), (reading, "Grace@example.com"), (kit, "grace@example.com")):
        bought.append((await market.order(await market.buy(listing, email)))["id"])
        clock.advance(minutes=1)

    async def ids(query: str) -> list[str]:
        return [order["id"] for order in expect(await market.shop.get(f"/v1/orders?{query}"), 200)["data"]]

    assert await ids("") == bought[::-1]
    assert await ids("status=processing") == [bought[1]]
    assert await ids(f"listing_id={kit['id']}") == [bought[2], bought[0]]
    assert await ids("buyer_email=grace@example.com") == [bought[2], bought[1]]
    assert await ids("created_after=2026-04-17T10:23:30Z&created_before=2026-04-17T10:24:30Z") == [bought[1]]
    first = expect(await market.shop.get("/v1/orders?limit=2"), 200)
    rest = expect(await market.shop.get(f"/v1/orders?limit=2&cursor={first['cursor']}"), 200)
    assert (first["has_more"], rest["has_more"], rest["data"][0]["id"]) == (True, False, bought[0])


async def test_every_change_is_in_the_history(market: Market) -> None:
    bought = await market.buy(await market.generated())
    order = await delivered(market, bought, {"type": "text", "value": "x"})
    history = expect(await market.shop.get(f"/v1/orders/{order['id']}/history"), 200)["data"]
    assert [(step["from_status"], step["to_status"], step["actor"]) for step in history] == [
        (None, "paid", market.till.name),
        ("paid", "processing", market.till.name),
        ("processing", "fulfilled", "seller"),
    ]


@pytest.mark.parametrize(
    "instant", ["2026-04-17T12:00:00", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00", "yesterday", "5"]
)
async def test_an_instant_without_its_offset_or_out_of_range_is_refused(market: Market, instant: str) -> None:
    for name in ("created_after", "created_before"):
        refused = expect(await market.shop.get(f"/v1/orders?{name}={instant}"), 422)
        assert refused["param"] == name


async def test_a_wrong_choice_is_told_the_right_ones(market: Market) -> None:
    refused = expect(await market.shop.get("/v1/orders?status=shipped"), 422)
    assert (refused["param"], "processing, fulfilled" in refused["detail"]) == ("status", True)
    assert "order.paid" in expect(await market.shop.get("/v1/events?type=order.lost"), 422)["detail"]


async def test_a_rotated_secret_signs_beside_the_old_one_until_the_overlap_ends(market: Market) -> None:
    listing = await market.generated()
    path = f"/v1/listings/{listing['id']}/rotate-secret"
    rotated = expect(await market.shop.post(path, json={"which": "signing", "overlap_seconds": 3600}), 200)
    old, new = listing["signing_secret"], rotated["signing_secret"]

    async def signatures() -> tuple[str, list[str]]:
        """Return which secret X-ListBee-Signature is of, and which webhook-signature holds."""
        await market.buy(listing)
        hook = await market.outside.next_hook()
        standard = hook.headers["webhook-signature"].split()
        own = hook.headers["X-ListBee-Signature"]
        signed = {name: hmac.new(key.encode(), hook.body, hashlib.sha256).hexdigest() for name, key in secrets.items()}
        return next(name for name, one in signed.items() if one == own), [
            name for name, key in secrets.items() if standard_signature(key, hook) in standard
        ]

    secrets = {"old": old, "new": new}
    assert await signatures() == ("old", ["old", "new"])
    market.later(seconds=3601)
    assert await signatures() == ("new", ["new"])


def standard_signature(secret: str, hook: Hook) -> str:
    """Return the signature of the Standard Webhooks specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{hook.headers['webhook-id']}.{hook.headers['webhook-timestamp']}.".encode() + hook.body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
