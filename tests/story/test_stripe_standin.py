"""The stand-in for Stripe is asked by the official package, and refuses what Stripe refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web
from stripe.params.checkout import SessionCreateParams

from stripe_standin.params import RefusedError, read
from stripe_standin.server import PLATFORM, SECRET_KEY, WEBHOOK_SECRET, Fault, Stripe, Target, open_stripe

NOW = 1_800_000_000
SALE: dict[str, Any] = {
    "mode": "payment",
    "success_url": "https://shop.example/return",
    "line_items": [
        {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Kit"}}}
    ],
    "metadata": {"checkout": "chk_1"},
}


@pytest.fixture
async def standin() -> AsyncIterator[Stripe]:
    """A stand-in whose clock stands still."""
    async with open_stripe(lambda: NOW) as opened:
        yield opened


@pytest.fixture
async def client(standin: Stripe) -> AsyncIterator[stripe.StripeClient]:
    """The official package, which asks the stand-in."""
    http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=10))
    yield stripe.StripeClient(SECRET_KEY, base_addresses={"api": standin.url}, http_client=http, max_network_retries=0)
    await http.close_async()  # type: ignore[no-untyped-call]  # it is not annotated


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("colour=red", "colour"),
        ("mode=gift", "mode"),
        ("expires_at=soon", "expires_at"),
        ("line_items[0][prices]=1", "line_items[0][prices]"),
        ("line_items=1", "line_items"),
        ("automatic_tax[enabled]=yes", "automatic_tax[enabled]"),
        (
            "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=5.00",
            "line_items[0][price_data][unit_amount]",
        ),
        ("success_url[0]=x", "success_url"),
    ],
)
def test_a_field_or_a_value_that_the_types_do_not_know_is_refused(form: str, param: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read(form, SessionCreateParams)
    assert refused.value.param == param


async def test_from_session_to_dispute(standin: Stripe, client: stripe.StripeClient) -> None:
    session = await client.v1.checkout.sessions.create_async(SALE)  # type: ignore[arg-type]  # what a test may send
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 500)
    assert session.payment_intent is None
    standin.books.pay(session.id)
    paid = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    refund = await client.v1.refunds.create_async({"payment_intent": str(paid.payment_intent), "amount": 200})
    assert (refund.amount, refund.status, refund.payment_intent) == (200, "succeeded", paid.payment_intent)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await client.v1.refunds.create_async({"payment_intent": str(paid.payment_intent), "amount": 301})
    dispute = standin.books.dispute(str(paid.payment_intent))
    standin.books.move_dispute(dispute["id"], "lost")
    assert [event["type"] for event in standin.events] == [
        "checkout.session.completed",
        "charge.refunded",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.closed",
    ]
    listed = await client.v1.events.list_async({"types": ["charge.dispute.closed"], "created": {"gte": NOW}})
    assert [event.id for event in listed.data] == [standin.events[-1]["id"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expires_at": NOW + 1799}, "at least 30 minutes"),
        ({"metadata": {"k" * 41: "v"}}, "40 characters"),
        ({"success_url": "shop"}, "Not a valid URL"),
        ({"mode": "gift"}, "Invalid mode"),
        ({"payment_intent_data": {"application_fee_amount": 1}}, "application_fee"),
    ],
)
async def test_what_stripe_refuses_is_refused(
    client: stripe.StripeClient, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        await client.v1.checkout.sessions.create_async(SALE | change)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(("currency", "amount"), [("usd", 49), ("kwd", 1001), ("isk", 550), ("USD", 500)])
async def test_amounts_follow_the_rules_of_their_currency(
    client: stripe.StripeClient, currency: str, amount: int
) -> None:
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Kit"}}
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.checkout.sessions.create_async(SALE | {"line_items": [{"quantity": 1, "price_data": price}]})  # type: ignore[arg-type]


async def test_what_goes_back_follows_the_rules_of_its_currency_too(
    standin: Stripe, client: stripe.StripeClient
) -> None:
    for currency, amount, part in (("kwd", 1230, 235), ("isk", 50_000, 150), ("usd", 500, 501)):
        price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Kit"}}
        sale: Any = SALE | {"line_items": [{"quantity": 1, "price_data": price}]}
        session = await client.v1.checkout.sessions.create_async(sale)
        intent = standin.books.pay(session.id)["payment_intent"]
        for wrong in ({"amount": part}, {"refund_application_fee": True}):
            with pytest.raises(stripe.InvalidRequestError):
                await client.v1.refunds.create_async({"payment_intent": intent, **wrong})  # type: ignore[arg-type]
        assert (await client.v1.refunds.create_async({"payment_intent": intent})).amount == amount


async def test_a_session_that_nobody_pays_in_time_is_closed_and_told() -> None:
    now = [NOW]
    async with open_stripe(lambda: now[0]) as standin:
        session = standin.books.open_session(PLATFORM, SALE | {"expires_at": NOW + 1800}, "http://pay")
        now[0] += 1800
        with pytest.raises(RefusedError, match="has expired"):
            standin.books.pay(session["id"])
        assert session["status"] == "expired"
        assert [event["type"] for event in standin.events] == ["checkout.session.expired"]


async def test_a_refusal_is_kept_for_its_key_and_every_answer_for_a_day() -> None:
    now = [NOW]
    async with open_stripe(lambda: now[0]) as standin:
        http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=10))
        client = stripe.StripeClient(SECRET_KEY, base_addresses={"api": standin.url}, http_client=http)
        session = standin.books.open_session(PLATFORM, SALE, "http://pay")
        intent = standin.books.pay(session["id"])["payment_intent"]
        dispute = standin.books.dispute(intent)["id"]
        ours: Any = {"payment_intent": intent}, {"idempotency_key": "ours"}
        with pytest.raises(stripe.InvalidRequestError, match="charged back"):
            await client.v1.refunds.create_async(*ours)
        standin.books.move_dispute(dispute, "won")
        with pytest.raises(stripe.InvalidRequestError, match="charged back"):
            await client.v1.refunds.create_async(*ours)
        now[0] += 86400
        assert (await client.v1.refunds.create_async(*ours)).status == "succeeded"
        await http.close_async()  # type: ignore[no-untyped-call]  # it is not annotated


async def test_one_idempotency_key_has_one_effect(standin: Stripe, client: stripe.StripeClient) -> None:
    sessions = client.v1.checkout.sessions
    options: Any = {"idempotency_key": "ours"}
    standin.faults.append(Fault("checkout/sessions", lost=True))
    with pytest.raises(stripe.APIConnectionError):
        await sessions.create_async(SALE, options)  # type: ignore[arg-type]
    again = [await sessions.create_async(SALE, options) for _ in range(2)]  # type: ignore[arg-type]
    assert len({one.id for one in again}) == 1
    assert len(standin.books.all_of(PLATFORM, "checkout.session")) == 1
    with pytest.raises(stripe.IdempotencyError):
        await sessions.create_async(SALE | {"client_reference_id": "x"}, options)  # type: ignore[arg-type]


async def test_it_fails_and_stalls_when_told(standin: Stripe, client: stripe.StripeClient) -> None:
    gate = asyncio.Event()
    standin.faults += [Fault("account", status=500), Fault("account", gate=gate)]
    with pytest.raises(stripe.APIError):
        await client.v1.accounts.retrieve_current_async()
    waiting = asyncio.create_task(client.v1.accounts.retrieve_current_async())
    assert not waiting.done()
    gate.set()
    assert (await waiting).charges_enabled


async def test_keys_open_what_is_theirs(standin: Stripe, client: stripe.StripeClient) -> None:
    session = await client.v1.checkout.sessions.create_async(SALE)  # type: ignore[arg-type]
    standin.merchants["sk_test_other"] = "acct_other"
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        await client.v1.checkout.sessions.retrieve_async(session.id, options={"api_key": "sk_test_other"})
    with pytest.raises(stripe.AuthenticationError):
        await client.v1.checkout.sessions.retrieve_async(session.id, options={"api_key": "sk_test_nobody"})
    with pytest.raises(stripe.PermissionError):
        await client.v1.checkout.sessions.retrieve_async(session.id, options={"stripe_account": "acct_stranger"})
    standin.rights[SECRET_KEY] = {"refunds"}
    with pytest.raises(stripe.PermissionError):
        await client.v1.checkout.sessions.retrieve_async(session.id)


async def test_notices_are_signed_as_the_package_checks_and_repeated_when_told(
    standin: Stripe, client: stripe.StripeClient
) -> None:
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.text()
        stripe.WebhookSignature.verify_header(body, request.headers["Stripe-Signature"], WEBHOOK_SECRET)
        taken.append(json.loads(body)["id"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/notices", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    standin.targets.append(Target(f"http://127.0.0.1:{runner.addresses[0][1]}/notices"))
    session = await client.v1.checkout.sessions.create_async(SALE)  # type: ignore[arg-type]
    standin.books.pay(session.id)
    assert await standin.send(standin.last("checkout.session.completed"), copies=3) == [200] * 3
    assert len(taken) == 3
    assert len(set(taken)) == 1
    await runner.cleanup()


async def test_a_bank_debit_is_paid_or_bounces_later(standin: Stripe, client: stripe.StripeClient) -> None:
    for outcome, status in ((standin.books.settle, "paid"), (standin.books.bounce, "unpaid")):
        session = await client.v1.checkout.sessions.create_async(SALE)  # type: ignore[arg-type]
        assert standin.books.pay(session.id, "sepa_debit")["payment_status"] == "unpaid"
        assert outcome(session.id)["payment_status"] == status
    assert [event["type"].rpartition(".")[2] for event in standin.events] == [
        *("completed", "async_payment_succeeded"),
        *("completed", "async_payment_failed"),
    ]
