"""Stock, as buyers and sellers meet it over HTTP."""

import asyncio
from collections import Counter

from market import Market, expect

BUYER = "ada@example.com"


async def test_of_fifty_buyers_at_once_as_many_buy_as_there_are(market: Market) -> None:
    listing = await market.listing(stock=7)
    body = {"listing_id": listing["id"], "buyer_email": BUYER}
    replies = await asyncio.gather(*[market.shop.post("/v1/checkouts", json=body, key=None) for _ in range(50)])
    assert Counter(reply.status for reply in replies) == {201: 7, 409: 43}
    assert {reply.json["code"] for reply in replies if reply.status == 409} == {"conflict"}
    shown = expect(await market.shop.get(f"/v1/listings/{listing['id']}"), 200)
    assert (shown["stock"], shown["readiness"]["sellable"]) == (0, False)
    page = await market.shop.get(f"/l/{listing['id']}", key=None)
    assert "sold out" in page.text.lower()
    late = await market.shop.post(f"/l/{listing['id']}/checkout", data={"buyer_email": BUYER}, key=None)
    assert late.status == 409
    assert "sold out" in late.text.lower()

    started = [reply.json for reply in replies if reply.status == 201]
    expect(await market.pay(started[0]), 200)
    assert (await market.shop.get(f"/checkout/{started[0]['id']}/return", key=None)).status == 303
    market.later(minutes=31)
    while await market.shop.tools.database.value("SELECT count(*) FROM holds") > 0:
        pass
    assert expect(await market.shop.get(f"/v1/listings/{listing['id']}"), 200)["stock"] == 6
    await market.buy(listing)


async def test_something_free_is_gone_when_it_is_taken(market: Market) -> None:
    listing = await market.listing(price=0, stock=1)
    await market.buy(listing)
    body = {"listing_id": listing["id"], "buyer_email": BUYER}
    assert (await market.shop.post("/v1/checkouts", json=body, key=None)).status == 409
    assert expect(await market.shop.get(f"/v1/listings/{listing['id']}"), 200)["stats"]["orders"] == 1


async def test_whoever_took_the_last_one_and_asks_again_is_given_the_same_checkout(market: Market) -> None:
    listing = await market.listing(stock=1)
    body = {"listing_id": listing["id"], "buyer_email": BUYER}
    same = {"Idempotency-Key": "the last one"}
    first = await market.shop.post("/v1/checkouts", json=body, key=None, headers=same)
    again = await market.shop.post("/v1/checkouts", json=body, key=None, headers=same)
    assert expect(first, 201) == expect(again, 201)
