"""Notices of payments: signed, stored once, handed on, whatever happens in between."""

import asyncio
from typing import Any

import pytest

from fakes import FakeClock
from market import Market, expect
from purvey.server.checkout import store
from purvey.server.checkout.actions import CONFIRM_AFTER
from purvey.server.checkout.rules import new_checkout
from purvey.server.listings.actions import for_sale


async def rows(market: Market, sql: str) -> list[Any]:
    """Return the rows of a query as tuples."""
    return [tuple(row) for row in await market.shop.tools.database.rows(sql)]


async def test_fifty_identical_notices_make_one_order(market: Market) -> None:
    notice = market.till.paid(await market.checkout(await market.listing()))
    replies = await asyncio.gather(*[market.till.send(notice) for _ in range(50)])
    assert [reply.status for reply in replies] == [200] * 50
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]
    assert await rows(market, "SELECT outcome FROM notices") == [("handled",)]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_the_redirect_and_the_notice_race_for_one_order(market: Market) -> None:
    checkouts = [await market.checkout(await market.listing()) for _ in range(5)]
    for checkout in checkouts:
        expect(await market.pay(checkout), 200)
        back = [market.shop.get(f"/checkout/{checkout['id']}/return", key=None) for _ in range(5)]
        returned = await asyncio.gather(*back)
        assert {reply.status for reply in returned} == {303}
        assert len({reply.headers["Location"] for reply in returned}) == 1
    assert await rows(market, "SELECT count(*), count(DISTINCT checkout_id) FROM orders") == [(5, 5)]


async def test_a_payment_without_a_return_still_makes_the_order(market: Market) -> None:
    checkout = await market.checkout(await market.listing())
    expect(await market.pay(checkout), 200)
    letter = await market.outside.next_letter()
    assert letter["To"] == "ada@example.com"
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]


@pytest.mark.parametrize("header", ["", "t=1", "v1=00", "t=now,v1=00", "t=1745000000,v1=" + "0" * 64, "é"])
async def test_a_notice_with_a_wrong_signature_is_refused(market: Market, header: str) -> None:
    signed, body = market.till.sign(market.till.paid(await market.checkout(await market.listing())))
    reply = await market.till.post(dict.fromkeys(signed, header), body)
    assert expect(reply, 400)["code"] == "bad_signature"
    assert await rows(market, "SELECT * FROM notices") == []


async def test_a_changed_body_is_refused(market: Market) -> None:
    headers, body = market.till.sign(market.till.paid(await market.checkout(await market.listing())))
    assert (await market.till.post(headers, body.replace(b"500", b"501"))).status == 400


async def test_an_old_notice_is_refused(market: Market, clock: FakeClock) -> None:
    headers, body = market.till.sign(market.till.paid(await market.checkout(await market.listing())))
    clock.advance(seconds=301)
    assert (await market.till.post(headers, body)).status == 400


async def test_a_notice_of_another_amount_is_stored_as_refused(market: Market) -> None:
    notice = market.till.paid(await market.checkout(await market.listing()), amount=1)
    assert (await market.till.send(notice)).status == 200
    [(outcome, reason)] = await rows(market, "SELECT outcome, reason FROM notices")
    assert outcome == "refused"
    assert "is for 500 USD" in reason
    assert await rows(market, "SELECT * FROM orders") == []


async def test_a_notice_for_no_checkout_is_stored_as_refused(market: Market) -> None:
    checkout = await market.checkout(await market.listing())
    assert (await market.till.send(market.till.paid(checkout, checkout_id="chk_unknown"))).status == 200
    assert await rows(market, "SELECT outcome FROM notices") == [("refused",)]


async def test_a_late_payment_still_makes_its_order(market: Market, clock: FakeClock) -> None:
    notice = market.till.paid(await market.checkout(await market.listing()))
    clock.advance(hours=3)
    assert (await market.till.send(notice)).status == 200
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]


async def test_what_was_on_sale_is_what_is_delivered(market: Market) -> None:
    listing = await market.listing()
    checkout = await market.checkout(listing)
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/unpublish"), 200)
    other = [{"type": "text", "value": "other goods"}]
    expect(await market.shop.put(f"/v1/listings/{listing['id']}/deliverables", json={"deliverables": other}), 200)
    expect(await market.shop.patch(f"/v1/listings/{listing['id']}", json={"price": 99_00}), 200)
    assert (await market.till.send(market.till.paid(checkout))).status == 200
    [order] = (await market.shop.get("/v1/orders")).json["data"]
    assert (order["amount"], order["deliverables"][0]["value"]) == (500, "the goods")


async def test_a_notice_that_cannot_be_handed_on_is_kept_and_tried_again(market: Market) -> None:
    notice = market.till.paid(await market.checkout(await market.listing()))
    database = market.shop.tools.database
    await database.write("ALTER TABLE grants RENAME TO grants_away")
    assert (await market.till.send(notice)).status == 200
    [(outcome, reason)] = await rows(market, "SELECT outcome, reason FROM notices")
    assert outcome is None
    assert "grants" in reason
    await database.write("ALTER TABLE grants_away RENAME TO grants")
    market.later(seconds=6)
    await market.outside.next_letter()
    assert await rows(market, "SELECT outcome FROM notices") == [("handled",)]
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]


async def test_an_unknown_provider_is_not_found(market: Market) -> None:
    reply = await market.shop.post("/payments/nobody/notices", data=b"{}", key=None)
    assert reply.status == 404


async def test_a_free_order_is_made_although_its_process_died_first(market: Market) -> None:
    listing = await market.listing(price=0)
    sale = await for_sale(market.shop.tools, listing["id"])
    checkout = new_checkout(sale, "chk_1", "http://shop.test/", "ada@example.com", {}, market.shop.clock.now())
    await store.insert_free(market.shop.tools.database, checkout, checkout.created_at + CONFIRM_AFTER)
    market.later(seconds=5)
    await market.outside.next_letter()
    assert await rows(market, "SELECT status, checkout_id FROM orders") == [("fulfilled", "chk_1")]


async def test_no_event_leads_to_the_content_of_a_free_order(market: Market) -> None:
    bought = await market.buy(await market.listing(price=0))
    [paid, _] = await market.events()
    told = str(paid)
    assert bought.checkout["id"] not in told
    assert bought.access.removeprefix("/access/") not in told


async def test_a_notice_that_was_refused_and_is_valid_later_is_settled_as_handled(market: Market) -> None:
    checkout = await market.checkout(await market.listing())
    await market.shop.tools.database.write("UPDATE checkouts SET amount = 999")
    notice = market.till.paid(checkout)
    assert (await market.till.send(notice)).status == 200
    await market.shop.tools.database.write("UPDATE checkouts SET amount = 500")
    assert (await market.till.send(notice)).status == 200
    assert await rows(market, "SELECT outcome, reason FROM notices") == [("handled", None)]
