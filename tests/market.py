"""A whole shop for stories: the server with its worker, a receiver of webhooks, and a mail server, all real and on loopback."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from fakes import FakeClock
from makers import SECRET_KEY
from purvey.server.accounts import actions as accounts
from purvey.server.app import App, build
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.settings import Settings
from served import Reply, Shop, reserved_port, served
from stripe_standin.server import SECRET_KEY as STRIPE_SECRET_KEY
from stripe_standin.server import WEBHOOK_SECRET as STRIPE_WEBHOOK_SECRET
from stripe_standin.server import Stripe, Target, open_stripe
from tills import CHOSEN, SandboxTill, StripeTill, Till

PATIENCE = 30.0
"""Real seconds after which a signal that does not come is a failure."""


@dataclass(frozen=True)
class Hook:
    """A webhook as it came in."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Outside:
    """The world beside the server: who takes its webhooks and its mail.

    `answers` are the statuses that the receiver gives next; when none is left, it gives 200. `refusals` are the replies that the
    mail server gives next; when none is left, it takes the mail.
    """

    hooks: "asyncio.Queue[Hook]" = field(default_factory=asyncio.Queue)
    letters: "asyncio.Queue[EmailMessage]" = field(default_factory=asyncio.Queue)
    answers: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    hook_url: str = ""
    smtp_url: str = ""

    async def take_hook(self, request: web.Request) -> web.Response:
        """Note a webhook and answer it."""
        self.hooks.put_nowait(Hook(dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the library's name
        """Take a mail, or refuse it."""
        if self.refusals:
            return self.refusals.pop(0)
        mail = message_from_bytes(cast("bytes", envelope.content), policy=policy.default)
        self.letters.put_nowait(mail)
        return "250 OK"

    async def next_hook(self) -> Hook:
        """Return the next webhook, or fail when none comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.hooks.get()

    async def next_letter(self) -> EmailMessage:
        """Return the next mail, or fail when none comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.letters.get()


@contextlib.asynccontextmanager
async def outside_world() -> AsyncIterator[Outside]:
    """Open a webhook receiver and a mail server."""
    outside = Outside()
    loop = asyncio.get_running_loop()
    mail = await loop.create_server(lambda: SMTP(outside, hostname="post.example", loop=loop), "127.0.0.1", 0)
    runner = web.AppRunner(web.Application())
    runner.app.router.add_post("/hook", outside.take_hook)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    outside.hook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    outside.smtp_url = f"smtp://127.0.0.1:{mail.sockets[0].getsockname()[1]}"
    try:
        yield outside
    finally:
        await runner.cleanup()
        mail.close()
        await mail.wait_closed()


@dataclass(frozen=True)
class Bought:
    """A checkout that was paid: its own object, and the path of the access page."""

    checkout: Mapping[str, Any]
    access: str


@dataclass(frozen=True)
class Market:
    """A shop with everything around it. `till` is what goes on at its payment provider."""

    shop: Shop
    app: App
    outside: Outside
    till: Till

    async def listing(self, *, publish: bool = True, **fields: Any) -> dict[str, Any]:
        """Create a listing (a static text for 5 dollars unless told otherwise) and publish it; its secret is kept in the result."""
        told = {"name": "Kit", "price": 500} | fields
        if told.get("content_type", told.get("fulfillment", "static")) in {"static", "managed"}:
            told.setdefault("deliverables", [{"type": "text", "value": "the goods"}])
        made = expect(await self.shop.post("/v1/listings", json=told), 201)
        if publish:
            expect(await self.shop.post(f"/v1/listings/{made['id']}/publish"), 200)
        return cast("dict[str, Any]", made)

    async def generated(self, **fields: Any) -> dict[str, Any]:
        """Create and publish a generated listing whose callback is the receiver outside."""
        return await self.listing(content_type="generated", agent_callback_url=self.outside.hook_url, **fields)

    async def checkout(self, listing: Mapping[str, Any], email: str = "ada@example.com", **data: Any) -> dict[str, Any]:
        """Start a checkout as a program does, without any key."""
        body = {"listing_id": listing["id"], "buyer_email": email, "checkout_data": data}
        return cast("dict[str, Any]", expect(await self.shop.post("/v1/checkouts", json=body, key=None), 201))

    async def pay(self, checkout: Mapping[str, Any], card: str = "4242 4242 4242 4242") -> Reply:
        """Pay with a test card, without coming back from the payment page: 200, or 402 when it is declined."""
        return await self.till.pay(checkout, card)

    async def buy(self, listing: Mapping[str, Any], email: str = "ada@example.com", **data: Any) -> Bought:
        """Buy a listing and come back to the access page."""
        checkout = await self.checkout(listing, email, **data)
        if listing["price"]:
            assert (await self.pay(checkout)).status < 400
        returned = await self.shop.get(f"/checkout/{checkout['id']}/return", key=None)
        assert returned.status == 303, returned.text
        return Bought(checkout, returned.headers["Location"])

    async def order(self, bought: Bought) -> dict[str, Any]:
        """Return the order of a paid checkout, as its seller sees it."""
        checkout = expect(await self.shop.get(f"/v1/checkouts/{bought.checkout['id']}", key=None), 200)
        return cast("dict[str, Any]", expect(await self.shop.get(f"/v1/orders/{checkout['order_id']}"), 200))

    async def order_by_id(self, order_id: str) -> dict[str, Any]:
        """Return an order, as its seller sees it."""
        return cast("dict[str, Any]", expect(await self.shop.get(f"/v1/orders/{order_id}"), 200))

    def later(self, **by: float) -> None:
        """Move the clock on, and stir the worker: it may be about to wait from a moment that has just passed."""
        self.shop.clock.advance(**by)
        self.app.wake.poke()

    async def stranger(self) -> str:
        """Return the API key of another seller."""
        _, key = await accounts.create_account(self.shop.tools, "stranger@example.com", "Stranger")
        return key

    async def events(self, query: str = "") -> list[dict[str, Any]]:
        """Return the events of the log."""
        return cast("list[dict[str, Any]]", expect(await self.shop.get(f"/v1/events?{query}"), 200)["data"])


async def looks() -> AsyncIterator[None]:
    """Ask for another look, until `PATIENCE` is over. A look at the database gives the worker its turn."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while loop.time() < end:
        yield


def expect(reply: Reply, status: int) -> Any:
    """Return the JSON of a reply that must have `status`."""
    assert reply.status == status, f"{reply.status}: {reply.text}"
    return reply.json if reply.body else None


@contextlib.asynccontextmanager
async def running_shop(
    database: Database, clock: FakeClock, seller: str = "seller@example.com", **settings: Any
) -> AsyncIterator[tuple[Shop, App]]:
    """Serve the whole application on a free port, without a worker."""
    with reserved_port() as port, tempfile.TemporaryDirectory(prefix="pv-files-") as files:
        settings.setdefault("storage_url", Path(files).as_uri())
        chosen = Settings(port=port, allow_private_urls=True, **settings)
        app = build(chosen, database, clock, Keyring([SECRET_KEY]))
        account, key = await accounts.create_account(app.tools, seller, "The Shop")
        async with served(app.web, port) as url, aiohttp.ClientSession() as session:
            yield Shop(url=url, session=session, tools=app.tools, clock=clock, account=account, key=key), app
        await app.close()


@contextlib.asynccontextmanager
async def open_market(
    database: Database, clock: FakeClock, stripe: Stripe | None = None, **settings: Any
) -> AsyncIterator[Market]:
    """Open a market: server, worker, receiver and mail server.

    With the stand-in `stripe`, its payments go there; without, to the sandbox, or to a stand-in of its own that sends each notice
    at once, as `CHOSEN` says.
    """
    async with contextlib.AsyncExitStack() as world:
        if stripe is None and settings.get("payments", CHOSEN) == "stripe":
            stripe = await world.enter_async_context(open_stripe(lambda: int(clock.now().timestamp())))
            stripe.sends_at_once = True
        outside = await world.enter_async_context(outside_world())
        given = {"smtp_url": outside.smtp_url, **(stripe_settings(stripe) if stripe else {}), **settings}
        shop, app = await world.enter_async_context(running_shop(database, clock, **given))
        if stripe:
            stripe.targets.append(Target(f"{shop.url}/payments/stripe/notices"))
        app.worker.start()
        try:
            till = StripeTill(shop, stripe) if stripe else SandboxTill(shop, app.wake.poke)
            yield Market(shop, app, outside, till)
        finally:
            async with asyncio.timeout(PATIENCE):
                await app.worker.stop()


def stripe_settings(stripe: Stripe) -> dict[str, Any]:
    """Return the settings of a server that takes payments by the stand-in."""
    return {
        "payments": "stripe",
        "stripe_secret_key": STRIPE_SECRET_KEY,
        "stripe_webhook_secret": STRIPE_WEBHOOK_SECRET,
        "stripe_api_base": stripe.url,
    }
