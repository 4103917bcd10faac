"""The register of acts: each action that writes is named by one of them at least, and killed at each of its steps.

To register a new action, add an act that does it. Its steps are found by themselves. An act whose request carries an
Idempotency-Key is one whose `deed` sends the header: trying again is then the same request (see `asks`).
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from crash import scenes
from crash.act import Act, Telling, asks, in_turn, unless_known
from crash.endpoint_acts import ENDPOINTS
from crash.scenes import BUYER, TEXT, URL, buyer_of, draft, generated, on_sale, static
from crash.stage import CALL_KEY, PATIENCE, Scene
from purvey.server.webhooks.rules import SCHEDULE
from stripe_standin.server import PLATFORM

NOTICE = (
    "payments.inbox.Inbox.receive",
    "payments.inbox.Inbox.hand_on",
    "refunds.actions.Refunds.paid",
    "fulfillment.actions.Fulfillment.paid",
)
REPORTED = (
    "payments.work.SendSandboxNotice.run",
    "payments.inbox.Inbox.receive",
    "payments.inbox.Inbox.hand_on",
    "refunds.actions.Refunds.reported",
)
CARD = {"card": "4242424242424242"}
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
WITH_KEY = {"Idempotency-Key": "the same, however often it is sent"}
GOODS = {"type": "text", "value": "made for you"}
OTHER = {"deliverables": [{"type": "url", "value": "https://example.com/other"}]}


async def create_account(scene: Scene) -> None:
    """Make an account, as the command line does. Who asks again finds that the address is taken, if it had been made."""
    scene.names["email"] = scene.names.get("email") or f"other-{scene.account.email}"
    await scene.do("accounts.actions.create_account", scene.names["email"], "Another Shop")


async def create_key(scene: Scene) -> None:
    """Make a key; one that was made but never shown is revoked first."""
    lost = await scene.tools.database.rows(
        "SELECT id FROM api_keys WHERE account_id = $1 AND name = 'agent' AND revoked_at IS NULL", scene.account.id
    )
    for key in lost:
        await scene.do("accounts.actions.revoke_key", scene.account.id, key["id"])
    await scene.do("accounts.actions.create_key", scene.account.id, "agent")


async def revoke_key(scene: Scene) -> None:
    """Revoke the seller's only key."""
    key_id = await scene.sql("SELECT id FROM api_keys WHERE account_id = $1", scene.account.id)
    await scene.do("accounts.actions.revoke_key", scene.account.id, key_id)


async def key_opens_nothing(scene: Scene) -> None:
    """The revoked key is refused."""
    await scene.ask("GET", "/v1/account", (401,))


async def create_listing(scene: Scene) -> None:
    """Make a listing, unless there is one: somebody who got no answer looks first."""
    found = await scene.ask("GET", "/v1/listings")
    if found is None or found.json["data"]:
        return
    body = {"name": "Kit", "price": 900, "deliverables": [GOODS], "agent_callback_url": scene.stage.outside.hook_url}
    await scene.ask("POST", "/v1/listings", (201,), json=body)


async def change_listing(scene: Scene) -> None:
    """Change the price, the content, and where the webhooks go."""
    body = {"price": 1200, "agent_callback_url": f"{scene.stage.outside.hook_url}?new", **OTHER}
    await scene.ask("PATCH", "/v1/listings/{listing}", json=body)


async def add_deliverable(scene: Scene) -> None:
    """Add a second deliverable, unless it is there."""
    found = await scene.ask("GET", "/v1/listings/{listing}")
    if found is not None and len(found.json["deliverables"]) == 1:
        await scene.ask("POST", "/v1/listings/{listing}/deliverables", (201,), json=GOODS)


async def rotate(scene: Scene) -> None:
    """Rotate the secret that signs webhooks, and keep what was shown."""
    reply = await scene.ask("POST", "/v1/listings/{listing}/rotate-secret", json={"overlap_seconds": 60})
    if reply is not None:
        scene.names["secret"] = reply.json["signing_secret"]


async def secret_signs(scene: Scene) -> None:
    """The secret that was shown last is the one that signs."""
    sealed = await scene.sql("SELECT secret FROM endpoints WHERE account_id = $1", scene.account.id)
    assert scene.tools.keyring.open(sealed) == scene.names["secret"]


async def checks_out(scene: Scene, headers: Mapping[str, str] = NO_HEADERS) -> None:
    """Start a checkout, as a program does."""
    body = {"listing_id": scene.names["listing"], "buyer_email": BUYER}
    await scene.ask("POST", "/v1/checkouts", (201,), json=body, key=None, headers=headers)


async def checks_out_with_a_key(scene: Scene) -> None:
    """Start a checkout, as a program does that may have to ask again."""
    await checks_out(scene, headers=WITH_KEY)


order_on_the_page = asks("POST", "/l/{listing}/checkout", 303, data={"buyer_email": BUYER}, key=None)


async def notify(scene: Scene) -> None:
    """Report the payment, as the provider does until it is thanked."""
    headers, body = scenes.sandbox_of(scene).report(await scenes.payment_of(scene))
    await scene.ask("POST", "/payments/sandbox/notices", key=None, headers=headers, data=body)


async def notify_in_vain(scene: Scene) -> None:
    """Report the payment at a moment at which no grant can be made."""
    await scene.tools.database.write("ALTER TABLE grants RENAME TO grants_away")
    try:
        await notify(scene)
    finally:
        await scene.tools.database.write("ALTER TABLE grants_away RENAME TO grants")


async def same_answers(scene: Scene) -> None:
    """Whoever asked twice with one key got one answer, byte for byte."""
    assert len({reply.body for reply in scene.replies}) == 1


deliver = asks("POST", "/v1/orders/{order}/deliver", json=GOODS)


async def deliver_what_was_ordered(scene: Scene) -> None:
    """Deliver each order heard of, as an agent does; one whose delivery was not answered is tried again."""
    scene.webhooks()
    delivered = {reply.json["id"] for reply in scene.replies if b'"object":"order"' in reply.body}
    for event in [*scene.heard]:
        if event["type"] == "order.paid" and event["order_id"] not in delivered:
            await scene.ask("POST", f"/v1/orders/{event['order_id']}/deliver", json=GOODS)
            delivered.add(event["order_id"])


async def buy(scene: Scene) -> None:
    """Buy, as far as the server is there: start a checkout, pay it, and come back."""
    if "checkout" not in scene.names:
        await checks_out(scene)
    if scene.replies:
        scene.names["checkout"] = scene.replies[0].json["id"]
    if "checkout" in scene.names and await scene.ask("POST", "/sandbox/checkouts/{checkout}/pay", json=CARD, key=None):
        # A day may have passed until nothing was left to do: then the way to the content is in the mail alone.
        await scene.ask("GET", "/checkout/{checkout}/return", (200, 303), key=None)


async def forget(scene: Scene) -> None:
    """Have old visits forgotten from now on, as a start of the server does."""
    await scene.do("access.work.begin_forgetting")


async def open_link(scene: Scene) -> None:
    """Open the link once."""
    await scene.ask("GET", "{link}", (302,), key=None)


async def download(scene: Scene) -> None:
    """Download the file, all of it."""
    reply = await scene.ask("GET", "{link}", (200,), key=None)
    assert reply is None or len(reply.body) == scenes.LARGE


async def break_off_a_download(scene: Scene) -> None:
    """Begin a download and go away; wait until what was not sent has been given back, or the server is dead."""
    await scenes.begin_a_download(scene)
    async with asyncio.timeout(PATIENCE):
        server = scene.stage.server
        while not server.dead.done() and not any("give_back: after" in step.name for step in server.steps):  # noqa: ASYNC110  # seen from outside
            await asyncio.sleep(0)


async def openings_are_counted(scene: Scene) -> None:
    """What was opened is counted once; an opening whose answer was lost may be counted or not."""
    counted = await scene.sql("SELECT downloads FROM grants WHERE account_id = $1", scene.account.id)
    assert len(scene.replies) <= counted <= len(scene.replies) + scene.lost


send_a_fresh_link = asks("POST", "/v1/orders/{order}/resend")


async def ask_for_a_link(scene: Scene) -> None:
    """Ask for a link to the library of the scene's buyer."""
    await scene.ask("POST", "/library", (200,), data={"email": buyer_of(scene)}, key=None)


async def links_were_mailed(scene: Scene) -> None:
    """Each ask was answered with a link of its own, by mail."""
    links = await scene.sql("SELECT count(*) FROM library_links WHERE email = $1", buyer_of(scene))
    mails = await scene.sql(
        "SELECT count(*) FROM messages WHERE recipient = $1 AND template = 'sign_in' AND status = 'sent'",
        buyer_of(scene),
    )
    assert 1 <= links == mails <= 1 + scene.lost


async def signed_in_once(scene: Scene) -> None:
    """The link made one session; whoever was told of it is signed in."""
    sessions = await scene.sql("SELECT count(*) FROM library_sessions WHERE email = $1", buyer_of(scene))
    assert sessions == 1
    let_in = [reply for reply in scene.replies if reply.status == 303]
    assert len(let_in) <= 1
    assert let_in or scene.lost


async def sign_out(scene: Scene) -> None:
    """End the session of the scene's buyer."""
    cookie = {"Cookie": f"purvey_library={scene.names['session']}"}
    await scene.ask("POST", "/library/sign-out", (303,), key=None, headers=cookie)


def answering(*statuses: int) -> Telling:
    """Have the receiver of webhooks answer so."""

    async def answer(scene: Scene) -> None:
        scene.stage.outside.answers[:] = statuses

    return answer


def refusing(*replies: str) -> Telling:
    """Have the mail server refuse so."""

    async def refuse(scene: Scene) -> None:
        scene.stage.outside.refusals[:] = replies

    return refuse


async def disable_beside_a_dead_worker(scene: Scene) -> None:
    """Disable the endpoint while the delivery is in the hands of a worker, which dies."""
    await scenes.claimed_by_a_dead_worker(scene)
    await scene.tools.database.write(
        "SELECT webhooks_disable($1, $2, 'by_seller', NULL, $3)",
        scene.account.id,
        scene.names["endpoint"],
        scene.tools.clock.now(),
    )


def one(sql: str) -> str:
    """Return the check that this query about the account counts one."""
    return f"SELECT count(*) = 1 FROM {sql}"


BUY_GENERATED = in_turn(generated, scenes.checkout, scenes.paid)
BUY_STATIC = in_turn(static, scenes.checkout, scenes.paid)
ONE_ORDER = {"one order": one("orders WHERE account_id = $1")}
FULFILLED = {"one order, fulfilled": one("orders WHERE account_id = $1 AND status = 'fulfilled'")}
ONE_LISTING = {"one listing": one("listings WHERE account_id = $1")}
MAILED = {"one mail, sent": "SELECT count(*) = 1 AND bool_and(status = 'sent') FROM messages WHERE account_id = $1"}

ACCOUNTS = [
    Act(
        "an account is made",
        ("accounts.actions.create_account",),
        create_account,
        known=lambda scene: scene.holds(one("accounts WHERE email = $1"), scene.names["email"]),
    ),
    Act(
        "a key is made",
        ("accounts.actions.create_key",),
        create_key,
        checks={"one live key": one("api_keys WHERE account_id = $1 AND name = 'agent' AND revoked_at IS NULL")},
    ),
    Act("a key is revoked", ("accounts.actions.revoke_key",), revoke_key, known=key_opens_nothing),
]

LISTINGS = [
    Act(
        "a listing is made",
        ("listings.actions.create",),
        create_listing,
        checks=ONE_LISTING
        | {
            "one content": one("deliverables WHERE account_id = $1"),
            "one endpoint": one("endpoints WHERE account_id = $1"),
        },
    ),
    Act(
        "a listing is changed",
        ("listings.actions.change",),
        change_listing,
        draft(TEXT, callback=True),
        checks=ONE_LISTING
        | {
            "it is changed": "SELECT price = 1200 AND agent_callback_url LIKE '%?new' FROM listings WHERE account_id = $1"
        },
    ),
    Act(
        "a listing is published",
        ("listings.actions.publish",),
        asks("POST", "/v1/listings/{listing}/publish"),
        draft(TEXT),
        checks={"it is, once": one("listings WHERE account_id = $1 AND status = 'published' AND version = 2")},
    ),
    Act(
        "a listing is unpublished",
        ("listings.actions.unpublish",),
        asks("POST", "/v1/listings/{listing}/unpublish"),
        static,
        checks={"it is, once": one("listings WHERE account_id = $1 AND status = 'draft' AND version = 3")},
    ),
    Act(
        "a listing is archived",
        ("listings.actions.archive",),
        asks("POST", "/v1/listings/{listing}/archive"),
        static,
        checks={"it is, once": one("listings WHERE account_id = $1 AND status = 'archived' AND version = 3")},
    ),
    Act(
        "a listing is deleted",
        ("listings.actions.delete",),
        asks("DELETE", "/v1/listings/{listing}", 204, 404),
        draft(TEXT, callback=True),
        checks={
            "it is gone": "SELECT count(*) = 0 FROM listings WHERE account_id = $1",
            "so is its callback": one("endpoints WHERE account_id = $1 AND disabled_reason = 'removed'"),
        },
    ),
    Act(
        "the content of a listing is set",
        ("listings.actions.set_deliverables",),
        asks("PUT", "/v1/listings/{listing}/deliverables", json=OTHER),
        draft(TEXT),
        checks={"there is one": "SELECT cardinality(deliverables) = 1 FROM listings WHERE account_id = $1"},
    ),
    Act(
        "content is added to a listing",
        ("listings.actions.add_deliverable",),
        add_deliverable,
        draft(TEXT),
        checks={"there are two": "SELECT cardinality(deliverables) = 2 FROM listings WHERE account_id = $1"},
    ),
    Act(
        "content is removed from a listing",
        ("listings.actions.remove_deliverables",),
        asks("DELETE", "/v1/listings/{listing}/deliverables/{deliverable}", 204, 404),
        draft(TEXT, URL),
        checks={"one is left": "SELECT cardinality(deliverables) = 1 FROM listings WHERE account_id = $1"},
    ),
    Act(
        "a secret is rotated",
        ("listings.actions.rotate_secret",),
        rotate,
        draft(callback=True, content_type="generated"),
        again=unless_known(rotate),
        known=secret_signs,
    ),
]

CHECKOUTS = [
    Act(
        "a checkout is started",
        ("checkout.actions.begin",),
        checks_out,
        static,
        again=unless_known(checks_out),
        checks={
            "nobody paid": "SELECT count(*) BETWEEN 1 AND 2 AND bool_and(status = 'open') FROM checkouts WHERE account_id = $1"
        },
    ),
    Act(
        "something free is taken",
        (
            "checkout.actions.begin",
            "checkout.actions.settled",
            "checkout.actions.confirm_free",
            "payments.inbox.Inbox.confirm",
            "fulfillment.actions.Fulfillment.paid",
        ),
        checks_out,
        on_sale(TEXT, price=0),
        again=unless_known(checks_out),
        checks={
            "each checkout made one order": """
                SELECT count(*) BETWEEN 1 AND 2 AND bool_and(status = 'paid') FROM checkouts WHERE account_id = $1"""
        },
        parts=2,
    ),
    Act(
        "something free is taken on the product page",
        ("checkout.actions.start", "checkout.actions.begin", "checkout.actions.settled", "access.actions.note_buying"),
        order_on_the_page,
        on_sale(TEXT, price=0),
        again=unless_known(order_on_the_page),
        checks={
            "each checkout made one order": """
                SELECT count(*) BETWEEN 1 AND 2 AND bool_and(status = 'paid') FROM checkouts WHERE account_id = $1"""
        },
        parts=2,
    ),
    Act(
        "something free is made sure of",
        ("checkout.work.ConfirmFree.run", "checkout.actions.confirm_free", "payments.inbox.Inbox.confirm"),
        scene=in_turn(on_sale(TEXT, price=0), scenes.free_checkout),
        checks=FULFILLED,
    ),
    Act(
        "a buyer comes back before the notice",
        ("checkout.actions.come_back", "payments.inbox.Inbox.confirm", "fulfillment.actions.Fulfillment.paid"),
        asks("GET", "/checkout/{checkout}/return", 303, key=None),
        in_turn(static, scenes.checkout, scenes.booked),
        checks=FULFILLED | MAILED,
        parts=2,
    ),
]


def stock_is(least: int, most: int) -> dict[str, str]:
    """Return the check of what is left for sale."""
    return {"the rest is for sale": f"SELECT stock BETWEEN {least} AND {most} FROM listings WHERE account_id = $1"}


STOCK = [
    Act(
        "a checkout takes one of the stock and gives it back",
        ("checkout.actions.begin", "stock.work.GiveBack.run"),
        checks_out,
        on_sale(TEXT, stock=3),
        again=unless_known(checks_out),
        checks=stock_is(3, 3),
    ),
    Act(
        "one of the stock is paid",
        ("stock.work.GiveBack.run", *NOTICE),
        notify,
        in_turn(on_sale(TEXT, stock=3), scenes.checkout),
        checks=FULFILLED | stock_is(2, 2),
        parts=2,
    ),
    Act(
        "the last one is taken for nothing",
        ("checkout.actions.begin", "checkout.actions.settled", "fulfillment.actions.Fulfillment.paid"),
        checks_out,
        on_sale(TEXT, price=0, stock=2),
        again=unless_known(checks_out),
        checks=stock_is(0, 1),
        parts=2,
    ),
]

upload_keys = asks("PUT", "/v1/listings/{listing}/keys", json={"keys": ["K2", "K3"]})


def keys_are(status: str, count: int) -> dict[str, str]:
    """Return the check that so many licence keys are in this status."""
    return {f"keys {status}": f"SELECT count(*) = {count} FROM pool_keys WHERE account_id = $1 AND status = '{status}'"}


KEYS = [
    Act(
        "licence keys are uploaded",
        ("stock.actions.upload",),
        upload_keys,
        scenes.pooled,
        checks=keys_are("available", 3),
    ),
    Act(
        "a checkout holds a licence key and gives it back",
        ("checkout.actions.begin", "stock.work.GiveBack.run"),
        checks_out,
        scenes.pooled,
        again=unless_known(checks_out),
        checks=keys_are("available", 2),
    ),
    Act(
        "a licence key is sold",
        ("stock.actions.take", *NOTICE),
        notify,
        in_turn(scenes.pooled, scenes.checkout),
        checks=FULFILLED | MAILED | keys_are("sold", 1) | keys_are("available", 1),
        parts=2,
    ),
    Act(
        "an upload fulfils the order that waits",
        (
            "stock.actions.upload",
            "stock.actions.take",
            "fulfillment.work.Restock.run",
            "fulfillment.actions.Fulfillment.restock",
        ),
        upload_keys,
        scenes.without_key,
        checks=FULFILLED | keys_are("sold", 1) | keys_are("available", 1),
        parts=2,
    ),
]

PAYMENTS = [
    Act(
        "a checkout is paid in the sandbox",
        ("payments.sandbox.provider.Sandbox.pay", "payments.work.SendSandboxNotice.run", *NOTICE),
        asks("POST", "/sandbox/checkouts/{checkout}/pay", json=CARD, key=None),
        in_turn(static, scenes.checkout),
        checks=FULFILLED
        | MAILED
        | {"paid once": one("sandbox_payments JOIN checkouts c ON c.id = checkout_id AND account_id = $1")},
        parts=2,
    ),
    Act(
        "a provider reports a payment",
        NOTICE,
        notify,
        in_turn(static, scenes.checkout),
        checks=FULFILLED | MAILED,
    ),
    Act(
        "a notice that cannot be handed on is kept",
        ("payments.inbox.Inbox.receive", "payments.inbox.Inbox.hand_on"),
        notify_in_vain,
        in_turn(static, scenes.checkout),
        again=notify,
        checks=FULFILLED | MAILED,
        parts=2,
    ),
    Act(
        "a kept notice is handed on",
        ("payments.work.HandOnNotice.run", "payments.inbox.Inbox.hand_on", "fulfillment.actions.Fulfillment.paid"),
        scene=in_turn(static, scenes.checkout, scenes.kept),
        checks=FULFILLED | MAILED,
    ),
]

FULFILLMENT = [
    Act(
        "an order is delivered, twice with the same content",
        ("fulfillment.actions.Fulfillment.deliver", "fulfillment.actions.Fulfillment.change"),
        in_turn(deliver, deliver),
        BUY_GENERATED,
        checks=FULFILLED,
        parts=2,
    ),
    Act(
        "an agent delivers what it hears of",
        (
            "payments.sandbox.provider.Sandbox.pay",
            "payments.work.SendSandboxNotice.run",
            "checkout.actions.begin",
            "checkout.actions.come_back",
            *NOTICE,
            "fulfillment.actions.Fulfillment.deliver",
            "webhooks.work.Deliver.run",
            "mail.work.SendMail.run",
        ),
        buy,
        generated,
        hear=deliver_what_was_ordered,
        checks=FULFILLED
        | {
            "two webhooks": "SELECT count(*) = 2 AND bool_and(status = 'delivered') FROM deliveries WHERE account_id = $1",
            "two mails": """
                SELECT count(*) = 2 AND bool_and(status = 'sent') FROM messages
                WHERE account_id = $1 AND template IN ('confirmation', 'ready')""",
        },
        parts=4,
    ),
]

REFUNDS = [
    Act(
        "an order is refunded",
        (
            "refunds.actions.Refunds.refund",
            "refunds.actions.Refunds.carry_out",
            "fulfillment.actions.Fulfillment.change",
            "payments.sandbox.provider.Sandbox.refund",
        ),
        asks("POST", "/v1/orders/{order}/refund", 200, 422),
        in_turn(static, scenes.checkout, scenes.bought),
        checks={"it is": one("orders WHERE account_id = $1 AND payment_status = 'refunded'")},
        parts=3,
    ),
    Act(
        "a part is refunded with a key",
        ("refunds.actions.Refunds.refund", "refunds.actions.Refunds.carry_out"),
        asks("POST", "/v1/orders/{order}/refund", 200, json={"amount": 300}, headers=WITH_KEY),
        in_turn(static, scenes.checkout, scenes.bought),
        checks={"once": one("orders WHERE account_id = $1 AND refund_amount = 300")},
        known=same_answers,
        parts=3,
    ),
    Act(
        "a refund that was begun is carried out",
        (
            "refunds.work.CarryOut.run",
            "refunds.actions.Refunds.carry_out",
            "payments.sandbox.provider.Sandbox.refund",
        ),
        scene=in_turn(static, scenes.checkout, scenes.bought, scenes.refund_begun),
        checks={"it is, once": one("orders WHERE account_id = $1 AND refund_amount = 100")},
        parts=2,
    ),
    Act(
        "a payment is refunded in the provider's dashboard",
        ("payments.sandbox.provider.Sandbox.refund_by_hand", *REPORTED),
        asks("POST", "/sandbox/payments/{payment}/refund", 200, 422, key=None),
        in_turn(static, scenes.checkout, scenes.bought),
        checks={"the order is": one("orders WHERE account_id = $1 AND payment_status = 'refunded'")},
        parts=2,
    ),
    # One report each: of two that come at once, either may be acted on first, and then the other says nothing new.
    *(
        Act(
            f"a payment is disputed: {status}",
            (
                "payments.sandbox.provider.Sandbox.dispute",
                "payments.work.SendSandboxNotice.run",
                "payments.inbox.Inbox.receive",
                "payments.inbox.Inbox.hand_on",
                "disputes.actions.Disputes.reported",
            ),
            asks("POST", "/sandbox/payments/{payment}/dispute", 200, json={"status": status}, key=None),
            in_turn(static, scenes.checkout, scenes.bought),
            checks={
                "it is": one(f"orders WHERE account_id = $1 AND dispute_status = '{status}'"),
                "no letter of it twice": "SELECT count(*) < 2 FROM messages WHERE account_id = $1 AND template = 'disputed'",
            },
        )
        for status in ("needs_response", "lost")
    ),
    *(
        Act(
            f"an order is late: {on_late}",
            ("deadlines.work.CheckDelivered.run", "deadlines.actions.Deadlines.passed"),
            scene=in_turn(scenes.promised(on_late), scenes.checkout, scenes.bought),
            checks={"it is acted on, once": one(f"orders WHERE account_id = $1 AND late_at IS NOT NULL AND {came}")},
            parts=2,
        )
        for on_late, came in (
            ("remind", "status = 'processing' AND payment_status = 'paid'"),
            ("refund", "payment_status = 'refunded'"),
            ("fallback", "status = 'fulfilled'"),
        )
    ),
    Act(
        "a second payment is given back",
        ("refunds.actions.Refunds.paid", "refunds.work.CarryOut.run", "refunds.actions.Refunds.carry_out"),
        scene=in_turn(static, scenes.checkout, scenes.bought, scenes.paid_again),
        checks={
            "it is, and the order stands": one("orders WHERE account_id = $1 AND payment_status = 'paid'"),
            "once": one("refunds WHERE account_id = $1 AND origin = 'second_payment' AND status = 'succeeded'"),
        },
        parts=3,
    ),
]


async def calls_are_alike(scene: Scene) -> None:
    """However often the seller's server was called for an order: it saw one key, and one body."""
    scene.webhooks()
    assert scene.called
    assert len({(call.headers[CALL_KEY], call.body) for call in scene.called}) == 1


CALL = ("fulfillment.kinds.dynamic.work.Call.run", "fulfillment.actions.Fulfillment.change")
BUY_DYNAMIC = in_turn(scenes.dynamic, scenes.checkout, scenes.paid)

CALLBACKS = [
    Act(
        "a dynamic order is bought, and called for by whoever made it",
        ("fulfillment.actions.Fulfillment.paid", *CALL),
        buy,
        scenes.dynamic,
        known=calls_are_alike,
        checks=FULFILLED | MAILED | {"one answer": one("order_history WHERE account_id = $1 AND action = 'answer'")},
        parts=3,
    ),
    Act(
        "a dynamic order is refunded while its seller's server is called",
        ("refunds.actions.Refunds.refund", "refunds.actions.Refunds.carry_out", *CALL),
        asks("POST", "/v1/orders/{order}/refund", 200, 422),
        in_turn(scenes.dynamic, scenes.checkout, scenes.bought),
        checks={"it is refunded": one("orders WHERE account_id = $1 AND payment_status = 'refunded'")},
        parts=3,
    ),
    Act(
        "a seller's server is called for a dynamic order",
        CALL,
        scene=BUY_DYNAMIC,
        known=calls_are_alike,
        checks=FULFILLED | MAILED | {"one answer": one("order_history WHERE account_id = $1 AND action = 'answer'")},
        parts=2,
    ),
    Act(
        "a seller's server fails for a while",
        CALL,
        known=calls_are_alike,
        scene=in_turn(BUY_DYNAMIC, answering(503, 503)),
        checks=FULFILLED | MAILED,
        parts=2,
    ),
    Act(
        "a seller's server fails for good",
        CALL,
        known=calls_are_alike,
        scene=in_turn(BUY_DYNAMIC, answering(*[503] * 20)),
        checks={
            "it waits": one("orders WHERE account_id = $1 AND status = 'processing' AND delivery_status = 'failed'"),
            "both are told once": """SELECT array_agg(template ORDER BY template) = ARRAY['callback_failed', 'delivery_pending']
                FROM messages WHERE account_id = $1 AND template IN ('callback_failed', 'delivery_pending')""",
        },
        parts=2,
    ),
    Act(
        "a seller's server is called again",
        ("fulfillment.kinds.dynamic.actions.call_again", *CALL),
        asks("POST", "/v1/orders/{order}/retry"),
        in_turn(BUY_DYNAMIC, scenes.called_in_vain),
        again=asks("POST", "/v1/orders/{order}/retry", 200, 409),
        known=calls_are_alike,
        checks=FULFILLED,
        parts=2,
    ),
    Act(
        "a seller's server is called for an order that was delivered by hand",
        ("fulfillment.actions.Fulfillment.deliver", *CALL),
        deliver,
        BUY_DYNAMIC,
        checks=FULFILLED | MAILED,
        parts=2,
    ),
]

WEBHOOKS = [
    Act(
        "a webhook is delivered",
        ("webhooks.work.Deliver.run",),
        scene=BUY_GENERATED,
        checks={"it is": one("deliveries WHERE account_id = $1 AND status = 'delivered'")},
    ),
    Act(
        "a webhook fails and is tried again",
        ("webhooks.work.Deliver.run",),
        scene=in_turn(BUY_GENERATED, answering(500, 302)),
        checks={
            "it arrives in the end": one("deliveries WHERE account_id = $1 AND status = 'delivered' AND attempts >= 2")
        },
        parts=2,
    ),
    Act(
        "a webhook is given up",
        ("webhooks.work.Deliver.run",),
        scene=in_turn(BUY_GENERATED, answering(*[500] * 2 * len(SCHEDULE))),
        checks={"it is": one("deliveries WHERE account_id = $1 AND status = 'given_up' AND attempts = 7")},
        parts=4,
    ),
    Act(
        "a receiver is gone for good",
        ("webhooks.work.Deliver.run",),
        scene=in_turn(BUY_GENERATED, answering(*[410] * 4)),
        checks={
            "its endpoint is disabled": one("endpoints WHERE account_id = $1 AND disabled_reason = 'gone'"),
            "its delivery is parked": one("deliveries WHERE account_id = $1 AND status = 'parked'"),
        },
    ),
    Act(
        "a delivery of a disabled endpoint is parked",
        ("webhooks.work.Deliver.run",),
        scene=in_turn(BUY_GENERATED, disable_beside_a_dead_worker),
        checks={
            "it is, without an attempt": one("deliveries WHERE account_id = $1 AND status = 'parked' AND attempts = 0")
        },
    ),
]

MAIL = [
    Act("a mail is sent", ("mail.work.SendMail.run",), scene=BUY_STATIC, checks=MAILED),
    Act(
        "a mail server fails for a while",
        ("mail.work.SendMail.run",),
        scene=in_turn(BUY_STATIC, refusing("451 4.3.0 come again", "421 4.3.2 come again")),
        checks=MAILED,
        parts=2,
    ),
    Act(
        "a mail is given up",
        ("mail.work.SendMail.run",),
        scene=in_turn(BUY_STATIC, refusing(*["451 4.3.0 come again"] * 20)),
        checks={"it is": one("messages WHERE account_id = $1 AND status = 'given_up' AND attempts = 8")},
        parts=4,
    ),
]

NOTHING_LOST = {
    "no lease has more than twice the file, nor less than what one window of each death took": f"""
        SELECT bool_and(bytes_left BETWEEN 0 AND {2 * scenes.LARGE}) FROM downloads WHERE account_id = $1"""
}

ACCESS = [
    Act(
        "the page of an order is opened",
        ("access.actions.note",),
        asks("GET", "/access/{token}", key=None),
        in_turn(on_sale(URL), scenes.checkout, scenes.paid, scenes.token),
        # The hour may turn while it is told.
        checks={
            "it is noted, once an hour": "SELECT count(*) = count(DISTINCT hour) AND count(*) > 0 FROM visits WHERE account_id = $1"
        },
    ),
    Act(
        "old visits are forgotten",
        ("access.work.begin_forgetting", "access.work.Forget.run"),
        forget,
        in_turn(on_sale(URL), scenes.checkout, scenes.paid, scenes.visited_long_ago),
        checks={"none is left": "SELECT count(*) = 0 FROM visits WHERE account_id = $1"},
    ),
    Act(
        "a link is opened",
        ("access.actions.open_lease", "access.actions.note_opening"),
        open_link,
        in_turn(on_sale(URL), scenes.checkout, scenes.paid, scenes.link),
        known=openings_are_counted,
    ),
    Act(
        "a file is downloaded",
        ("access.actions.open_lease", "access.actions.charge"),
        download,
        in_turn(scenes.large_file_on_sale, scenes.checkout, scenes.paid, scenes.link),
        known=openings_are_counted,
        checks=NOTHING_LOST,
    ),
    Act(
        "a download breaks off",
        ("access.actions.open_lease", "access.actions.give_back"),
        break_off_a_download,
        in_turn(scenes.large_file_on_sale, scenes.checkout, scenes.paid, scenes.link),
        checks=NOTHING_LOST,
    ),
]

LINKS = [
    Act(
        "a seller sends a fresh link",
        ("fulfillment.actions.Fulfillment.change", "mail.work.SendMail.run"),
        send_a_fresh_link,
        BUY_STATIC,
        again=unless_known(send_a_fresh_link),
        checks=FULFILLED
        | {"once or, unanswered, twice": "SELECT version BETWEEN 3 AND 4 FROM orders WHERE account_id = $1"},
        parts=2,
    ),
    Act(
        "a seller sends a fresh link with a key",
        ("fulfillment.actions.Fulfillment.change",),
        asks("POST", "/v1/orders/{order}/resend", headers=WITH_KEY),
        BUY_STATIC,
        checks=FULFILLED | {"once": one("orders WHERE account_id = $1 AND version = 3")},
        known=same_answers,
    ),
    Act(
        "a buyer asks for a fresh link",
        ("fulfillment.actions.Fulfillment.fresh_link", "mail.work.SendMail.run"),
        asks("POST", "/access/{token}/fresh", key=None),
        in_turn(BUY_STATIC, scenes.run_out),
        checks=FULFILLED
        | {"it was counted once": one("orders WHERE account_id = $1 AND fresh_links = 1 AND version = 3")},
    ),
    Act(
        "access is withdrawn",
        ("fulfillment.actions.Fulfillment.change",),
        asks("POST", "/v1/orders/{order}/grants/revoke"),
        BUY_STATIC,
        checks={"it is, once": one("orders WHERE account_id = $1 AND version = 3")},
    ),
    Act(
        "a hold ends",
        ("fulfillment.actions.Fulfillment.change", "mail.work.SendMail.run"),
        asks("POST", "/v1/orders/{order}/release"),
        in_turn(BUY_STATIC, scenes.held),
        checks={
            "it does, once": one("orders WHERE account_id = $1 AND version = 3 AND held_at IS NULL"),
            "the buyer has one fresh link": one("messages WHERE account_id = $1 AND template = 'fresh_link'"),
        },
    ),
    Act(
        "an address is put right",
        ("fulfillment.actions.Fulfillment.change", "mail.work.SendMail.run"),
        asks("PATCH", "/v1/orders/{order}", json={"buyer_email": "right@example.com"}),
        BUY_STATIC,
        checks={
            "it is, once": one("orders WHERE account_id = $1 AND version = 3 AND buyer_email = 'right@example.com'"),
            "every mail left for it": """
                SELECT count(*) = 2 AND bool_and(recipient = 'right@example.com') FROM messages WHERE account_id = $1""",
        },
        parts=2,
    ),
]

LIBRARY = [
    Act(
        "a link to the library is asked for",
        ("library.actions.ask", "library.work.Invite.run", "mail.work.SendMail.run"),
        ask_for_a_link,
        in_turn(on_sale(TEXT, price=0), scenes.bought_by_its_own_buyer),
        again=unless_known(ask_for_a_link),
        known=links_were_mailed,
        parts=2,
    ),
    Act(
        "a buyer signs in to the library",
        ("library.actions.sign_in",),
        asks("POST", "{link}", 303, 410, key=None),
        scenes.library_link,
        again=unless_known(asks("POST", "{link}", 303, 410, key=None)),
        known=signed_in_once,
    ),
    Act(
        "a buyer signs out of the library",
        ("library.actions.sign_out",),
        sign_out,
        scenes.library_session,
        known=lambda scene: scene.holds(
            one("library_sessions WHERE email = $1 AND ended_at IS NOT NULL"), buyer_of(scene)
        ),
    ),
]

JOBS = [
    Act(
        "the jobs of a dead worker are done by another",
        ("jobs.store.rescue", "jobs.store.claim", "mail.work.SendMail.run"),
        scene=in_turn(BUY_STATIC, scenes.claimed_by_a_dead_worker),
        checks=MAILED,
    ),
]

ATTACHED = {"the file stays": one("files WHERE account_id = $1 AND status = 'attached'")}

FILES = [
    Act(
        "a file is uploaded, and nobody attaches it",
        ("files.actions.arriving", "files.actions.keep", "files.actions.remove", "files.work.RemoveFile.run"),
        asks("POST", "/v1/files", 201, **scenes.form(b"the goods")),
        checks={"it is gone": "SELECT count(*) = 0 FROM files WHERE account_id = $1"},
    ),
    Act(
        "an upload is refused when it has come",
        ("files.actions.arriving", "files.actions.discard"),
        asks("POST", "/v1/files", 422, **scenes.form(b"the goods", b"twice")),
        checks={"it is gone": "SELECT count(*) = 0 FROM files WHERE account_id = $1"},
    ),
    Act(
        "a file is attached to a listing",
        ("listings.actions.set_deliverables",),
        scenes.attach_the_file,
        in_turn(draft(TEXT), scenes.file),
        again=in_turn(scenes.file_again, scenes.attach_the_file),
        checks=ATTACHED,
    ),
    Act(
        "an order is delivered with a file",
        ("fulfillment.actions.Fulfillment.deliver",),
        scenes.deliver_the_file,
        in_turn(BUY_GENERATED, scenes.file),
        again=in_turn(scenes.file_again, scenes.deliver_the_file),
        checks=FULFILLED | ATTACHED,
    ),
]

# Requests with an Idempotency-Key: asked again, they have one effect, and the first answer.
KEYED = [
    Act(
        "a listing is made with a key",
        ("listings.actions.create",),
        asks(
            "POST", "/v1/listings", 201, json={"name": "Kit", "price": 900, "deliverables": [GOODS]}, headers=WITH_KEY
        ),
        checks=ONE_LISTING | {"one content": one("deliverables WHERE account_id = $1")},
        known=same_answers,
    ),
    Act(
        "content is added with a key",
        ("listings.actions.add_deliverable",),
        asks("POST", "/v1/listings/{listing}/deliverables", 201, json=GOODS, headers=WITH_KEY),
        draft(TEXT),
        checks={"there are two": "SELECT cardinality(deliverables) = 2 FROM listings WHERE account_id = $1"},
        known=same_answers,
    ),
    Act(
        "a secret is rotated with a key",
        ("listings.actions.rotate_secret",),
        asks("POST", "/v1/listings/{listing}/rotate-secret", headers=WITH_KEY),
        draft(callback=True, content_type="generated"),
        checks={"once": one("listings WHERE account_id = $1 AND version = 2")},
        known=same_answers,
    ),
    Act(
        "something free is taken with a key",
        ("checkout.actions.begin", "checkout.actions.settled"),
        checks_out_with_a_key,
        on_sale(TEXT, price=0),
        checks=FULFILLED | {"one checkout": one("checkouts WHERE account_id = $1")},
        parts=2,
    ),
    Act(
        "an order is delivered with a key",
        ("fulfillment.actions.Fulfillment.deliver",),
        asks("POST", "/v1/orders/{order}/deliver", json=GOODS, headers=WITH_KEY),
        BUY_GENERATED,
        checks=FULFILLED,
        known=same_answers,
        parts=2,
    ),
]


def stripe_tells(*kinds: str) -> Telling:
    """Return what sends the notices of these kinds about the payment, as Stripe does until it is thanked."""

    async def tell(scene: Scene) -> None:
        stripe = scene.stage.stripe
        for event in stripe.events:
            if event["type"] in kinds and scene.names["intent"] in str(event):
                body, signature = stripe.signed(event)
                headers = {"Stripe-Signature": signature}
                await scene.ask("POST", "/payments/stripe/notices", key=None, headers=headers, data=body)

    return tell


async def stripe_gave_back_once(scene: Scene) -> None:
    """At Stripe there is one refund, of all of it."""
    refunds = scene.stage.stripe.books.all_of(PLATFORM, "refund")
    assert [one["amount"] for one in refunds if one["payment_intent"] == scene.names["intent"]] == [900]


async def an_hour_passes(scene: Scene) -> None:
    """Let an hour pass, and a server start."""
    scene.stage.later(3601)
    await scene.do("payments.stripe.work.begin_reconciling")


STRIPE = [
    Act(
        "a checkout begins at Stripe",
        ("payments.stripe.provider.StripeProvider.start", "checkout.actions.begin"),
        checks_out,
        on_sale(TEXT),
        again=unless_known(checks_out),
        checks={
            "whoever can pay is known": """SELECT NOT EXISTS (
                SELECT FROM checkouts LEFT JOIN stripe_sessions session ON checkout_id = checkouts.id
                WHERE checkouts.account_id = $1 AND session.id IS NULL)"""
        },
        payments="stripe",
    ),
    Act(
        "a buyer comes back from Stripe",
        ("payments.stripe.provider.StripeProvider.find_payment", "checkout.actions.come_back"),
        asks("GET", "/checkout/{checkout}/return", 303, key=None),
        in_turn(on_sale(TEXT), scenes.session, scenes.paid_at_stripe),
        checks=FULFILLED,
        payments="stripe",
    ),
    Act(
        "Stripe tells of a payment, and of fraud",
        (
            "payments.inbox.Inbox.take",
            "payments.work.HandOnNotice.run",
            "payments.stripe.provider.StripeProvider.refund",
            "fraud.actions.Fraud.warned",
            "refunds.actions.Refunds.ask",
            "refunds.work.CarryOut.run",
        ),
        stripe_tells("checkout.session.completed", "radar.early_fraud_warning.created"),
        in_turn(on_sale(TEXT), scenes.session, scenes.paid_at_stripe, scenes.warned_at_stripe),
        known=stripe_gave_back_once,
        checks={"it is given back": one("orders WHERE account_id = $1 AND payment_status = 'refunded'")},
        parts=2,
        payments="stripe",
    ),
    Act(
        "Stripe's books are compared with ours, after a notice never came",
        (
            "payments.stripe.work.begin_reconciling",
            "payments.stripe.work.Reconcile.run",
            "refunds.actions.Refunds.paid",
        ),
        an_hour_passes,
        in_turn(on_sale(TEXT), scenes.session, scenes.paid_at_stripe),
        checks=FULFILLED,
        payments="stripe",
    ),
    Act(
        "Stripe tells that a refund came back",
        ("refunds.actions.Refunds.sent_back",),
        stripe_tells("refund.failed"),
        in_turn(on_sale(TEXT), scenes.session, scenes.paid_at_stripe, scenes.came_back_at_stripe),
        checks={
            "it counts no more": one("orders WHERE account_id = $1 AND refund_amount = 0 AND payment_status = 'paid'"),
            "the seller is told": one("messages WHERE account_id = $1 AND template = 'refund_failed'"),
        },
        payments="stripe",
    ),
]

ACTS = [
    *ACCOUNTS,
    *LISTINGS,
    *CHECKOUTS,
    *STOCK,
    *KEYS,
    *PAYMENTS,
    *FULFILLMENT,
    *REFUNDS,
    *STRIPE,
    *CALLBACKS,
    *WEBHOOKS,
    *ENDPOINTS,
    *MAIL,
    *ACCESS,
    *LINKS,
    *LIBRARY,
    *JOBS,
    *FILES,
    *KEYED,
]
