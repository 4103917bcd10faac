"""Early warnings of fraud: an order on hold opens nowhere, goes on being made, and is released or refunded by its seller."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes import FakeClock
from market import Bought, Market, expect
from purvey.client import AsyncPurvey
from running import until
from stripe_standin.server import Stripe, open_stripe


@pytest.fixture
async def stripe(clock: FakeClock) -> AsyncIterator[Stripe]:
    """A Stripe whose notices wait until they are sent."""
    async with open_stripe(lambda: int(clock.now().timestamp())) as opened:
        yield opened


async def hold(market: Market, stripe: Stripe, order: dict[str, Any]) -> dict[str, Any]:
    """Let the card's network warn of an order's payment, and return the order as it is then."""
    stripe.books.warn(order["payment"]["reference"])
    await stripe.send(stripe.last("radar.early_fraud_warning.created"))

    async def held() -> Any:
        found = await market.order_by_id(order["id"])
        return found if found["held_at"] else None

    found: dict[str, Any] = await until(held, "the order is on hold")
    return found


async def letters(market: Market, number: int) -> dict[str, str]:
    """Return the subjects of the next letters, with whom each is for."""
    return {one["Subject"]: one["To"] for one in [await market.outside.next_letter() for _ in range(number)]}


async def link_of(market: Market, bought: Bought) -> str:
    """Return the path of the first download link on the order's page."""
    page = await market.shop.get(bought.access, key=None)
    assert page.status == 200, page.text
    return "/download/" + page.text.partition('href="/download/')[2].partition('"')[0]


async def test_an_order_on_hold_opens_nowhere_until_its_seller_releases_it(market: Market, stripe: Stripe) -> None:
    shop = market.shop
    bought = await market.buy(await market.listing(deliverables=[{"type": "url", "value": "https://example.com/kit"}]))
    link = await link_of(market, bought)
    order = await hold(market, stripe, await market.order(bought))
    assert await letters(market, 2) == {
        "Your order: Kit": "ada@example.com",
        "A payment may be fraud: Kit": "seller@example.com",
    }
    # Not by the page, a link that was signed before, or a fresh one that the buyer asks for.
    page = await shop.get(bought.access, key=None)
    assert (page.status, "This order is on hold" in page.text, "Send me a fresh link" in page.text) == (
        410,
        True,
        False,
    )
    for method in ("GET", "HEAD"):
        assert (await shop.ask(method, link, key=None)).status == 410
    assert expect(await shop.get(link, key=None), 410)["code"] == "grant_revoked"
    origin = {"Origin": shop.url}
    assert (await shop.ask("POST", f"{bought.access}/fresh", key=None, headers=origin)).status == 200
    assert (await shop.get(bought.access, key=None)).status == 410
    # Nor by the way, when its seller or a program of theirs mails a link, or puts the address right.
    path = f"/v1/orders/{order['id']}"
    refused = expect(await shop.post(f"{path}/resend"), 409)
    assert (refused["code"], f"POST {path}/release" in refused["detail"]) == ("invalid_transition", True)
    corrected = expect(await shop.ask("PATCH", path, json={"buyer_email": "eve@example.com"}), 200)
    moved = corrected["access_url"].removeprefix(shop.url)
    assert (await shop.get(moved, key=None)).status == 410
    # The order says what may be done.
    assert [one["code"] for one in corrected["readiness"]["actions"]] == ["fraud_suspected", "release_hold"]
    released = expect(await shop.post(f"{path}/release"), 200)
    assert (released["held_at"], released["readiness"]["actions"]) == (None, [])
    assert await letters(market, 1) == {"A fresh link to your order: Kit": "eve@example.com"}
    opened = Bought(bought.checkout, released["access_url"].removeprefix(shop.url))
    assert (await shop.get(await link_of(market, opened), key=None)).status == 302
    assert expect(await shop.post(f"{path}/release"), 200) == expect(await shop.get(path), 200)
    history = expect(await shop.get(f"{path}/history"), 200)["data"]
    assert [(one["action"], one["actor"]) for one in history][2:] == [
        ("hold_for_fraud", "stripe"),
        ("correct_email", "seller"),
        ("release", "seller"),
    ]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_what_is_made_for_an_order_on_hold_is_kept_until_it_is_released(market: Market, stripe: Stripe) -> None:
    shop = market.shop
    bought = await market.buy(await market.generated())
    order = await hold(market, stripe, await market.order(bought))
    assert (await shop.get(bought.access, key=None)).status == 410
    path = f"/v1/orders/{order['id']}"
    delivered = expect(await shop.post(f"{path}/deliver", json={"type": "text", "value": "the horoscope"}), 200)
    assert (delivered["status"], bool(delivered["held_at"])) == ("fulfilled", True)
    assert "the horoscope" not in (await shop.get(bought.access, key=None)).text
    assert set(await letters(market, 2)) == {"We got your payment: Kit", "A payment may be fraud: Kit"}
    # Two days of the grant's time pass on hold; the buyer has all of it from the release.
    market.later(hours=50)
    async with AsyncPurvey(shop.key, shop.url) as client:
        released = await client.orders.release(order["id"])
    assert (released.held_at, released.status) == (None, "fulfilled")
    page = await shop.get(str(released.access_url).removeprefix(shop.url), key=None)
    assert (page.status, "the horoscope" in page.text) == (200, True)
    subjects = set(await letters(market, 1))
    assert subjects == {"A fresh link to your order: Kit"}, subjects


async def test_an_order_that_is_released_before_it_is_made_goes_on_as_if_nothing_was(
    market: Market, stripe: Stripe
) -> None:
    shop = market.shop
    bought = await market.buy(await market.generated())
    order = await hold(market, stripe, await market.order(bought))
    path = f"/v1/orders/{order['id']}"
    released = expect(await shop.post(f"{path}/release"), 200)
    assert (released["status"], released["readiness"]["next"]["code"]) == ("processing", "fulfillment_pending")
    assert (await shop.get(bought.access, key=None)).status == 200
    expect(await shop.post(f"{path}/deliver", json={"type": "text", "value": "the horoscope"}), 200)
    assert "the horoscope" in (await shop.get(bought.access, key=None)).text
    # What the seller withdrew before a hold, its release does not give back.
    expect(await shop.post(f"{path}/grants/revoke"), 200)
    await hold(market, stripe, await market.order_by_id(order["id"]))
    expect(await shop.post(f"{path}/release"), 200)
    assert (await shop.get(bought.access, key=None)).status == 410
    # And what was refunded while it was on hold stays refunded.
    await hold(market, stripe, await market.order_by_id(order["id"]))
    refunded = expect(await shop.post(f"{path}/refund"), 200)
    assert (refunded["payment_status"], refunded["readiness"]["actions"]) == ("refunded", [])
    expect(await shop.post(f"{path}/release"), 200)
    assert "This order was refunded" in (await shop.get(bought.access, key=None)).text
