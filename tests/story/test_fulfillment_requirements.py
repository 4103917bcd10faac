"""The requirements FU-1 to FU-14, each by its number: what happens after a buyer pays."""

import asyncio
import json
import re
from typing import Any

import aiohttp

from market import Bought, Market, expect

TEXT = {"type": "text", "value": "KEY-1234 <literal>"}
URL = {"type": "url", "value": "https://example.com/elsewhere"}


async def file_token(market: Market, content: bytes = b"the file") -> str:
    """Upload a file and return its token."""
    form = aiohttp.FormData()
    form.add_field("file", content, filename="guide.pdf", content_type="application/pdf")
    token: str = expect(await market.shop.post("/v1/files", data=form), 201)["id"]
    return token


async def fulfill(market: Market, bought: Bought, *deliverables: object, status: int = 200) -> Any:
    """Push deliverables to a bought order and return the answer."""
    order = await market.order(bought)
    body = {"deliverables": list(deliverables)}
    return expect(await market.shop.post(f"/v1/orders/{order['id']}/fulfill", json=body), status)


async def links_on(market: Market, access: str) -> list[str]:
    """Return the download links on an access page, in their order."""
    page = await market.shop.get(access, key=None)
    return list(dict.fromkeys(re.findall(r'href="(/download/[^"]+)"', page.text)))


async def kinds(market: Market) -> list[str]:
    """Return the types of all events, oldest first."""
    return [event["type"] for event in await market.events()]


async def test_fu_1_the_content_type_is_set_at_creation_and_locked_by_publishing(market: Market) -> None:
    for content_type in ("static", "generated", "webhook"):
        listing = await market.listing(content_type=content_type, agent_callback_url=market.outside.hook_url)
        assert listing["content_type"] == content_type
        other = "generated" if content_type == "static" else "static"
        refused = await market.shop.patch(f"/v1/listings/{listing['id']}", json={"content_type": other})
        assert expect(refused, 409)["code"] == "locked_field"


async def test_fu_2_the_orders_own_content_type_decides(market: Market) -> None:
    listing = await market.generated()
    checkout = await market.checkout(listing)
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/archive"), 200)
    await market.pay(checkout)
    returned = await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)
    order = await market.order(Bought(checkout, returned.headers["Location"]))
    assert (order["content_type"], order["status"]) == ("generated", "processing")


async def test_fu_3_static_is_granted_mailed_and_fulfilled_without_the_seller(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[TEXT]))
    assert (await market.order(bought))["status"] == "fulfilled"
    assert (await market.shop.get(bought.access, key=None)).status == 200
    assert bought.access in str((await market.outside.next_letter()).get_body(("plain",)))


async def test_fu_4_generated_waits_for_fulfill(market: Market) -> None:
    bought = await market.buy(await market.generated())
    assert (await market.order(bought))["status"] == "processing"
    assert json.loads((await market.outside.next_hook()).body)["type"] == "order.paid"
    assert (await fulfill(market, bought, TEXT))["status"] == "fulfilled"


async def test_fu_5_webhook_is_handed_off_without_grant_or_mail(market: Market) -> None:
    bought = await market.buy(await market.listing(content_type="webhook", agent_callback_url=market.outside.hook_url))
    assert json.loads((await market.outside.next_hook()).body)["type"] == "order.paid"
    order = await market.order(bought)
    assert (order["status"], order["access_url"], order["deliverables"]) == ("handed_off", None, [])
    database = market.shop.tools.database
    assert not await database.rows("SELECT FROM grants WHERE order_id = $1", order["id"])
    assert not await database.rows("SELECT FROM messages WHERE order_id = $1", order["id"])


async def test_fu_6_paid_is_told_of_all_and_fulfilled_of_two(market: Market) -> None:
    hook = market.outside.hook_url
    await market.buy(await market.listing(content_type="webhook", agent_callback_url=hook))
    assert await kinds(market) == ["order.paid"]
    await fulfill(market, await market.buy(await market.generated()), TEXT)
    assert await kinds(market) == ["order.paid", "order.paid", "order.fulfilled"]
    await market.buy(await market.listing())
    assert (await kinds(market))[3:] == ["order.paid", "order.fulfilled"]


async def test_fu_7_up_to_three_deliverables_of_any_types(market: Market) -> None:
    three = [{"type": "file", "token": await file_token(market)}, URL, TEXT]
    listing = await market.listing(deliverables=three)
    assert [one["type"] for one in listing["deliverables"]] == ["file", "url", "text"]
    too_many = await market.shop.post("/v1/listings", json={"name": "Kit", "price": 1, "deliverables": [*three, TEXT]})
    assert expect(too_many, 422)["param"] == "deliverables"
    bought = await market.buy(await market.generated())
    assert (await fulfill(market, bought, *three, TEXT, status=422))["param"] == "deliverables"
    assert len((await fulfill(market, bought, *three))["deliverables"]) == 3


async def test_fu_8_static_is_not_published_without_content(market: Market) -> None:
    listing = await market.listing(publish=False, deliverables=[])
    refused = expect(await market.shop.post(f"/v1/listings/{listing['id']}/publish"), 409)
    assert refused["code"] == "publish_failed"
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/deliverables", json=TEXT), 201)
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/publish"), 200)
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/deliverables", json=TEXT), 409)


async def test_fu_9_a_deliverable_is_a_type_with_token_or_value(market: Market) -> None:
    bought = await market.buy(await market.generated())
    for wrong, field in (
        ({"type": "file", "value": "x"}, "token"),
        ({"type": "url", "token": "file_1"}, "value"),
        ({"type": "text"}, "value"),
        ({"value": "x"}, "type"),
    ):
        refused = await fulfill(market, bought, TEXT, wrong, status=422)
        assert refused["errors"][0]["loc"] == ["deliverables", 1, field]
    assert (await market.order(bought))["status"] == "processing"


async def test_fu_10_a_file_comes_by_a_signed_link(market: Market) -> None:
    token = await file_token(market, b"signed for")
    bought = await market.buy(await market.listing(deliverables=[{"type": "file", "token": token}]))
    [link] = await links_on(market, bought.access)
    assert (await market.shop.get(link, key=None)).body == b"signed for"
    forged = link[:-1] + ("A" if link[-1] != "A" else "B")
    assert (await market.shop.get(forged, key=None)).status == 404


async def test_fu_11_a_grant_ends_after_48_hours_or_10_downloads(market: Market) -> None:
    deliverables = [{"type": "file", "token": await file_token(market)}]
    listing = await market.listing(deliverables=deliverables)
    one, two = await market.buy(listing), await market.buy(listing)
    [link] = await links_on(market, one.access)
    replies = await asyncio.gather(*[market.shop.get(link, key=None) for _ in range(11)])
    assert sorted(reply.status for reply in replies) == [200] * 10 + [410]
    assert (await market.shop.get(one.access, key=None)).status == 410
    [link] = await links_on(market, two.access)
    market.later(hours=47.99)
    assert (await market.shop.get(link, key=None)).status == 200
    market.later(hours=0.02)
    assert (await market.shop.get(link, key=None)).status == 410
    assert (await market.shop.get(two.access, key=None)).status == 410


async def test_fu_12_the_link_of_a_url_redirects(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[URL]))
    [link] = await links_on(market, bought.access)
    opened = await market.shop.get(link, key=None)
    assert (opened.status, opened.headers["Location"]) == (302, URL["value"])


async def test_fu_13_a_text_is_shown_to_the_letter(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[TEXT]))
    assert "KEY-1234 &lt;literal&gt;" in (await market.shop.get(bought.access, key=None)).text


async def test_fu_14_all_deliverables_are_on_one_page(market: Market) -> None:
    three = [{"type": "file", "token": await file_token(market)}, URL, TEXT]
    bought = await market.buy(await market.listing(deliverables=three))
    page = (await market.shop.get(bought.access, key=None)).text
    assert len(await links_on(market, bought.access)) == 2
    assert all(text in page for text in ("guide.pdf", "example.com", "KEY-1234 &lt;literal&gt;"))
