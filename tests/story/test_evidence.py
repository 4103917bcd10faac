"""Evidence: what proves to a bank that an order was delivered."""

from typing import Any

import pytest
from stripe.params import DisputeModifyParamsEvidence

from market import Market, expect
from purvey.client import AsyncPurvey
from purvey.server.access import work
from purvey.server.access.model import Opening
from purvey.server.access.work import Forget, begin_forgetting
from purvey.server.evidence.rules import LONGEST, evidence
from purvey.server.jobs.model import RetryAt
from purvey.server.kit.tools import Tools
from running import until
from sample_orders import sample_order

PHONE = {"User-Agent": "a phone"}
BYTES = b"twenty bytes of a file"


async def buy_on_the_page(market: Market, listing: dict[str, Any]) -> str:
    """Buy something as a buyer does, with a browser, and return the path of the order's page."""
    form = {"buyer_email": "ada@example.com"}
    sent = await market.shop.ask("POST", f"/l/{listing['id']}/checkout", key=None, data=form, headers=PHONE)
    assert sent.status == 303, sent.text
    checkout = await market.shop.tools.database.value("SELECT id FROM checkouts")
    expect(await market.pay({"id": checkout, "url": sent.headers["Location"]}), 200)
    back = await market.shop.get(f"/checkout/{checkout}/return", key=None, headers=PHONE)
    return str(back.headers["Location"])


async def order_of(market: Market) -> dict[str, Any]:
    """Return the only order."""
    [order] = expect(await market.shop.get("/v1/orders"), 200)["data"]
    found: dict[str, Any] = order
    return found


async def test_what_was_sold_mailed_and_opened_is_told_with_times_and_addresses(market: Market) -> None:
    shop = market.shop
    listing = await market.listing(
        description="A kit for beginners.\n\nNo refunds after download.",
        deliverables=[{"type": "url", "value": "https://example.com/kit"}],
    )
    page = await shop.get(f"/l/{listing['id']}", key=None)
    assert "opens for 48 hours from its delivery or 10 times" in page.text
    access = await buy_on_the_page(market, listing)
    # What the page says later was not what the buyer read.
    expect(await shop.ask("PATCH", f"/v1/listings/{listing['id']}", json={"description": "Another kit."}), 200)
    await market.outside.next_letter()
    order = await order_of(market)
    link = (await shop.get(access, key=None, headers=PHONE)).text.partition('href="/download/')[2].partition('"')[0]
    assert (await shop.get(f"/download/{link}", key=None, headers=PHONE)).status == 302
    await shop.get(access, key=None, headers=PHONE)
    found = expect(await shop.get(f"/v1/orders/{order['id']}/evidence"), 200)
    assert found["customer_purchase_ip"] == "127.0.0.1"
    assert "A kit for beginners." in found["product_description"]
    assert "Another" not in str(found)
    assert [one["action"] for one in found["delivery"]] == ["pay", "settle"]
    assert [(one["template"], one["subject"], one["recipient"], one["status"]) for one in found["mails"]] == [
        ("ready", "Your order: Kit", "ada@example.com", "sent")
    ]
    assert sorted((one["what"], one["address"], one["agent"]) for one in found["access"] if one["address"]) == [
        (what, "127.0.0.1", "a phone") for what in ("checkout", "page", "return", "url")
    ]
    assert [one["what"] for one in found["access"] if not one["address"]] == ["download"]
    assert "opened the page of the order from 127.0.0.1, a phone" in found["access_activity_log"]
    assert found["refund_policy_disclosure"].startswith("Shown on the product page beneath the button to buy")
    assert found["service_date"] == order["fulfilled_at"]
    # What Stripe takes, by the names of its own fields.
    given = found["submission"]
    assert set(given) <= set(DisputeModifyParamsEvidence.__annotations__)
    assert given["access_activity_log"] == found["access_activity_log"]
    assert (given["customer_purchase_ip"], given["service_date"]) == ("127.0.0.1", "2026-04-17 10:23:00 UTC")
    assert "2026-04-17 10:23:00 UTC  to ada@example.com: Your order: Kit" in given["uncategorized_text"]
    shown = await shop.get(f"/v1/orders/{order['id']}/evidence.html")
    assert shown.status == 200
    for words in ("Followed a link to the content", "127.0.0.1, a phone", "A kit for beginners.", "Your order: Kit"):
        assert words in shown.text
    for secret in (access, "https://example.com/kit"):
        assert secret not in shown.text + str(found)
    async with AsyncPurvey(shop.key, shop.url) as client:
        assert (await client.orders.evidence(order["id"])).submission == given


async def test_what_nobody_was_shown_by_us_is_not_said_to_have_been_shown(market: Market) -> None:
    order = await market.order(await market.buy(await market.listing()))
    found = expect(await market.shop.get(f"/v1/orders/{order['id']}/evidence"), 200)
    assert found["refund_policy_disclosure"].startswith("The order was started by a program")
    assert "not opened" in found["access_activity_log"]
    # The buyer's browser came back from paying, whoever started the order.
    assert found["customer_purchase_ip"] == "127.0.0.1"
    handed = await market.order(await market.buy(await market.listing(content_type="webhook")))
    found = expect(await market.shop.get(f"/v1/orders/{handed['id']}/evidence"), 200)
    assert "on the seller's own terms" in found["refund_policy_disclosure"]


async def test_a_part_of_a_file_is_noted_with_its_address(market: Market) -> None:
    shop = market.shop
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="kit.pdf"\r\n\r\n' + BYTES + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    file = expect(await shop.ask("POST", "/v1/files", data=body, headers=headers), 201)
    bought = await market.buy(await market.listing(deliverables=[{"type": "file", "token": file["id"]}]))
    order = await market.order(bought)
    page = await shop.get(bought.access, key=None)
    link = "/download/" + page.text.partition('href="/download/')[2].partition('"')[0]
    for part in ("bytes=0-4", "bytes=5-"):
        assert (await shop.get(link, key=None, headers={"Range": part})).status == 206
    found = expect(await shop.get(f"/v1/orders/{order['id']}/evidence"), 200)
    assert [one["address"] for one in found["access"] if one["what"] == "part"] == ["127.0.0.1"]
    assert "downloaded a part of a file" in found["access_activity_log"]


async def test_another_sellers_order_has_no_evidence(market: Market) -> None:
    order = await market.order(await market.buy(await market.listing()))
    stranger = await market.stranger()
    for path in ("evidence", "evidence.html"):
        assert (await market.shop.get(f"/v1/orders/{order['id']}/{path}", key=stranger)).status == 404


async def test_visits_are_forgotten_when_their_time_is_over(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    bought = await market.buy(await market.listing())
    for days in (0, 1, 2):
        market.later(days=days)
        await market.shop.get(bought.access, key=None)
    tools: Tools = market.shop.tools

    async def left() -> int:
        found: int = await tools.database.value("SELECT count(*) FROM visits")
        return found

    assert await left() == 3
    # The settings of the market keep them for 540 days; the job is queued once, and comes back every day.
    await begin_forgetting(tools)
    await begin_forgetting(tools)
    market.later(days=538)
    await until(lambda: _is(left, 1), "what is older than 540 days is gone")
    # Whatever a run leaves is done at once by the next one.
    monkeypatch.setattr(work, "BATCH", 1)
    monkeypatch.setattr(work, "BATCHES", 1)
    job: Any = None
    assert await Forget(tools, 1).run(job, job) == RetryAt(tools.clock.now())
    assert await Forget(tools, 1).run(job, job) == RetryAt(tools.clock.now() + work.EVERY)
    assert await left() == 0


async def _is(count: Any, wanted: int) -> bool:
    found: int = await count()
    return found <= wanted


def test_a_log_that_is_too_long_for_stripe_keeps_its_beginning_and_its_end() -> None:
    order = sample_order()
    visits = [Opening(order.paid_at, "page", None, f"203.0.113.{number % 250}", "x" * 150) for number in range(500)]
    found = evidence(order, "d" * 30_000, [], [], visits)
    assert all(len(text) <= LONGEST for text in found.submission.values())
    log = found.access_activity_log
    assert ("203.0.113.0" in log[:200], "203.0.113.249" in log[-300:], "[lines left out]" in log) == (True, True, True)
    assert all(line.startswith(("2026", "[")) for line in log.split("\n"))
