"""Payments by Stripe, from the session to the dispute, whatever its notices do on the way."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes import FakeClock
from makers import SECRET_KEY
from market import Bought, Market, expect, open_market, running_shop, stripe_settings
from purvey.server.kit.database import Database
from purvey.server.payments.stripe import merchants
from running import purvey, until
from served import Reply
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, WEBHOOK_SECRET, Fault, Stripe, Target, open_stripe
from stripe_standin.server import SECRET_KEY as STRIPE_KEY

PATH = "/payments/stripe/notices"


@pytest.fixture
async def stripe(clock: FakeClock) -> AsyncIterator[Stripe]:
    """A Stripe whose notices wait until they are sent."""
    async with open_stripe(lambda: int(clock.now().timestamp())) as opened:
        yield opened


async def rows(market: Market, sql: str) -> list[Any]:
    """Return the rows of a query as tuples."""
    return [tuple(row) for row in await market.shop.tools.database.rows(sql)]


def session_of(stripe: Stripe, checkout: Any) -> Object:
    """Return the session of a checkout."""
    found = [one for one in stripe.books.all_of(PLATFORM, "checkout.session") if one["url"] == checkout["url"]]
    return found[0]


async def paid(market: Market, stripe: Stripe, **fields: Any) -> tuple[Bought, Object]:
    """Buy something by returning from the payment page, and return it with its session; no notice has been sent."""
    bought = await market.buy(await market.listing(**fields))
    return bought, stripe.last("checkout.session.completed")["data"]["object"]


async def settled(market: Market, number: int) -> list[tuple[Any, ...]]:
    """Return (type of the event, outcome, reason) of every notice, once `number` of them are settled."""
    sql = "SELECT said ->> 'type', outcome, reason FROM notices WHERE outcome IS NOT NULL ORDER BY received_at, id"

    async def enough() -> list[Any]:
        found = await rows(market, sql)
        return found if len(found) >= number else []

    return list(await until(enough, f"{number} notices are settled"))


async def test_a_checkout_is_a_session_at_stripe(market: Market, stripe: Stripe) -> None:
    listing = await market.listing(name="Kit", price=500, currency="EUR")
    checkout = await market.checkout(listing)
    assert checkout["url"].startswith(f"{stripe.url}/pay/cs_test_")
    [asked] = stripe.requests("POST", "checkout/sessions")
    assert asked.headers["Idempotency-Key"] == f"purvey-{checkout['id']}"
    now = int(market.shop.clock.now().timestamp())
    assert asked.form == {
        "mode": "payment",
        "line_items": [
            {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Kit"}}}
        ],
        "client_reference_id": checkout["id"],
        "metadata": {"purvey_checkout": checkout["id"]},
        "payment_intent_data": {"metadata": {"purvey_checkout": checkout["id"]}},
        "customer_email": "ada@example.com",
        "success_url": f"{market.shop.url}/checkout/{checkout['id']}/return",
        "cancel_url": f"{market.shop.url}/l/{listing['id']}",
        "expires_at": now + 32 * 60,
        "adaptive_pricing": {"enabled": False},
    }


async def test_the_return_makes_the_order_and_the_notice_finds_it(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    order = await market.order(bought)
    assert (order["status"], order["payment"]) == (
        "fulfilled",
        {"provider": "stripe", "reference": session["payment_intent"]},
    )
    assert await stripe.send(stripe.last("checkout.session.completed"), copies=100) == [200] * 100
    assert await settled(market, 1) == [("checkout.session.completed", "handled", None)]
    assert await rows(market, "SELECT count(*) FROM orders") == [(1,)]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_a_notice_alone_makes_the_order_and_a_hundred_copies_make_one(market: Market, stripe: Stripe) -> None:
    checkout = await market.checkout(await market.listing())
    stripe.books.pay(session_of(stripe, checkout)["id"])
    assert await stripe.send(stripe.last("checkout.session.completed"), copies=100) == [200] * 100
    assert (await market.outside.next_letter())["To"] == "ada@example.com"
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]
    assert await rows(market, "SELECT outcome, reason FROM notices") == [("handled", None)]
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_a_return_that_stripe_does_not_answer_waits_for_the_notice(market: Market, stripe: Stripe) -> None:
    checkout = await market.checkout(await market.listing())
    stripe.books.pay(session_of(stripe, checkout)["id"])
    stripe.faults += [Fault("checkout/sessions", status=503)] * 2
    waiting = await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)
    assert waiting.status == 200
    assert await stripe.send_all() == [200]
    assert (await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)).status == 303


async def test_a_bank_debit_makes_its_order_when_the_bank_has_paid(market: Market, stripe: Stripe) -> None:
    checkout = await market.checkout(await market.listing())
    session = session_of(stripe, checkout)
    stripe.books.pay(session["id"], "sepa_debit")
    await stripe.send_all()
    assert (await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)).status == 200
    assert await rows(market, "SELECT count(*) FROM orders") == [(0,)]
    market.later(days=3)
    stripe.books.settle(session["id"])
    assert await stripe.send(stripe.last("checkout.session.async_payment_succeeded")) == [200]
    assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]
    assert [found[1] for found in await settled(market, 2)] == ["handled", "handled"]


async def test_a_bank_debit_that_bounces_makes_no_order(market: Market, stripe: Stripe) -> None:
    session = session_of(stripe, await market.checkout(await market.listing()))
    stripe.books.pay(session["id"], "sepa_debit")
    stripe.books.bounce(session["id"])
    await stripe.send_all()
    assert await settled(market, 2) == [
        ("checkout.session.completed", "handled", "the session is complete, and the buyer's bank has yet to pay"),
        ("checkout.session.async_payment_failed", "handled", "the buyer's bank did not pay"),
    ]
    assert await rows(market, "SELECT count(*) FROM orders") == [(0,)]


async def test_a_refund_by_the_seller_is_one_refund_at_stripe(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    order_id = (await market.order(bought))["id"]
    path = f"/v1/orders/{order_id}/refund"
    expect(await market.shop.post(path, json={"amount": 200, "reason": "Too late"}), 200)
    order = expect(await market.shop.post(path, json={}), 200)
    assert (order["payment_status"], order["refund_amount"]) == ("refunded", 500)
    made = stripe.books.all_of(PLATFORM, "refund")
    assert [(one["amount"], one["payment_intent"], one["reason"]) for one in made] == [
        (300, session["payment_intent"], "requested_by_customer"),
        (200, session["payment_intent"], "requested_by_customer"),
    ]
    assert made[1]["metadata"]["purvey_reason"] == "Too late"
    await stripe.send_all()
    assert {found[1:] for found in await settled(market, 5)} == {("handled", None)}
    found = expect(await market.shop.get(f"/v1/orders/{order_id}/refunds"), 200)["data"]
    assert sorted((one["amount"], one["origin"], one["status"]) for one in found) == [
        (200, "seller", "succeeded"),
        (300, "seller", "succeeded"),
    ]
    assert (await market.shop.get(bought.access, key=None)).status == 410


async def test_a_refund_whose_answer_was_lost_is_asked_for_again_and_made_once(market: Market, stripe: Stripe) -> None:
    bought, _ = await paid(market, stripe)
    order_id = (await market.order(bought))["id"]
    stripe.faults += [Fault("refunds"), Fault("refunds", lost=True)]
    order = expect(await market.shop.post(f"/v1/orders/{order_id}/refund", json={"amount": 200}), 200)
    assert (order["refund_amount"], order["refund_pending"]) == (0, 200)
    market.later(seconds=31)
    await market.outside.next_letter()
    assert (await market.outside.next_letter())["Subject"] == "A part of your money goes back: Kit"
    assert len(stripe.books.all_of(PLATFORM, "refund")) == 1


async def test_a_refund_is_made_once_although_stripe_forgets_keys_after_a_day(market: Market, stripe: Stripe) -> None:
    bought, _ = await paid(market, stripe)
    order_id = (await market.order(bought))["id"]
    # A mail that is on its way when a day passes is sent again: its sender looks dead.
    await until(lambda: rows(market, "SELECT FROM messages WHERE status = 'sent'"), "the confirmation has gone")
    away = Fault("refunds", status=503, lasting=True)
    stripe.faults += [Fault("refunds"), Fault("refunds", lost=True), away]
    order = expect(await market.shop.post(f"/v1/orders/{order_id}/refund", json={"amount": 200}), 200)
    assert (order["refund_amount"], order["refund_pending"]) == (0, 200)
    stripe.faults.remove(away)
    market.later(hours=25)
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert [letter["Subject"] for letter in letters] == ["Your order: Kit", "A part of your money goes back: Kit"]
    assert len(stripe.books.all_of(PLATFORM, "refund")) == 1


async def test_what_stripe_refuses_to_give_back_is_refused(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    order_id = (await market.order(bought))["id"]
    stripe.books.dispute(session["payment_intent"])
    refused = expect(await market.shop.post(f"/v1/orders/{order_id}/refund", json={}), 422)
    assert refused["code"] == "refund_not_allowed"
    assert "charged back" in refused["detail"]


async def test_refunds_made_in_the_dashboard_follow_in_any_order_and_number(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    for amount in (150, 350):
        stripe.books.refund(PLATFORM, {"payment_intent": session["payment_intent"], "amount": amount})
    for event in reversed(stripe.events):
        assert await stripe.send(event, copies=3) == [200] * 3
    assert {found[1:] for found in await settled(market, 5)} == {("handled", None)}
    order = await market.order(bought)
    assert (order["payment_status"], order["refund_amount"]) == ("refunded", 500)
    assert (await market.shop.get(bought.access, key=None)).status == 410
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled", "order.refunded"]


async def test_a_refund_that_the_bank_sends_back_is_no_refund(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    refund = stripe.books.refund(PLATFORM, {"payment_intent": session["payment_intent"], "amount": 500})
    await stripe.send_all()
    await settled(market, 3)
    stripe.books.fail_refund(refund["id"])
    await stripe.send(stripe.last("refund.failed"))
    await settled(market, 4)
    order = await market.order(bought)
    assert (order["payment_status"], order["refund_amount"], order["refunded_at"]) == ("paid", 0, None)
    letters = [await market.outside.next_letter() for _ in range(3)]
    assert {letter["Subject"]: letter["To"] for letter in letters} == {
        "Your order: Kit": "ada@example.com",
        "Your refund: Kit": "ada@example.com",
        "A refund came back: Kit": "seller@example.com",
    }


async def test_a_refund_of_which_we_hear_before_the_payment_waits_for_it(market: Market, stripe: Stripe) -> None:
    session = session_of(stripe, await market.checkout(await market.listing()))
    stripe.books.pay(session["id"])
    stripe.books.refund(PLATFORM, {"payment_intent": session["payment_intent"], "amount": 500})
    assert await stripe.send(stripe.last("refund.created")) == [200]
    assert await stripe.send(stripe.last("checkout.session.completed")) == [200]
    assert (await market.outside.next_letter())["Subject"] == "Your order: Kit"
    market.later(seconds=6)
    assert (await market.outside.next_letter())["Subject"] == "Your refund: Kit"
    assert await rows(market, "SELECT payment_status FROM orders") == [("refunded",)]


async def test_a_dispute_is_followed_to_its_end_and_back(market: Market, stripe: Stripe, clock: FakeClock) -> None:
    bought, session = await paid(market, stripe)
    dispute = stripe.books.dispute(session["payment_intent"])
    await stripe.send(stripe.last("charge.dispute.created"))
    await settled(market, 1)
    order = await market.order(bought)
    assert (order["dispute_status"], order["dispute_reason"]) == ("needs_response", "product_not_received")
    clock.advance(seconds=60)
    stripe.books.move_dispute(dispute["id"], "under_review")
    stripe.books.move_dispute(dispute["id"], "lost")
    await stripe.send(stripe.last("charge.dispute.closed"))
    await stripe.send(stripe.last("charge.dispute.updated"))
    await settled(market, 3)
    assert (await market.order(bought))["dispute_status"] == "lost"
    assert (await market.shop.get(bought.access, key=None)).status == 410
    assert [event["type"] for event in await market.events()][2:] == ["order.disputed"]


async def test_a_session_that_is_paid_twice_is_given_back_once(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    stripe.books.pay_again(session["id"])
    await stripe.send(stripe.last("checkout.session.completed"))
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert sorted(str(letter["Subject"]) for letter in letters) == ["You paid twice: Kit", "Your order: Kit"]
    [refund] = stripe.books.all_of(PLATFORM, "refund")
    assert refund["payment_intent"] != session["payment_intent"]
    assert (await market.order(bought))["payment_status"] == "paid"


async def post(market: Market, body: bytes, signature: str, query: str = "") -> Reply:
    """Post a notice as it is."""
    return await market.shop.post(f"{PATH}{query}", data=body, headers={"Stripe-Signature": signature}, key=None)


async def test_only_what_stripe_signed_lately_is_taken(market: Market, stripe: Stripe, clock: FakeClock) -> None:
    session = session_of(stripe, await market.checkout(await market.listing()))
    stripe.books.pay(session["id"])
    event = stripe.last("checkout.session.completed")
    body, good = stripe.signed(event)
    now = int(clock.now().timestamp())
    old = stripe.signed(event, at=now - 301)[1]
    wrong = [
        (body, ""),
        (body, "t=,v1="),
        (body, good.replace("v1=", "v0=")),
        (body, stripe.signed(event, "whsec_another")[1]),
        (body.replace(b"500", b"501"), good),
        (body, old),
        (body, f"{old},t={now}"),
        (body, stripe.signed(event, at=now + 301)[1]),
        (b"\xff" + body, good),
    ]
    for bytes_sent, signature in wrong:
        reply = await post(market, bytes_sent, signature)
        assert expect(reply, 400)["code"] == "bad_signature"
        assert WEBHOOK_SECRET not in reply.text
    assert await rows(market, "SELECT count(*) FROM notices") == [(0,)]
    other = stripe.signed(event, "whsec_another", at=now)[1].rpartition("v1=")[2]
    assert (await post(market, body, f"t={now},v1={other},{good.partition(',')[2]}")).status == 200


MISFITS: list[tuple[Object, str, str]] = [
    ({"livemode": True}, "refused", "real money, in test mode"),
    ({"account": "acct_stranger"}, "refused", "it is of a session that was opened for somebody else"),
    ({"object": {"amount_subtotal": 1}}, "refused", "paid 1 USD, but checkout"),
    ({"object": {"currency": "eur"}}, "refused", "paid 500 EUR, but checkout"),
    ({"object": {"id": "cs_other"}}, "refused", "for which we opened no such session"),
    ({"object": {"id": "cs_other", "metadata": {}}}, "handled", "it is about nothing that was sold here"),
    ({"object": {"payment_status": "maybe"}}, "refused", "it cannot be read"),
]


async def test_what_does_not_fit_has_its_answer_and_makes_no_order(market: Market, stripe: Stripe) -> None:
    session = session_of(stripe, await market.checkout(await market.listing()))
    stripe.books.pay(session["id"])
    event = stripe.last("checkout.session.completed")
    for number, (change, outcome, reason) in enumerate(MISFITS, 1):
        misfit = event | {"id": f"evt_{number}"} | {key: one for key, one in change.items() if key != "object"}
        misfit["data"] = {"object": event["data"]["object"] | change.get("object", {})}
        assert (await post(market, *stripe.signed(misfit))).status == 200
        found = (await rows(market, f"SELECT outcome, reason FROM notices WHERE id = 'evt_{number}'"))[0]
        assert found[0] == outcome
        assert reason in found[1]
    assert await rows(market, "SELECT count(*) FROM orders") == [(0,)]


async def test_what_is_paid_elsewhere_at_the_same_stripe_is_none_of_ours(market: Market, stripe: Stripe) -> None:
    intent = stripe.books.new(PLATFORM, "payment_intent", "pi_", amount=500, status="succeeded")
    charge = stripe.books.new(PLATFORM, "charge", "ch_", amount=500, payment_intent=intent["id"])
    intent["latest_charge"] = charge["id"]
    stripe.books.refund(PLATFORM, {"charge": charge["id"], "amount": 100})
    stripe.books.dispute(intent["id"])
    stripe.books.warn(intent["id"])
    await stripe.send_all()
    assert {found[1:] for found in await settled(market, 4)} == {("handled", "it is about nothing that was sold here")}


async def test_a_notice_waits_until_stripe_answers(market: Market, stripe: Stripe) -> None:
    bought, session = await paid(market, stripe)
    stripe.books.dispute(session["payment_intent"])
    stripe.faults.append(Fault("disputes", status=500))
    assert await stripe.send(stripe.last("charge.dispute.created")) == [200]
    await until(lambda: not stripe.faults, "Stripe was asked")
    assert await rows(market, "SELECT outcome FROM notices") == [(None,)]
    market.later(seconds=31)
    await settled(market, 1)
    assert (await market.order(bought))["dispute_status"] == "needs_response"


UNITS = [("JPY", 500, 500), ("KWD", 1230, 1230), ("ISK", 500, 50_000), ("UGX", 9000, 900_000), ("MGA", 500_000, 5000)]
"""Currency, our amount, Stripe's."""


async def test_amounts_are_in_stripes_units_there_and_in_ours_here(market: Market, stripe: Stripe) -> None:
    for currency, price, at_stripe in UNITS:
        bought, session = await paid(market, stripe, price=price, currency=currency)
        assert session["amount_total"] == at_stripe
        order = await market.order(bought)
        assert (order["amount"], order["currency"]) == (price, currency)
        expect(await market.shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
        assert stripe.last("refund.created")["data"]["object"]["amount"] == at_stripe


async def test_an_amount_that_stripe_cannot_take_is_told_in_a_sentence(market: Market) -> None:
    for currency, price, words in (
        ("USD", 49, "$0.49 is too little to be paid by card: the least is $0.50"),
        ("KWD", 1234, "the last of the three decimals must be 0"),
        ("MGA", 550, "Stripe takes whole MGA only"),
        ("XAF", 1, "must add up to at least the minimum charge"),
    ):
        listing = await market.listing(price=price, currency=currency)
        body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
        refused = expect(await market.shop.post("/v1/checkouts", json=body, key=None), 409)
        assert words in refused["detail"]


async def test_a_part_that_stripe_cannot_give_back_exactly_is_refused(market: Market, stripe: Stripe) -> None:
    for currency, price, part in (("MGA", 500_000, 150), ("KWD", 1230, 235)):
        bought, _ = await paid(market, stripe, price=price, currency=currency)
        path = f"/v1/orders/{(await market.order(bought))['id']}/refund"
        refused = expect(await market.shop.post(path, json={"amount": part}), 422)
        assert (refused["code"], refused["refundable_amount"]) == ("refund_not_allowed", price)
        assert "cannot be paid" in refused["detail"]
    assert stripe.books.all_of(PLATFORM, "refund") == []


async def test_a_stripe_that_is_away_is_told_as_such(market: Market, stripe: Stripe) -> None:
    listing = await market.listing()
    stripe.faults += [Fault("checkout/sessions", status=500)] * 2
    body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
    assert expect(await market.shop.post("/v1/checkouts", json=body, key=None), 503)["code"] == "unavailable"


async def test_the_sandbox_is_not_there(market: Market) -> None:
    checkout = await market.checkout(await market.listing())
    paying = await market.shop.post(
        f"/sandbox/checkouts/{checkout['id']}/pay", json={"card": "4242424242424242"}, key=None
    )
    assert paying.status == 404
    assert (await market.shop.post("/payments/sandbox/notices", data=b"{}", key=None)).status == 404


async def test_what_stripe_never_told_is_found_within_the_hour(market: Market, stripe: Stripe) -> None:
    session = session_of(stripe, await market.checkout(await market.listing()))
    stripe.books.pay(session["id"])
    stripe.books.dispute(session["payment_intent"])
    market.later(minutes=61)
    letters = [await market.outside.next_letter() for _ in range(2)]
    assert {letter["Subject"] for letter in letters} == {"Your order: Kit", "A payment is disputed: Kit"}
    assert [found[1] for found in await settled(market, 2)] == ["handled", "handled"]
    assert await rows(market, "SELECT count(*) FROM orders") == [(1,)]


async def test_a_person_compares_and_mends(
    database: Database, fresh_database: str, stripe: Stripe, clock: FakeClock
) -> None:
    # The command has the real time.
    clock.at = datetime.now(UTC).replace(microsecond=0)
    told = stripe_settings(stripe)
    settings = {f"PURVEY_{name.upper()}": value for name, value in told.items()}
    settings |= {"PURVEY_DATABASE_URL": fresh_database, "PURVEY_SECRET_KEY": SECRET_KEY}
    async with open_market(database, clock, stripe) as market:
        session = session_of(stripe, await market.checkout(await market.listing()))
        stripe.books.pay(session["id"])
        found = await purvey("payments", "reconcile", "--since", "2h", settings=settings)
        assert found.status == 1, found
        assert "checkout.session.completed: its notice never came" in found.output
        assert f"checkout.session: checkout {session['client_reference_id']} is paid and has no order" in found.output
        assert await rows(market, "SELECT count(*) FROM orders") == [(0,)]
        mended = await purvey("payments", "reconcile", "--fix", settings=settings)
        assert mended.status == 0, mended
        assert await rows(market, "SELECT status FROM orders") == [("fulfilled",)]
        same = await purvey("payments", "reconcile", settings=settings)
        assert (same.status, same.output) == (0, "Stripe knows nothing that is not known here.\n")
        said = [found, mended, same, await purvey("payments", "status", settings=settings)]
        assert said[-1].output.startswith("the installation (test mode): takes payments\n")
        assert not [one for one in said if STRIPE_KEY in str(one) or WEBHOOK_SECRET in str(one)]


async def test_an_account_says_what_is_missing_before_it_takes_money(
    database: Database, clock: FakeClock, stripe: Stripe
) -> None:
    async with running_shop(database, clock, **stripe_settings(stripe) | {"stripe_webhook_secret": None}) as (shop, _):
        readiness = expect(await shop.get("/v1/account"), 200)["readiness"]
        assert (readiness["can_take_payments"], readiness["provider"], readiness["mode"]) == (False, "stripe", "test")
        assert readiness["next"]["code"] == "set_stripe_webhook_secret"
        assert f"{shop.url}/payments/stripe/notices" in readiness["next"]["message"]
    options = stripe_settings(stripe) | {"stripe_secret_key": None, "smtp_url": "smtp://127.0.0.1:1"}
    async with running_shop(database, clock, "other@example.com", **options) as (shop, app):
        assert expect(await shop.get("/v1/account"), 200)["readiness"]["next"]["code"] == "set_stripe_key"
        await merchants.set_own_key(app.tools, shop.account.id, "rk_live_0123456789", "whsec_0123456789")
        readiness = expect(await shop.get("/v1/account"), 200)["readiness"]
        assert (readiness["can_take_payments"], readiness["mode"], readiness["actions"]) == (True, "live", [])


async def test_stripe_tells_when_an_account_may_no_longer_take_payments(market: Market, stripe: Stripe) -> None:
    account = stripe.account(PLATFORM)
    account |= {"charges_enabled": False}
    account["requirements"] = {"currently_due": ["external_account"], "past_due": [], "disabled_reason": "listed"}
    stripe.books.tell(PLATFORM, "account.updated", account)
    await stripe.send_all()
    await settled(market, 1)
    readiness = expect(await market.shop.get("/v1/account"), 200)["readiness"]
    assert not readiness["can_take_payments"]
    assert "external_account" in readiness["next"]["message"]


async def test_each_account_has_its_own_stripe_and_no_notice_of_anothers_pays(market: Market, stripe: Stripe) -> None:
    shop = market.shop
    # This account by its own key ...
    stripe.merchants["sk_test_thesellersownkey"] = "acct_seller"
    await merchants.set_own_key(shop.tools, shop.account.id, "sk_test_thesellersownkey", "whsec_thesellersown")
    stripe.targets.append(
        Target(f"{shop.url}{PATH}?account={shop.account.id}", "whsec_thesellersown", merchant="acct_seller")
    )
    checkout = await market.checkout(await market.listing())
    [session] = stripe.books.all_of("acct_seller", "checkout.session")
    stripe.books.pay(session["id"])
    event = stripe.last("checkout.session.completed")
    forged = event | {"id": "evt_forged"}
    # ... whose notices another one cannot sign, not even the installation.
    assert (await post(market, *stripe.signed(forged), f"?account={shop.account.id}")).status == 400
    assert (await post(market, *stripe.signed(forged))).status == 200
    assert (await rows(market, "SELECT outcome FROM notices")) == [("refused",)]
    assert await stripe.send(event) == [200]
    first = await market.order(Bought(checkout, ""))
    expect(await shop.post(f"/v1/orders/{first['id']}/refund", json={"amount": 100}), 200)
    assert len(stripe.books.all_of("acct_seller", "refund")) == 1
    sealed = await rows(market, "SELECT secret_key, webhook_secret FROM stripe_merchants")
    assert b"thesellersown" not in b"".join(sealed[0])
    # And then as a connected account, of whose payments the installation keeps a share.
    stripe.connected.add("acct_connected")
    await merchants.connect(shop.tools, shop.account.id, "acct_connected", 250)
    stripe.targets.append(Target(f"{shop.url}{PATH}", connected=True))
    checkout = await market.checkout(await market.listing(price=1000))
    asked = stripe.requests("POST", "checkout/sessions")[-1]
    assert asked.headers["Stripe-Account"] == "acct_connected"
    assert asked.form["payment_intent_data"]["application_fee_amount"] == 25
    [session] = stripe.books.all_of("acct_connected", "checkout.session")
    stripe.books.pay(session["id"])
    assert await stripe.send(stripe.last("checkout.session.completed")) == [200]
    order = await market.order(Bought(checkout, ""))
    expect(await shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
    assert stripe.requests("POST", "refunds")[-1].form["refund_application_fee"] is True
    # The share that was taken then goes back, whatever it is now.
    for then, now, goes_back in ((0, 250, False), (250, 0, True)):
        await merchants.connect(shop.tools, shop.account.id, "acct_connected", then)
        checkout = await market.checkout(await market.listing(price=1000))
        stripe.books.pay(stripe.books.all_of("acct_connected", "checkout.session")[0]["id"])
        await merchants.connect(shop.tools, shop.account.id, "acct_connected", now)
        assert await stripe.send(stripe.last("checkout.session.completed")) == [200]
        order = await market.order(Bought(checkout, ""))
        expect(await shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
        assert stripe.requests("POST", "refunds")[-1].form.get("refund_application_fee", False) is goes_back
    # The first order is the first merchant's still, whose key is gone now.
    refused = expect(await shop.post(f"/v1/orders/{first['id']}/refund", json={}), 422)
    assert "there is no key any more" in refused["detail"]


async def test_tax_and_promotion_codes_change_what_is_paid_and_given_back(
    database: Database, clock: FakeClock, stripe: Stripe
) -> None:
    stripe.books.tax_percent, stripe.books.discount_percent = 20, 50
    asked = {"stripe_tax": True, "stripe_promotion_codes": True, "stripe_statement_descriptor": "BOOKS"}
    async with open_market(database, clock, stripe, **asked) as market:
        bought, session = await paid(market, stripe, price=1000)
        assert (session["amount_subtotal"], session["amount_total"]) == (1000, 600)
        order = await market.order(bought)
        assert (order["amount"], order["listing"]["price"]) == (600, 1000)
        order = expect(await market.shop.post(f"/v1/orders/{order['id']}/refund", json={}), 200)
        assert (order["payment_status"], order["refund_amount"]) == ("refunded", 600)
        stripe.books.discount_percent = 100
        free, session = await paid(market, stripe, price=1000)
        assert session["payment_status"] == "no_payment_required"
        assert (await market.order(free))["payment"]["reference"] == session["id"]


@pytest.mark.parametrize("policy", ["hold", "refund", "ignore"])
async def test_an_early_warning_of_fraud_does_what_the_settings_say(
    database: Database, clock: FakeClock, stripe: Stripe, policy: str
) -> None:
    async with open_market(database, clock, stripe, stripe_fraud_warnings=policy) as market:
        bought, session = await paid(market, stripe)
        stripe.books.warn(session["payment_intent"])
        assert await stripe.send(stripe.last("radar.early_fraud_warning.created"), copies=3) == [200] * 3
        await settled(market, 1)
        letters = [await market.outside.next_letter() for _ in range(1 if policy == "ignore" else 2)]
        subjects = {"hold": "A payment may be fraud: Kit", "refund": "Your refund: Kit"}
        assert {letter["Subject"] for letter in letters} == {"Your order: Kit", subjects.get(policy, "Your order: Kit")}
        order = await market.order(bought)
        assert order["payment_status"] == ("refunded" if policy == "refund" else "paid")
        opened = (await market.shop.get(bought.access, key=None)).status
        assert opened == (200 if policy == "ignore" else 410)


async def test_no_secret_is_in_anything_that_is_written(
    database: Database, clock: FakeClock, stripe: Stripe, capfd: pytest.CaptureFixture[str]
) -> None:
    own_key, own_secret = "sk_test_thesellersownkey", "whsec_thesellersown"
    stripe.merchants[own_key] = "acct_seller"
    written: list[str] = []
    async with open_market(database, clock, stripe) as market:
        shop = market.shop
        bought, session = await paid(market, stripe)
        order = await market.order(bought)
        stripe.books.dispute(session["payment_intent"])
        stripe.faults += [Fault("refunds", status=500), Fault("disputes", status=401)]
        await stripe.send_all()
        replies = [
            await shop.post(f"/v1/orders/{order['id']}/refund", json={"amount": 100}),
            await post(market, b"{}", "t=1,v1=00"),
            await shop.get("/v1/account"),
            await shop.get(f"/v1/orders/{order['id']}/history"),
            await shop.get("/v1/events"),
            await shop.get(bought.access, key=None),
            await shop.get(f"/l/{order['listing']['id']}", key=None),
        ]
        await merchants.set_own_key(shop.tools, shop.account.id, own_key, own_secret)
        stripe.rights[own_key] = set()
        listing = await market.listing()
        body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
        refused = await shop.post("/v1/checkouts", json=body, key=None)
        assert refused.status == 409
        written += [reply.text for reply in [*replies, refused]]
        written += [str(await market.outside.next_letter())]
        tables = await rows(market, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            written += [str(row) for row in await rows(market, f"SELECT {table}::text FROM {table}")]
    captured = capfd.readouterr()
    assert "notice" in captured.out + captured.err
    written += [captured.out, captured.err]
    for secret in (STRIPE_KEY, WEBHOOK_SECRET, own_key, own_secret):
        found = [text for text in written if secret in text or secret.encode().hex() in text]
        assert found == []
