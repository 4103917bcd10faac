"""A server that has been given a secret wherever it takes one, everybody around it, and all that any of them wrote."""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from moto.server import ThreadedMotoServer

from purvey.server.kit.database import connect_once
from purvey.server.kit.embedded import EmbeddedPostgres
from running import PURVEY, Answer, Serve, environment, open_folder, serving, until
from secrecy import Written
from stripe_standin.server import PLATFORM, Stripe, Target, open_stripe

TO_SELLERS = r"answer (GET|POST|PATCH) /v1/orders(/ord_\w+(/(deliver|fulfill|refund|resend|retry))?)?(\?\S*)? "
TO_BUYERS = r"answer (GET|POST) /(checkout|access|library)/|answer GET /v1/checkouts/|mail"
MADE = (
    r"answer POST /v1/(listings|webhooks|listen-sessions) 201|answer POST /v1/(listings|webhooks)/\w+/rotate-secret 200"
)
BODY: Mapping[str, Any] = {"name": "Kit", "price": 500}


@dataclass
class World:
    """A running server, everybody around it, and all that was written."""

    written: Written
    server: Serve
    stripe: Stripe
    outside: "Outside"
    database: "asyncpg.Connection[Any]"
    database_log: Path
    settings: Mapping[str, str]
    key: str = ""
    account: str = ""

    async def ask(self, method: str, path: str, *, key: str | None = "", body: object = None, **more: Any) -> Answer:
        """Send a request, by the seller unless `key` says otherwise, and note the answer."""
        headers = dict(more.pop("headers", {})) | (
            {"Authorization": f"Bearer {key or self.key}"} if key is not None else {}
        )
        if body is not None:
            more["json"] = body
        url = path if path.startswith("http") else self.server.url + path
        async with self.server.session.request(method, url, headers=headers, allow_redirects=False, **more) as came:
            text = await came.text(errors="replace")
        # Where a secret was sent as part of the path, the path is not a place.
        at = re.sub(r"\?.*", "", urlsplit(url).path)
        self.written.add(f"answer {method} {at} {came.status}", f"{dict(came.headers)} {text}")
        return Answer(came.status, came.headers, text)

    async def purvey(self, *arguments: str, typed: str = "", **settings: str) -> str:
        """Run a command, with what is typed into it, and note what it prints."""
        child = await asyncio.create_subprocess_exec(
            *PURVEY,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment({**self.settings, **settings}),
        )
        output, errors = await child.communicate(typed.encode())
        self.written.add(f"command {' '.join(arguments[:2])}", output.decode() + errors.decode())
        return output.decode()

    async def listing(self, **fields: Any) -> dict[str, Any]:
        """Make and publish a listing, and note its secrets."""
        made = (await self.ask("POST", "/v1/listings", body={**BODY, **fields})).json
        for name in ("signing_secret", "dynamic_webhook_secret"):
            if made.get(name):
                self.written.secret(name, made[name], MADE)
        published = await self.ask("POST", f"/v1/listings/{made['id']}/publish", body={})
        assert published.status == 200, published.text
        found: dict[str, Any] = made
        return found

    async def buy(self, listing: Mapping[str, Any]) -> tuple[str, str]:
        """Buy by the notice and the return; returns the order's id and the token of its access page."""
        wanted = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
        checkout = (await self.ask("POST", "/v1/checkouts", key=None, body=wanted)).json
        paid = await self.ask("POST", checkout["url"], key=None, data={"card": "4242424242424242"})
        assert paid.status == 303, paid.text
        await until(lambda: self._ordered(checkout["id"]), "the checkout is paid")
        back = await self.ask("GET", f"/checkout/{checkout['id']}/return", key=None)
        token = back.headers["Location"].rpartition("/")[2]
        self.written.secret("access token", token, f"{TO_SELLERS}|{TO_BUYERS}")
        found = (await self.ask("GET", f"/v1/checkouts/{checkout['id']}", key=None)).json
        return found["order_id"], token

    async def _ordered(self, checkout_id: str) -> bool:
        found = await self.ask("GET", f"/v1/checkouts/{checkout_id}", key=None)
        return bool(found.json["status"] == "paid")


@dataclass
class Outside:
    """Who takes webhooks, calls and mail. It fails at first, and says back what it was sent."""

    written: Written
    url: str = ""
    port: int = 0
    failing: int = 4
    logins: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take a webhook or a call."""
        body = await request.text()
        self.written.add(f"hook {request.path}", f"{dict(request.headers)} {body}")
        if self.failing:
            self.failing -= 1
            return web.Response(status=500, text=f"I was sent {dict(request.headers)} {body}")
        return web.json_response({"service_text": "here it is"})

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the library's name
        """Take a mail."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        parts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
        self.written.add("mail", f"{mail.items()} {parts}")
        return "250 OK"


@contextlib.asynccontextmanager
async def open_outside(written: Written, password: str) -> AsyncIterator[Outside]:
    """Open a receiver, and a mail server that wants the password."""
    outside, loop = Outside(written), asyncio.get_running_loop()

    def login(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        outside.logins += 1
        return AuthResult(success=given.password == password.encode())

    mail = await loop.create_server(
        lambda: SMTP(outside, authenticator=login, auth_require_tls=False, loop=loop),
        "127.0.0.1",
        0,
    )
    app = web.Application()
    app.router.add_post("/{rest:.*}", outside.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    outside.url, outside.port = f"http://127.0.0.1:{runner.addresses[0][1]}", mail.sockets[0].getsockname()[1]
    yield outside
    await runner.cleanup()
    mail.close()


@contextlib.contextmanager
def open_bucket() -> Iterator[dict[str, str]]:
    """Yield the environment that leads to a server that speaks S3, but for the key."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    server.stop()


@contextlib.contextmanager
def open_cluster() -> Iterator[tuple[str, Path]]:
    """Yield the URL of a PostgreSQL of its own, and its log."""
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "database")
        yield server.start(), folder / "database" / "pg.log"
        server.stop()


@contextlib.asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Run a server that has been given every secret that it takes."""
    written = Written()
    password = written.secret("mail password", secrets.token_urlsafe(18))
    async with contextlib.AsyncExitStack() as opened:
        url, log = opened.enter_context(open_cluster())
        bucket = opened.enter_context(open_bucket())
        outside = await opened.enter_async_context(open_outside(written, password))
        stripe = await opened.enter_async_context(open_stripe(lambda: int(time.time())))
        session = await opened.enter_async_context(aiohttp.ClientSession())
        await session.put(f"{bucket['AWS_ENDPOINT_URL']}/goods")
        told = given(written, url) | bucket
        told["PURVEY_SMTP_URL"] = f"smtp://shop:{password}@127.0.0.1:{outside.port}"
        told["PURVEY_STRIPE_API_BASE"] = stripe.url
        stripe.merchants = {told["PURVEY_STRIPE_SECRET_KEY"]: PLATFORM}
        stripe.sends_at_once = True
        data = opened.enter_context(open_folder()) / "data"
        server = await opened.enter_async_context(serving(data, settings=told))
        signer = told["PURVEY_STRIPE_WEBHOOK_SECRET"]
        stripe.targets.append(Target(f"{server.url}/payments/stripe/notices", signer))
        database = await connect_once(url)
        opened.push_async_callback(database.close)
        yield World(written, server, stripe, outside, database, log, told)


def given(written: Written, url: str) -> dict[str, str]:
    """Return the settings of a server, with a secret wherever one can be set."""
    key = secrets.token_urlsafe
    written.secret("database password", str(parse_qs(urlsplit(url).query).get("password", [urlsplit(url).password])[0]))
    return {
        "PURVEY_DATABASE_URL": url,
        "PURVEY_SECRET_KEY": written.secret("secret key", key(32)),
        "PURVEY_PAYMENTS": "stripe",
        "PURVEY_STRIPE_SECRET_KEY": written.secret("Stripe key", f"sk_test_{secrets.token_hex(18)}"),
        "PURVEY_STRIPE_WEBHOOK_SECRET": written.secret("Stripe signing secret", f"whsec_{key(18)}"),
        "PURVEY_METRICS_TOKEN": written.secret("metrics token", key(18)),
        "PURVEY_STORAGE_URL": "s3://goods/of/the/shop",
        "AWS_ACCESS_KEY_ID": "AKIAOFTHESHOP",
        "AWS_SECRET_ACCESS_KEY": written.secret("S3 key", key(30)),
        "PURVEY_ALLOW_PRIVATE_URLS": "1",
        "PURVEY_RATE_LIMITS": "off",
    }
