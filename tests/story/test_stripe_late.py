"""Money at Stripe that comes late or goes early, and what is made up for when Stripe was not heard of for long."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest
import stripe as package

from fakes import FakeClock
from market import Bought, Market, expect
from purvey.server.payments.stripe import merchants
from purvey.server.payments.stripe.rules import DISPUTES
from running import until
from stripe_standin.server import PLATFORM, Stripe, open_stripe
from stripe_standin.server import SECRET_KEY as STRIPE_KEY


@pytest.fixture
async def stripe(clock: FakeClock) -> AsyncIterator[Stripe]:
    """A Stripe whose notices wait until they are sent."""
    async with open_stripe(lambda: int(clock.now().timestamp())) as opened:
        yield opened


async def tell(market: Market, stripe: Stripe, kind: str) -> None:
    """Send the newest event of a type, and wait until it is settled; time goes on meanwhile."""
    market.shop.clock.advance(seconds=60)
    event = stripe.last(kind)
    assert await stripe.send(event) == [200]

    async def settled() -> bool:
        sql = "SELECT outcome FROM notices WHERE id = $1"
        return bool(await market.shop.tools.database.value(sql, event["id"]))

    await until(settled, f"{kind} is settled")


async def door(market: Market, bought: Any) -> int:
    """Return what the order's page answers."""
    return (await market.shop.get(bought.access, key=None)).status


def test_every_status_of_a_dispute_that_the_package_knows_means_something() -> None:
    known = set(get_args(get_args(package.Dispute.__annotations__["status"])[0]))
    assert known >= {"won", "lost", "appeal_under_review"}
    assert set(DISPUTES) == known


async def test_a_lost_dispute_that_is_won_by_an_appeal_gives_access_back(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    dispute = stripe.books.dispute(order["payment"]["reference"])
    await tell(market, stripe, "charge.dispute.created")
    assert await door(market, bought) == 200
    for status, kind, says, opens in (
        ("lost", "closed", "lost", 410),
        # The money stays with the buyer until the appeal is decided.
        ("appeal_needs_response", "updated", "lost", 410),
        ("appeal_under_review", "updated", "lost", 410),
        ("won", "closed", "won", 200),
    ):
        stripe.books.move_dispute(dispute["id"], status)
        await tell(market, stripe, f"charge.dispute.{kind}")
        assert ((await market.order(bought))["dispute_status"], await door(market, bought)) == (says, opens)
    assert [event["type"] for event in await market.events()].count("order.disputed") == 1


async def test_an_inquiry_is_a_dispute_that_has_moved_no_money(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    inquiry = stripe.books.dispute(order["payment"]["reference"], "warning_needs_response")
    await tell(market, stripe, "charge.dispute.created")
    assert (await market.order(bought))["dispute_status"] == "needs_response"
    # It is settled by giving the money back, as Stripe advises.
    expect(await market.shop.post(f"/v1/orders/{order['id']}/refund"), 200)
    stripe.books.move_dispute(inquiry["id"], "warning_closed")
    await tell(market, stripe, "charge.dispute.closed")
    found = await market.order(bought)
    assert (found["dispute_status"], found["payment_status"], await door(market, bought)) == ("won", "refunded", 410)


async def test_a_dispute_of_what_was_refunded_leaves_it_refunded(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    expect(await market.shop.post(f"/v1/orders/{order['id']}/refund"), 200)
    dispute = stripe.books.dispute(order["payment"]["reference"], reason="fraudulent")
    await tell(market, stripe, "charge.dispute.created")
    found = await market.order(bought)
    assert (found["payment_status"], found["dispute_status"]) == ("refunded", "needs_response")
    for status, kind in (("prevented", "updated"), ("won", "closed")):
        stripe.books.move_dispute(dispute["id"], status)
        await tell(market, stripe, f"charge.dispute.{kind}")
    found = await market.order(bought)
    assert (found["payment_status"], found["dispute_status"], await door(market, bought)) == ("refunded", "won", 410)
    assert [event["type"] for event in await market.events()][2:] == ["order.refunded", "order.disputed"]


async def test_a_refund_that_comes_back_is_none_and_its_seller_decides_about_access(
    market: Market, stripe: Stripe
) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    for amount in (200, 300):
        stripe.books.refund(PLATFORM, {"payment_intent": order["payment"]["reference"], "amount": amount})
        await tell(market, stripe, "charge.refunded")
    assert ((await market.order(bought))["payment_status"], await door(market, bought)) == ("refunded", 410)
    newest, oldest = stripe.books.all_of(PLATFORM, "refund")
    # The bank sends the second one back, and then the first: the money is the seller's again, who owes it to the buyer still.
    for refund, status, left in ((newest, "partially_refunded", 200), (oldest, "paid", 0)):
        stripe.books.fail_refund(refund["id"])
        await tell(market, stripe, "refund.failed")
        found = await market.order(bought)
        assert (found["payment_status"], found["refund_amount"]) == (status, left)
        assert await door(market, bought) == 410
    resent = expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    bought = Bought(bought.checkout, resent["access_url"].removeprefix(market.shop.url))
    assert await door(market, bought) == 200
    refunds = expect(await market.shop.get(f"/v1/orders/{order['id']}/refunds"), 200)["data"]
    assert {(one["status"], one["error"]) for one in refunds} == {("failed", "expired_or_canceled_card")}
    # It may be tried again, and ends access again.
    again = expect(await market.shop.post(f"/v1/orders/{order['id']}/refund"), 200)
    assert (again["payment_status"], await door(market, bought)) == ("refunded", 410)
    assert [event["type"] for event in await market.events()][2:] == ["order.refunded", "order.refunded"]


async def test_what_was_missed_is_made_up_for_however_long_nobody_could_look(market: Market, stripe: Stripe) -> None:
    # A seller's own key that was rolled: Stripe does not know it, and the installation's books are compared all the same.
    shop = market.shop
    stripe.merchants["sk_test_thesellersownkey"] = "acct_seller"
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    key = await market.stranger()
    stranger = expect(await shop.get("/v1/account", key=key), 200)["id"]
    await merchants.set_own_key(shop.tools, stranger, "sk_test_rolledlongago0", "whsec_thesellersown")
    market.later(minutes=61)
    sql = "SELECT count(*) FROM stripe_reconciled"
    await until(lambda: shop.tools.database.value(sql), "the books were compared")
    assert await shop.tools.database.value(sql) == 1
    # For eight hours nobody lets us in; what happened at the beginning is older than what is looked at each hour.
    del stripe.merchants[STRIPE_KEY]
    stripe.books.dispute(order["payment"]["reference"])
    job = "SELECT due_at FROM jobs WHERE id = 'job_stripe_reconcile'"
    for _again in range(2):
        due = await shop.tools.database.value(job)
        market.later(hours=4)

        async def tried(due: Any = due) -> bool:
            now_due: Any = await shop.tools.database.value(job)
            return bool(now_due != due)

        await until(tried, "it was tried in vain")
    stripe.merchants[STRIPE_KEY] = PLATFORM
    market.later(minutes=61)

    async def disputed() -> bool:
        return bool((await market.order_by_id(order["id"]))["dispute_status"] == "needs_response")

    await until(disputed, "the dispute is known")
