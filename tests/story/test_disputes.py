"""Payments that the buyer's bank disputes: what is told, and who may open what meanwhile."""

from typing import Any

from market import Bought, Market, expect
from purvey.server.payments.model import DisputeStatus
from running import until

DISPUTED = "4000 0000 0000 0259"
DUE = {"sandbox": "2026-04-24T10:23:05Z", "stripe": "2026-04-24T10:23:00Z"}
"""Until when the dispute of a payment with that card can be answered; the sandbox's bank takes 5 s to open it."""


async def told(market: Market, sold: Bought, status: DisputeStatus, after: int, name: str = "dp_1") -> None:
    """Report that the dispute stood so, some seconds after the payment."""
    reference = (await market.order(sold))["payment"]["reference"]
    notice = await market.till.disputed(reference, status, after, name)
    expect(await market.till.send(notice), 200)
    await market.till.settled()


async def types(market: Market) -> list[str]:
    """Return the types of the events so far."""
    return [event["type"] for event in await market.events()]


async def outcomes(market: Market) -> set[Any]:
    """Return what became of the notices."""
    return {row["outcome"] for row in await market.shop.tools.database.rows("SELECT outcome FROM notices")}


async def test_a_card_that_is_disputed_by_itself_and_lost_in_the_end(market: Market) -> None:
    listing = await market.listing()
    checkout = await market.checkout(listing)
    expect(await market.pay(checkout, DISPUTED), 200)
    returned = await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)
    sold = Bought(checkout, returned.headers["Location"])
    market.later(seconds=6)
    letters = [await market.outside.next_letter() for _ in range(2)]
    letter, _ = sorted(letters, key=lambda one: str(one["To"]), reverse=True)
    assert (letter["To"], letter["Reply-To"]) == ("seller@example.com", "ada@example.com")
    assert letter["Subject"] == "A payment is disputed: Kit"
    assert "/access/" not in letter.as_string()
    order = await market.order(sold)
    assert (order["dispute_status"], order["dispute_reason"]) == ("needs_response", "fraudulent")
    assert order["disputed_at"] in {"2026-04-17T10:23:06Z", "2026-04-17T10:23:00Z"}
    assert order["dispute_due_at"] == DUE[market.till.name]
    assert (await market.shop.get(sold.access, key=None)).status == 200
    assert (await types(market))[2:] == ["order.disputed"]
    await market.till.dispute(order["payment"]["reference"], "under_review")
    await market.till.dispute(order["payment"]["reference"], "lost")
    market.later(seconds=1)
    while (await market.order(sold))["dispute_status"] != "lost":
        pass
    page = await market.shop.get(sold.access, key=None)
    assert (page.status, "was taken back" in page.text, "the goods" in page.text) == (410, True, False)
    assert (await types(market))[2:] == ["order.disputed"]
    refund = expect(await market.shop.post(f"/v1/orders/{order['id']}/refund"), 422)
    assert (refund["code"], refund["refundable_amount"]) == ("refund_not_allowed", 0)


async def test_a_dispute_that_is_won_gives_access_back(market: Market) -> None:
    sold = await market.buy(await market.listing())
    await told(market, sold, "needs_response", 1)
    await told(market, sold, "lost", 2)
    assert (await market.shop.get(sold.access, key=None)).status == 410
    other = await market.buy(await market.listing())
    await told(market, other, "needs_response", 1, "dp_2")
    await told(market, other, "won", 2, "dp_2")
    assert (await market.order(other))["dispute_status"] == "won"
    assert (await market.shop.get(other.access, key=None)).status == 200
    history = expect(await market.shop.get(f"/v1/orders/{(await market.order(other))['id']}/history"), 200)["data"]
    assert [entry["action"] for entry in history][2:] == ["open_dispute", "win_dispute"]


async def test_reports_come_out_of_order_and_twice(market: Market) -> None:
    sold = await market.buy(await market.listing())
    await told(market, sold, "lost", 9)
    assert (await types(market))[2:] == ["order.disputed"]
    assert (await market.events())[2]["data"]["dispute_status"] == "lost"
    await told(market, sold, "needs_response", 1)
    await told(market, sold, "under_review", 5)
    await told(market, sold, "lost", 9)
    await told(market, sold, "won", 8)
    assert (await market.order(sold))["dispute_status"] == "lost"
    # What comes after the decision is the end of an appeal.
    await told(market, sold, "won", 10)
    await told(market, sold, "lost", 11)
    assert (await market.order(sold))["dispute_status"] == "won"
    assert (await types(market))[2:] == ["order.disputed"]
    assert await outcomes(market) == {"handled"}


async def test_an_older_update_after_a_newer_changes_nothing(market: Market) -> None:
    sold = await market.buy(await market.listing())
    await told(market, sold, "under_review", 5)
    await told(market, sold, "needs_response", 1)
    assert (await market.order(sold))["dispute_status"] == "under_review"


async def test_a_dispute_of_a_refunded_order_is_told_and_opens_nothing(market: Market) -> None:
    sold = await market.buy(await market.listing())
    order_id = (await market.order(sold))["id"]
    expect(await market.shop.post(f"/v1/orders/{order_id}/refund"), 200)
    await told(market, sold, "needs_response", 1)
    await told(market, sold, "won", 2)
    assert (await types(market))[2:] == ["order.refunded", "order.disputed"]
    assert (await market.shop.get(sold.access, key=None)).status == 410


async def test_a_dispute_that_is_heard_of_before_its_payment_waits_for_it(market: Market) -> None:
    listing = await market.listing()
    checkout = await market.checkout(listing)
    payment = market.till.paid(checkout)
    for notice in (await market.till.disputed(payment.reference, "needs_response", 0, "dp_1"), payment):
        expect(await market.till.send(notice), 200)

    async def settled() -> bool:
        market.later(seconds=1)
        return await outcomes(market) == {"handled"}

    await until(settled, "both have been acted on")
    subjects = [str((await market.outside.next_letter())["Subject"]) for _ in range(2)]
    assert sorted(subjects) == ["A payment is disputed: Kit", "Your order: Kit"]
