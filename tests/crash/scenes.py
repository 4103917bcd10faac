"""What must be there before an act: made through the product's own actions, on a connection of the parent's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from crash.act import Telling
from crash.stage import Scene
from purvey.server.access import actions as access
from purvey.server.access import store as grants
from purvey.server.checkout import store as checkouts
from purvey.server.checkout.actions import CONFIRM_AFTER, begin
from purvey.server.checkout.rules import new_checkout
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.files import actions as files
from purvey.server.files.model import Named
from purvey.server.fulfillment.kinds.dynamic.work import Call
from purvey.server.fulfillment.model import Change
from purvey.server.jobs import store as jobs
from purvey.server.jobs.model import Result
from purvey.server.jobs.worker import POLL_EVERY
from purvey.server.kit.crypto import sha256
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.library import actions as library
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import NewListing
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.model import Notice, Payment, Verdict
from purvey.server.payments.sandbox.provider import Sandbox
from purvey.server.refunds.model import Ask
from purvey.server.refunds.rules import request
from purvey.server.stock import actions as stock
from purvey.server.stock.store import give_back
from stripe_standin.server import PLATFORM

TEXT = DeliverableIn(type="text", value="the goods")
URL = DeliverableIn(type="url", value="https://example.com/the-goods")
BUYER = "ada@example.com"


def form(*files: bytes) -> Mapping[str, Any]:
    """Return the body and the headers of an upload; one file is right."""
    parts = [
        b'--XbX\r\nContent-Disposition: form-data; name="file"; filename="kit.pdf"\r\n\r\n' + file + b"\r\n"
        for file in files
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=XbX"}
    return {"data": b"".join([*parts, b"--XbX--\r\n"]), "headers": headers}


LARGE = 9 * 1024 * 1024
"""Bytes of a file that is sent in three windows."""


async def large_file_on_sale(scene: Scene) -> None:
    """Put a file on sale that is larger than what is sent at once."""
    await file(scene, bytes(LARGE))
    await on_sale(DeliverableIn(type="file", token=scene.names["file"]))(scene)


async def begin_a_download(scene: Scene) -> None:
    """Ask for the file, read a little of it, and go away."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.stage.port, limit=64 * 1024)
        try:
            writer.write(f"GET {scene.names['link']} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
            await reader.readexactly(1000)
        finally:
            writer.transport.abort()
            await writer.wait_closed()


async def file(scene: Scene, content: bytes = b"the goods") -> None:
    """Upload a file: `{file}`."""

    async def goods() -> AsyncIterator[bytes]:
        yield content

    tools, storage = scene.tools, scene.stage.app.storage
    named = Named("kit.pdf", "application/pdf")
    async with files.arriving(tools, storage, scene.account.id, named, goods()) as arrived:
        scene.names["file"] = (await files.keep(tools, arrived)).id


async def file_again(scene: Scene) -> None:
    """Upload the file anew if it is gone, because a day has passed since nobody attached it."""
    if not await files.load(scene.tools, [(scene.account.id, scene.names["file"])]):
        await file(scene)


async def attach_the_file(scene: Scene) -> None:
    """Put the file on the listing."""
    body = {"deliverables": [{"type": "file", "token": scene.names["file"]}]}
    await scene.ask("PUT", "/v1/listings/{listing}/deliverables", json=body)


async def deliver_the_file(scene: Scene) -> None:
    """Deliver the order with the file."""
    await scene.ask("POST", "/v1/orders/{order}/deliver", json={"type": "file", "token": scene.names["file"]})


def draft(*content: DeliverableIn, **fields: Any) -> Telling:
    """Make a listing: `{listing}`. With `callback`, its webhooks go to the receiver outside."""
    calls_back = fields.pop("callback", False)

    async def make(scene: Scene) -> None:
        told: Mapping[str, Any] = {"name": "Kit", "price": 900, "deliverables": list(content)} | fields
        if calls_back:
            told = {**told, "agent_callback_url": scene.stage.outside.hook_url}
        made = await listings.create(scene.tools, scene.account, NewListing(**told))
        scene.names |= {"listing": made.id, "endpoint": made.callback_endpoint_id or ""}
        if made.deliverables:
            scene.names["deliverable"] = made.deliverables[0].id

    return make


def on_sale(*content: DeliverableIn, **fields: Any) -> Telling:
    """Make a listing and publish it."""
    make = draft(*content, **fields)

    async def make_and_publish(scene: Scene) -> None:
        await make(scene)
        await listings.publish(scene.tools, scene.account.id, scene.names["listing"])

    return make_and_publish


generated = on_sale(content_type="generated", callback=True)
"""A listing whose content is made for each order by the seller's program, which is told of it."""


async def dynamic(scene: Scene) -> None:
    """A listing whose seller's server, which is the receiver outside, is called for each order."""
    await on_sale(content_type="dynamic", dynamic_webhook=scene.stage.outside.hook_url)(scene)


static = on_sale(TEXT)
"""A listing whose content is there."""


def promised(on_late: str) -> Telling:
    """Make a listing whose content is promised within the hour."""
    return on_sale(content_type="generated", fulfill_within=3600, on_late=on_late, late_text="Take this meanwhile.")


POOL = DeliverableIn(type="text", key_pool=True)


async def keys(scene: Scene, *values: str) -> None:
    """Upload licence keys."""
    await stock.upload(scene.tools, scene.account.id, scene.names["listing"], values)


async def pooled(scene: Scene) -> None:
    """Put a listing on sale that gives each order a licence key, of which there are two."""
    await draft(POOL, TEXT)(scene)
    await keys(scene, "K1", "K2")
    await listings.publish(scene.tools, scene.account.id, scene.names["listing"])


async def without_key(scene: Scene) -> None:
    """Have an order that waits for a licence key, because there is none: `{order}`."""
    await pooled(scene)
    await checkout(scene)
    later = scene.tools.clock.now() + timedelta(hours=1)
    await give_back(scene.tools.database, scene.account.id, scene.names["listing"], later)
    await scene.tools.database.write("DELETE FROM pool_keys WHERE account_id = $1", scene.account.id)
    await paid(scene)


async def checkout(scene: Scene) -> None:
    """Start a checkout of the listing: `{checkout}`."""
    body = {"listing_id": scene.names["listing"], "buyer_email": BUYER}
    reply = await scene.stage.ask("POST", "/v1/checkouts", None, json=body)
    assert reply is not None
    assert reply.status == 201, reply.text
    scene.names["checkout"] = reply.json["id"]


async def free_checkout(scene: Scene) -> None:
    """Start a free checkout in a process that died before it made the order."""
    sale = await listings.for_sale(scene.tools, scene.names["listing"])
    now = scene.tools.clock.now()
    started = new_checkout(sale, scene.tools.ids.new("chk_"), scene.tools.base_url, BUYER, {}, now)
    await checkouts.insert_free(scene.tools.database, started, now + CONFIRM_AFTER)


async def payment_of(scene: Scene) -> Payment:
    """Return the payment of the checkout, as the provider would confirm it."""
    row = await scene.tools.database.row(
        "SELECT amount, currency FROM checkouts WHERE id = $1", scene.names["checkout"]
    )
    assert row is not None
    return Payment("sandbox", f"pay_of_{scene.names['checkout']}", scene.names["checkout"], *row)


def sandbox_of(scene: Scene) -> Sandbox:
    """Return the provider, in the parent."""
    return Sandbox(scene.tools, scene.stage.app.wake.poke)


async def paid(scene: Scene) -> None:
    """Have the provider report the payment of the checkout: `{order}`."""
    headers, body = sandbox_of(scene).report(await payment_of(scene))
    await scene.stage.app.inbox.receive("sandbox", headers, body)
    scene.names["order"] = await scene.sql("SELECT id FROM orders WHERE account_id = $1", scene.account.id)


async def called_in_vain(scene: Scene) -> None:
    """Have the seller's server called for the order, which it refuses."""
    scene.stage.outside.answers[:] = [400]
    http = SafeHttp(allow_private=True)
    call = Call(scene.tools, http, scene.stage.app.fulfillment)
    now = scene.tools.clock.now()
    until = now + timedelta(seconds=45)
    claimed = await jobs.claim(
        scene.tools.database, {"callback": 1}, {}, per_lane=1, token=uuid4(), now=now, until=until
    )
    [due] = await call.load(claimed)
    assert due is not None
    await call.run(claimed[0], due)
    await jobs.finish(scene.tools.database, [Result(claimed[0].id, claimed[0].lease_token)], now)
    await http.close()


async def booked(scene: Scene) -> None:
    """Pay on the payment page; nobody was told of it yet."""
    payment = await payment_of(scene)
    await sandbox_of(scene).pay(payment.checkout_id, payment.amount, payment.currency, "4242424242424242")


async def kept(scene: Scene) -> None:
    """Have the provider report the payment at a moment at which it cannot be handed on."""

    async def fail(_: Payment, __: Notice | None) -> Verdict:
        raise RuntimeError("not at this moment")

    sandbox = sandbox_of(scene)
    inbox = Inbox(scene.tools, [sandbox], {"payment.succeeded": fail}, scene.stage.app.wake.poke)
    await inbox.receive("sandbox", *sandbox.report(await payment_of(scene)))


async def bought(scene: Scene) -> None:
    """Pay the checkout on the payment page, and have the payment reported: `{order}` and `{payment}`."""
    await booked(scene)
    sandbox = sandbox_of(scene)
    found = await sandbox.find_payment(scene.names["checkout"])
    assert found is not None
    await scene.stage.app.inbox.receive("sandbox", *sandbox.report(found))
    scene.names["order"] = await scene.sql("SELECT id FROM orders WHERE account_id = $1", scene.account.id)
    scene.names["payment"] = found.reference


async def refund_begun(scene: Scene) -> None:
    """Ask for a refund in a process that died before it asked the provider."""
    refund_id = scene.tools.ids.new("rfd_")
    order_id = scene.names["order"]
    ask = Ask(account_id=scene.account.id, order_id=order_id, refund_id=refund_id, amount=100, reason=None)
    await scene.stage.app.fulfillment.change(
        Change(account_id=scene.account.id, order_id=order_id, decide=partial(request, ask, {"sandbox"}))
    )


async def paid_again(scene: Scene) -> None:
    """Pay the checkout a second time, in another window."""
    payment = await payment_of(scene)
    await sandbox_of(scene).pay(payment.checkout_id, payment.amount, payment.currency, "4242424242424242", again=True)


async def link(scene: Scene) -> None:
    """Have the access page's link at hand: `{link}`."""
    grant = await grants.live(scene.tools.database, scene.account.id, scene.names["order"])
    assert grant is not None
    scene.names["link"] = access.link(scene.tools, grant, scene.names["deliverable"])


def buyer_of(scene: Scene) -> str:
    """Return the address of a buyer who buys from nobody else."""
    return f"buyer-of-{scene.account.email}"


async def bought_by_its_own_buyer(scene: Scene) -> None:
    """Buy the listing, which is free, as a buyer who buys from nobody else: `{order}`."""
    body = {"listing_id": scene.names["listing"], "buyer_email": buyer_of(scene)}
    reply = await scene.stage.ask("POST", "/v1/checkouts", None, json=body)
    assert reply is not None
    scene.names["order"] = reply.json["order_id"]


async def library_link(scene: Scene) -> None:
    """Have a link to the library of the scene's buyer at hand: `{link}`."""
    token, now = scene.tools.ids.secret(), scene.tools.clock.now()
    await scene.tools.database.write(
        "INSERT INTO library_links (token_hash, email, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        sha256(token),
        buyer_of(scene),
        now,
        now + timedelta(days=1),
    )
    scene.names["link"] = f"/library/sign-in/{token}"


async def library_session(scene: Scene) -> None:
    """Have the scene's buyer signed in: `{session}`."""
    await library_link(scene)
    signed_in = await library.sign_in(scene.tools, scene.names["link"].rpartition("/")[2], None)
    assert signed_in is not None
    scene.names["session"] = signed_in.token


async def run_out(scene: Scene) -> None:
    """Have the time of the order's link be over: `{token}`."""
    account = scene.account.id
    await scene.tools.database.write(
        "UPDATE grants SET expires_at = $2 WHERE account_id = $1", account, scene.tools.clock.now()
    )
    sealed = await scene.sql("SELECT access_sealed FROM orders WHERE account_id = $1", account)
    scene.names["token"] = scene.tools.keyring.open(sealed)


async def claimed_by_a_dead_worker(scene: Scene) -> None:
    """Have all jobs that are due claimed by somebody whose lease has run out since workers last looked for such leases."""
    scene.stage.later(POLL_EVERY)
    now = scene.tools.clock.now()
    kinds = {"callback": 9, "payments": 9, "checkout": 9, "webhook": 9, "library": 9, "mail": 9}
    found = await jobs.claim(
        scene.tools.database, kinds, {}, per_lane=9, token=uuid4(), now=now, until=now - timedelta(seconds=1)
    )
    assert found


async def session(scene: Scene) -> None:
    """Start a checkout whose session is at Stripe: `{checkout}`, `{session}`."""
    sale = await listings.for_sale(scene.tools, scene.names["listing"])
    begun = await begin(scene.tools, scene.stage.app.inbox, sale, BUYER, {})
    found = await scene.sql("SELECT id FROM stripe_sessions WHERE checkout_id = $1", begun.id)
    scene.names |= {"checkout": begun.id, "session": found}


async def paid_at_stripe(scene: Scene) -> None:
    """Pay the session; nobody was told of it yet: `{intent}`."""
    scene.names["intent"] = scene.stage.stripe.books.pay(scene.names["session"])["payment_intent"]


async def came_back_at_stripe(scene: Scene) -> None:
    """Have all of it refunded in the dashboard, which is known, and have the bank send it back."""
    stripe, inbox = scene.stage.stripe, scene.stage.app.inbox
    refund = stripe.books.refund(PLATFORM, {"payment_intent": scene.names["intent"], "amount": 900})
    for kind in ("checkout.session.completed", "refund.created"):
        body, signature = stripe.signed(stripe.last(kind))
        await inbox.hand_on(await inbox.provider("stripe").verify({"stripe-signature": signature}, body))
    stripe.books.fail_refund(refund["id"])


async def warned_at_stripe(scene: Scene) -> None:
    """Have the card's network warn of fraud."""
    scene.stage.stripe.books.warn(scene.names["intent"])


async def held(scene: Scene) -> None:
    """Have the order on hold."""
    await scene.sql("UPDATE orders SET held_at = paid_at WHERE id = $1 RETURNING id", scene.names["order"])


async def visited_long_ago(scene: Scene) -> None:
    """Have been looked at, two years ago; what the telling before left would come in a day."""
    await scene.tools.database.write(
        "INSERT INTO visits SELECT account_id, id, 'page', '', '203.0.113.7', at, at, 'a browser'"
        " FROM orders, LATERAL (SELECT paid_at - interval '2 years' AS at) WHERE account_id = $1",
        scene.account.id,
    )
    await scene.tools.database.write("DELETE FROM jobs WHERE kind = 'access.forget_visits'")


async def token(scene: Scene) -> None:
    """Have the token of the access page at hand: `{token}`."""
    sealed = await scene.sql("SELECT access_sealed FROM orders WHERE id = $1", scene.names["order"])
    scene.names["token"] = scene.tools.keyring.open(sealed)
