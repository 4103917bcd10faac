"""Every notice that Stripe may send has its answer: each kind, and whatever is wrong with it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeClock
from market import Market, expect, open_market
from purvey.server.kit.database import Database
from purvey.server.payments.stripe import merchants
from purvey.server.payments.stripe.notices import WANTED
from running import until
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, Fault, Stripe, Target, open_stripe

DOCS = Path(__file__).parents[2] / "docs" / "stripe.md"


@pytest.fixture
async def stripe(clock: FakeClock) -> AsyncIterator[Stripe]:
    """A Stripe whose notices wait until they are sent."""
    async with open_stripe(lambda: int(clock.now().timestamp())) as opened:
        yield opened


async def outcome(market: Market, notice: str) -> tuple[str, str | None]:
    """Return what became of a notice, and why, once it is settled."""
    sql = "SELECT outcome, reason FROM notices WHERE id = $1 AND outcome IS NOT NULL"
    row = await until(lambda: market.shop.tools.database.row(sql, notice), f"{notice} is settled")
    return row["outcome"], row["reason"]


async def answer(market: Market, stripe: Stripe, kind: str, subject: Object, **fields: Any) -> tuple[str, str | None]:
    """Send a notice of `kind` about an object, and return its outcome."""
    event = stripe.books.tell(PLATFORM, kind, subject) | fields
    body, signature = stripe.signed(event)
    reply = await market.till.post({"Stripe-Signature": signature}, body)
    assert reply.status == 200, reply.text
    return await outcome(market, event["id"])


async def orders(market: Market) -> int:
    """Return how many orders there are."""
    return int(await market.shop.tools.database.value("SELECT count(*) FROM orders"))


def session_of(stripe: Stripe, checkout: Any) -> Object:
    """Return the session of a checkout."""
    found = stripe.books.all_of(PLATFORM, "checkout.session")
    return next(one for one in found if one["client_reference_id"] == checkout["id"])


def test_the_docs_tell_what_comes_of_every_notice_that_is_wanted() -> None:
    table = DOCS.read_text().partition("## What happens to a notice")[2].partition("\n## ")[0]
    told = set(re.findall(r"`((?:checkout|charge|refund|radar|account)\.[a-z_.]+)`", table))
    assert told == set(WANTED)


async def test_sessions_are_told_in_any_order(market: Market, stripe: Stripe) -> None:
    listing = await market.listing()
    session = session_of(stripe, await market.checkout(listing))
    unpaid = dict(stripe.books.pay(session["id"], "sepa_debit"))
    paid = stripe.books.settle(session["id"])
    assert await answer(market, stripe, "checkout.session.async_payment_succeeded", paid) == ("handled", None)
    told = await answer(market, stripe, "checkout.session.completed", unpaid)
    assert told == ("handled", "the session is complete, and the buyer's bank has yet to pay")
    for kind in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
        assert await answer(market, stripe, kind, paid) == ("handled", None)
    assert await orders(market) == 1
    late = session_of(stripe, await market.checkout(listing))
    market.later(minutes=33)
    stripe.books.lapse()
    told = await answer(market, stripe, "checkout.session.expired", late)
    assert told == ("handled", "nobody paid in time")
    assert await orders(market) == 1


async def test_what_nobody_here_knows_or_asked_for_has_its_answer(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    reference = (await market.order(bought))["payment"]["reference"]
    books = stripe.books
    [charge] = books.all_of(PLATFORM, "charge")
    none = {"id": "none", "amount": 1, "currency": "usd", "status": "won", "reason": "general", "charge": "ch_none"}
    for kind, subject, told in (
        ("customer.created", {"id": "cus_1"}, ("handled", "customer.created asks for nothing here")),
        ("refund.updated", none, ("refused", "Stripe does not know what it tells of: No such refund: 'none'")),
        ("refund.created", {"id": 5}, ("refused", "it cannot be read: Expected `str`, got `int` - at `$.id`")),
        ("charge.dispute.closed", none, ("refused", "Stripe does not know what it tells of: No such dispute: 'none'")),
        ("charge.refunded", charge, ("handled", "no refund of it is there")),
        ("charge.refunded", {"id": "ch_none"}, ("handled", "no refund of it is there")),
        (
            "radar.early_fraud_warning.created",
            {"id": "issfr_1", "charge": "ch_none", "fraud_type": "misc"},
            ("refused", "Stripe does not know what it tells of: No such charge: 'ch_none'"),
        ),
    ):
        assert await answer(market, stripe, kind, subject) == told
    dispute = books.dispute(reference) | {"status": "pondered"}
    books.find(PLATFORM, "dispute", dispute["id"])["status"] = "pondered"
    strange = await answer(market, stripe, "charge.dispute.updated", dispute)
    assert strange == ("refused", "a dispute that is pondered, which nobody here understands")
    order = await market.order(bought)
    assert (order["payment_status"], order["dispute_status"]) == ("paid", None)
    listed = expect(await market.shop.get(f"/v1/orders/{order['id']}/history"), 200)["data"]
    assert [entry["action"] for entry in listed] == ["pay", "settle"]


async def test_a_refund_that_is_under_way_counts_when_it_has_arrived(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    reference = (await market.order(bought))["payment"]["reference"]
    refund = stripe.books.refund(PLATFORM, {"payment_intent": reference, "amount": 200})
    refund["status"] = "pending"
    under_way = ("handled", "the refund is pending; what comes of it will be told")
    assert await answer(market, stripe, "refund.created", refund) == under_way
    assert await answer(market, stripe, "charge.refunded", stripe.books.all_of(PLATFORM, "charge")[0]) == under_way
    assert (await market.order(bought))["refund_amount"] == 0
    refund["status"] = "succeeded"
    assert await answer(market, stripe, "refund.updated", refund) == ("handled", None)
    assert (await market.order(bought))["refund_amount"] == 200


async def test_an_inquiry_and_the_money_of_a_dispute_are_followed(market: Market, stripe: Stripe) -> None:
    bought = await market.buy(await market.listing())
    reference = (await market.order(bought))["payment"]["reference"]
    dispute = stripe.books.dispute(reference, "warning_needs_response")
    for status, kind, ours in (
        ("warning_needs_response", "charge.dispute.created", "needs_response"),
        ("warning_under_review", "charge.dispute.updated", "under_review"),
        ("needs_response", "charge.dispute.funds_withdrawn", "needs_response"),
        ("won", "charge.dispute.closed", "won"),
        ("won", "charge.dispute.funds_reinstated", "won"),
    ):
        market.later(seconds=1)
        dispute["status"] = status
        assert await answer(market, stripe, kind, dispute) == ("handled", None)
        assert (await market.order(bought))["dispute_status"] == ours
    assert [event["type"] for event in await market.events()][2:] == ["order.disputed"]


async def test_an_account_is_as_it_was_told_last_whatever_comes_late(market: Market, stripe: Stripe) -> None:
    account = stripe.account(PLATFORM)
    before = expect(await market.shop.get("/v1/account"), 200)["readiness"]
    now = stripe.books.now()
    known = ("handled", "it is known now")
    shut = account | {"charges_enabled": False}
    assert await answer(market, stripe, "account.updated", shut, created=now + 60) == known
    assert await answer(market, stripe, "account.updated", account, created=now) == known
    stranger = account | {"id": "acct_stranger", "charges_enabled": True}
    assert await answer(market, stripe, "account.updated", stranger, account="acct_stranger", created=now + 90) == known
    assert not expect(await market.shop.get("/v1/account"), 200)["readiness"]["can_take_payments"]
    assert await answer(market, stripe, "account.updated", account, created=now + 120) == known
    assert expect(await market.shop.get("/v1/account"), 200)["readiness"] == before


async def test_a_test_payment_buys_nothing_where_real_money_is_taken(
    database: Database, clock: FakeClock, stripe: Stripe
) -> None:
    key = "sk_live_theplatformskey000000"
    stripe.merchants[key], stripe.books.live = PLATFORM, True
    async with open_market(database, clock, stripe, stripe_secret_key=key) as market:
        session = session_of(stripe, await market.checkout(await market.listing()))
        assert session["id"].startswith("cs_live_")
        paid = stripe.books.pay(session["id"])
        told = await answer(market, stripe, "checkout.session.completed", paid, livemode=False)
        assert told == ("refused", "a test payment, where real money is taken")
        assert await orders(market) == 0
        assert await answer(market, stripe, "checkout.session.completed", paid) == ("handled", None)
        assert await orders(market) == 1


async def test_a_notice_of_somebody_who_is_gone_is_refused(market: Market, stripe: Stripe) -> None:
    shop, own, secret = market.shop, "sk_test_thesellersownkey", "whsec_thesellersown"
    stripe.merchants[own] = "acct_seller"
    await merchants.set_own_key(shop.tools, shop.account.id, own, secret)
    url = f"{shop.url}/payments/stripe/notices?account={shop.account.id}"
    stripe.targets.append(Target(url, secret, merchant="acct_seller"))
    bought = await market.buy(await market.listing())
    stripe.books.dispute((await market.order(bought))["payment"]["reference"])
    stripe.faults.append(Fault("disputes", status=500))
    event = stripe.last("charge.dispute.created")
    assert await stripe.send(event) == [200]
    await until(lambda: not stripe.faults, "Stripe was asked")
    await merchants.disconnect(shop.tools, shop.account.id)
    market.later(seconds=31)
    assert await outcome(market, event["id"]) == ("refused", "there is no key any more for whoever sent this")
    # Whatever comes now cannot even be checked.
    assert await stripe.send(event | {"id": event["id"]}) == [400]


async def test_what_is_signed_and_no_event_is_turned_away(market: Market, stripe: Stripe) -> None:
    for payload in (
        {},
        {"id": "evt_1", "type": "x"},
        {"id": 1, "type": "x", "created": 1, "livemode": False, "data": {}},
    ):
        body, signature = stripe.signed(payload)
        refused = expect(await market.till.post({"Stripe-Signature": signature}, body), 400)
        assert "no event of Stripe's" in refused["detail"]
    assert await market.shop.tools.database.value("SELECT count(*) FROM notices") == 0
