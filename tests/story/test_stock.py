"""Stock, as buyers and sellers meet it over HTTP."""

import asyncio
import io
import json
from collections import Counter

from market import Market, expect
from served import Reply

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


POOL = {"type": "text", "key_pool": True}


async def test_a_shop_sells_licence_keys_until_none_is_left_and_goes_on_with_new_ones(market: Market) -> None:
    listing = await market.listing(publish=False, deliverables=[POOL, {"type": "text", "value": "how to use it"}])
    path = f"/v1/listings/{listing['id']}"
    assert (listing["deliverables"][0]["key_pool"], listing["deliverables"][0]["value"]) == (True, None)
    refused = await market.shop.post(f"{path}/publish")
    assert (refused.status, refused.json["code"], refused.json["next"]["code"]) == (
        409,
        "publish_failed",
        "upload_keys",
    )

    uploaded = expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-1", " KEY-2\n", "KEY-1"]}), 200)
    counts = {"total": 2, "available": 2, "held": 0, "sold": 0}
    assert uploaded == {"object": "key_pool", "listing_id": listing["id"], **counts, "added": 2, "duplicates": 1}
    expect(await market.shop.post(f"{path}/publish"), 200)
    [low] = expect(await market.shop.get(path), 200)["readiness"]["actions"]
    assert (low["code"], low["priority"]) == ("keys_low", "suggested")

    bought = await market.buy(listing)
    page = await market.shop.get(bought.access, key=None)
    assert "KEY-1" in page.text
    assert "how to use it" in page.text
    order = await market.order(bought)
    assert [one["value"] for one in order["deliverables"]] == ["KEY-1", "how to use it"]
    assert [one["type"] for one in order["deliverables"]] == ["text", "text"]
    [_, told] = await market.events()
    assert "KEY-1" not in str(told)
    assert [one["id"] for one in told["data"]["deliverables"]] == [one["id"] for one in order["deliverables"]]

    held = await market.checkout(listing)
    body = {"listing_id": listing["id"], "buyer_email": BUYER}
    sold_out = await market.shop.post("/v1/checkouts", json=body, key=None)
    assert (sold_out.status, sold_out.json["code"]) == (409, "conflict")
    assert "sold out" in (await market.shop.get(f"/l/{listing['id']}", key=None)).text.lower()
    assert expect(await market.shop.get(f"{path}/keys"), 200) == {
        "object": "key_pool", "listing_id": listing["id"], "total": 2, "available": 0, "held": 1, "sold": 1
    }  # fmt: skip
    shown = expect(await market.shop.get(path), 200)["readiness"]
    assert (shown["sellable"], shown["next"]["code"]) == (False, "upload_keys")
    expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-3"]}), 200)
    assert "sold out" not in (await market.shop.get(f"/l/{listing['id']}", key=None)).text.lower()
    expect(await market.pay(held), 200)


async def test_who_paid_when_the_keys_had_run_out_is_told_and_gets_the_next_one(market: Market) -> None:
    listing = await market.listing(publish=False, deliverables=[POOL])
    path = f"/v1/listings/{listing['id']}"
    expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-1"]}), 200)
    expect(await market.shop.post(f"{path}/publish"), 200)
    late = await market.checkout(listing)
    market.later(minutes=31)
    while await market.shop.tools.database.value("SELECT count(*) FROM holds") > 0:
        pass
    await market.buy(listing)
    assert "Your order" in str((await market.outside.next_letter())["Subject"])

    expect(await market.till.send(market.till.paid(late)), 200)
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert {(str(one["To"]), str(one["Subject"]).partition(":")[0]) for one in letters} == {
        (BUYER, "We got your payment"),
        ("seller@example.com", "A licence key is missing"),
    }
    to_seller = next(one for one in letters if str(one["To"]) != BUYER)
    assert "/access/" not in str(to_seller)
    [order] = expect(await market.shop.get("/v1/orders?status=processing"), 200)["data"]
    assert order["readiness"]["next"]["code"] == "keys_missing"
    assert order["readiness"]["next"]["resolve"] == {"method": "PUT", "endpoint": f"{path}/keys"}
    access = order["access_url"].removeprefix(market.shop.url)
    assert "ran out" in (await market.shop.get(access, key=None)).text

    expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-1", "KEY-2"]}), 200)
    assert str((await market.outside.next_letter())["To"]) == BUYER
    assert "KEY-2" in (await market.shop.get(access, key=None)).text
    assert [event["type"] for event in await market.events(f"order_id={order['id']}")] == [
        "order.paid",
        "order.fulfilled",
    ]


async def test_an_order_that_waits_for_a_key_may_be_delivered_by_hand(market: Market) -> None:
    listing = await market.listing(publish=False, deliverables=[POOL])
    path = f"/v1/listings/{listing['id']}"
    expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-1"]}), 200)
    expect(await market.shop.post(f"{path}/publish"), 200)
    late = await market.checkout(listing)
    await market.shop.tools.database.write(
        "SELECT stock_give_back($1, $2, 'infinity')", market.shop.account.id, listing["id"]
    )
    await market.buy(listing)
    expect(await market.till.send(market.till.paid(late)), 200)
    [order] = expect(await market.shop.get("/v1/orders?status=processing"), 200)["data"]
    given = {"type": "text", "value": "HAND-MADE"}
    expect(await market.shop.post(f"/v1/orders/{order['id']}/fulfill", json={"deliverable": given}), 200)
    expect(await market.shop.put(f"{path}/keys", json={"keys": ["KEY-2"]}), 200)
    assert expect(await market.shop.get(f"{path}/keys"), 200)["available"] == 1


async def test_what_is_wrong_with_keys_is_said_with_their_place(market: Market) -> None:
    listing = await market.listing(publish=False, deliverables=[POOL])
    plain = await market.listing(publish=False)
    keys = f"/v1/listings/{listing['id']}/keys"

    def fault(reply: Reply) -> tuple[int, str, str]:
        return reply.status, reply.json["code"], reply.json["param"]

    for wrong, param in (
        (["good", " "], "keys.1"),
        (["good", "k" * 1001], "keys.1"),
        ([], "keys"),
        ([str(n) for n in range(10_001)], "keys"),
        (["good", "bad\u0000"], "keys.1"),
    ):
        assert fault(await market.shop.put(keys, json={"keys": wrong})) == (422, "validation_error", param)
    large = io.BytesIO(json.dumps({"keys": ["k" * 1000] * 5000}).encode())
    assert (await market.shop.put(keys, data=large, headers={"Content-Type": "application/json"})).status == 413
    assert (await market.shop.put(f"/v1/listings/{plain['id']}/keys", json={"keys": ["a"]})).status == 409
    assert (await market.shop.put("/v1/listings/lst_none/keys", json={"keys": ["a"]})).status == 404
    most = expect(await market.shop.put(keys, json={"keys": [f"K{n}" for n in range(10_000)]}), 200)
    assert (most["added"], most["total"]) == (10_000, 10_000)

    for content, param in (
        ([POOL, POOL], "deliverables.1.key_pool"),
        ([{"type": "url", "key_pool": True}], "deliverables.0.key_pool"),
        ([POOL | {"value": "x"}], "deliverables.0.value"),
    ):
        given = {"name": "Kit", "price": 5, "deliverables": content}
        assert fault(await market.shop.post("/v1/listings", json=given)) == (422, "validation_error", param)
    assert (await market.shop.post(f"/v1/listings/{listing['id']}/deliverables", json=POOL)).status == 409
