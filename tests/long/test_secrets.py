"""Secrets are in nothing that a full run writes: logs, answers, pages, mails, webhooks, the command line, the database.

A real server is used as sellers and buyers do, while all around it fails by turns.
"""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from long.guarded import BODY, MADE, TO_BUYERS, TO_SELLERS, World, open_world
from running import until
from stripe_standin.server import Fault


async def open_shop(world: World) -> None:
    """Make an account and its keys on the command line."""
    told = ("--email", "stella@example.com", "--name", "Stella Stars", "--json")
    made = json.loads(await world.purvey("accounts", "create", *told))
    world.account = made["account_id"]
    world.key = world.written.secret("API key", made["api_key"], "command accounts create")
    second = json.loads(await world.purvey("keys", "create", "--account", world.account, "--name", "second", "--json"))
    world.written.secret("second API key", second["api_key"], "command keys create")
    await world.purvey("keys", "list", "--account", world.account)
    assert (await world.ask("GET", "/v1/account")).status == 200


async def list_all(world: World) -> dict[str, dict[str, Any]]:
    """Make a listing of each kind, with the secrets that it takes, change those, and make endpoints."""
    ask, secret = world.ask, world.written.secret
    form = aiohttp.FormData()
    form.add_field("file", b"the goods", filename="goods.pdf")
    file = await ask("POST", "/v1/files", data=form)
    assert file.status == 201, file.text
    token = secret(
        "token in the callback's URL", secrets.token_urlsafe(18), r"answer \w+ /v1/|db (listings|endpoints|lanes)$"
    )
    hook = f"{world.outside.url}/hook?token={token}"
    given = secret("signing secret of the seller's", secrets.token_urlsafe(24), MADE)
    chosen = secret("dynamic secret of the seller's", secrets.token_urlsafe(24), MADE)
    listings = {
        "static": await world.listing(deliverables=[{"type": "file", "token": file.json["id"]}]),
        "generated": await world.listing(content_type="generated", agent_callback_url=hook, signing_secret=given),
        "dynamic": await world.listing(
            content_type="dynamic", dynamic_webhook=f"{world.outside.url}/dynamic", dynamic_webhook_secret=chosen
        ),
    }
    for kind, which in (("generated", "signing"), ("dynamic", "dynamic")):
        for overlap in (3600, 0):
            rotated = await rotate(
                world, f"/v1/listings/{listings[kind]['id']}", {"which": which, "overlap_seconds": overlap}
            )
            secret(
                f"{which} secret", rotated["signing_secret" if which == "signing" else "dynamic_webhook_secret"], MADE
            )
    own = (await ask("POST", "/v1/webhooks", body={"url": f"{world.outside.url}/all"})).json
    secret("endpoint's secret", own["secret"], MADE)
    rotated = await rotate(world, f"/v1/webhooks/{own['id']}", {"overlap_seconds": 60})
    secret("endpoint's second secret", rotated["secret"], MADE)
    await ask("POST", f"/v1/webhooks/{own['id']}/test", body={})
    listening = (await ask("POST", "/v1/listen-sessions", body={})).json
    secret("secret of listening", listening["secret"], MADE)
    return listings


async def rotate(world: World, path: str, body: object) -> dict[str, Any]:
    """Change a secret, and ask again with the same Idempotency-Key."""
    again = {"Idempotency-Key": secrets.token_hex(8)}
    replies = [await world.ask("POST", f"{path}/rotate-secret", body=body, headers=again) for _ in range(2)]
    assert replies[0].text == replies[1].text
    assert replies[0].status == 200, replies[0].text
    found: dict[str, Any] = replies[0].json
    return found


async def sell(world: World, listings: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Sell each listing, and do with the orders what sellers, buyers, banks and Stripe do."""
    ask, books = world.ask, world.stripe.books
    orders = {kind: await world.buy(listing) for kind, listing in listings.items()}
    content = {"type": "text", "value": "made by hand"}
    await ask("POST", f"/v1/orders/{orders['generated'][0]}/deliver", body=content)
    for order_id, token in orders.values():
        page = await ask("GET", f"/access/{token}", key=None)
        for link in set(re.findall(r"/download/[^\"]+", page.text)):
            await ask("GET", link, key=None)
        await ask("POST", f"/v1/orders/{order_id}/resend", body={})
        await ask("POST", f"/access/{token}/fresh", key=None)
        for part in ("", "/history", "/refunds", "/evidence", "/evidence.html", "/callback"):
            await ask("GET", f"/v1/orders/{order_id}{part}")
    order_id, _ = orders["static"]
    world.stripe.faults += [Fault("refunds", status=500), Fault("refunds", lost=True)]
    for amount in (100, 100, 9999):
        await ask("POST", f"/v1/orders/{order_id}/refund", body={"amount": amount, "reason": "Too late"})
    order = (await ask("GET", f"/v1/orders/{orders['generated'][0]}")).json
    books.dispute(order["payment"]["reference"])
    books.warn((await ask("GET", f"/v1/orders/{orders['dynamic'][0]}")).json["payment"]["reference"])
    await ask("PATCH", f"/v1/orders/{order_id}", body={"buyer_email": "grace@example.com"})
    await ask("POST", f"/v1/orders/{order_id}/redeliver", body={})
    await sign_in(world)
    return orders


async def sign_in(world: World) -> None:
    """Let the buyer see all that was bought."""
    await world.ask("POST", "/library", key=None, data={"email": "ada@example.com"})
    await until(lambda: "/library/sign-in/" in world.written.told("mail"), "the link is mailed")
    [token] = set(re.findall(r"/library/sign-in/([\w-]+)", world.written.told("mail")))
    world.written.secret("token of the library's link", token, "mail|answer GET /library/sign-in/")
    for method in ("GET", "POST"):
        signed = await world.ask(method, f"/library/sign-in/{token}", key=None)
    cookie = signed.headers["Set-Cookie"].partition(";")[0]
    world.written.secret("buyer's session", cookie.partition("=")[2], "answer POST /library/sign-in/")
    for _ in range(2):
        await world.ask("GET", "/library/orders", key=None, headers={"Cookie": cookie})


async def look_around(world: World) -> None:
    """Read all that tells what happened."""
    for path in ("listings", "orders", "events", "webhooks", "account"):
        await world.ask("GET", f"/v1/{path}")
    for endpoint in (await world.ask("GET", "/v1/webhooks")).json["data"]:
        for one in (await world.ask("GET", f"/v1/webhooks/{endpoint['id']}/deliveries")).json["data"]:
            await world.ask("GET", f"/v1/deliveries/{one['id']}")
            await world.ask("GET", f"/v1/deliveries/{one['id']}/explanation")
    for path in ("/", "/openapi.json", "/llms.txt", "/readyz", "/metrics"):
        await world.ask("GET", path, key=None)


async def be_wrong(world: World, token: str) -> None:
    """Send secrets where they are refused."""
    ask, secret = world.ask, world.written.secret
    wrong = secret("refused secret", secrets.token_urlsafe(24))
    await ask("GET", "/v1/account", key=secret("refused API key", f"lb_{secrets.token_hex(20)}"))
    for fields in (
        {"signing_secret": f"whsec_!{wrong}"},
        {"signing_secret": wrong * 10},
        {"signing_secret": {"value": wrong}},
        {"signing_secrt": wrong},
        {"dynamic_webhook": "http://127.0.0.1:1/x", "dynamic_webhook_secret": wrong * 10},
        {"dynamic_webhook_secret": [wrong]},
    ):
        refused = await ask("POST", "/v1/listings", body={**BODY, **fields})
        assert refused.status == 422, refused.text
    broken = f'{{"name": "Kit", "signing_secret": "{wrong}'.encode()
    assert (await ask("POST", "/v1/listings", data=broken, headers={"Content-Type": "application/json"})).status >= 400
    card = secret("card number", "5555555555554444")
    await ask(
        "POST", "/v1/checkouts", key=None, body={"listing_id": "lst_x", "buyer_email": "a@example.com", "card": card}
    )
    for path in (f"/access/{token}/more", f"/access/{token}x", f"/library/sign-in/{wrong}"):
        await ask("GET", path)
    await ask("POST", "/payments/stripe/notices", key=None, data=b"{}", headers={"Stripe-Signature": f"t=1,v1={wrong}"})


FAILING = (
    "grants",
    "listings",
    "endpoints",
    "idempotency_records",
    "api_keys",
    "messages",
    "notices",
    "library_links",
    "orders",
)
"""Tables that go away by turns."""


async def break_down(world: World, listing: Mapping[str, Any], order_id: str, token: str) -> None:
    """Let one thing after the other fail in a way that nobody thought of."""
    ask, statuses = world.ask, set()
    fields = {"signing_secret": world.written.secret("signing secret of a crash", secrets.token_urlsafe(24), MADE)}
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/access/{token}", None),
        ("POST", "/v1/listings", {**BODY, **fields}),
        ("POST", f"/v1/listings/{listing['id']}/rotate-secret", {"which": "signing"}),
        ("POST", "/v1/webhooks", {"url": "http://127.0.0.1:1/x"}),
        ("POST", f"/v1/orders/{order_id}/resend", {}),
        ("POST", "/v1/checkouts", {"listing_id": listing["id"], "buyer_email": "ada@example.com"}),
        ("GET", "/library/sign-in/none", None),
    ]
    for table in FAILING:
        changes = [
            (f"ALTER TABLE {table} RENAME TO gone", f"ALTER TABLE gone RENAME TO {table}"),
            (
                f"ALTER TABLE {table} ADD CONSTRAINT never CHECK (false) NOT VALID",
                f"ALTER TABLE {table} DROP CONSTRAINT never",
            ),
        ]
        for breaks, mends in changes:
            await world.database.execute(breaks)
            for method, path, body in asked:
                again = {"Idempotency-Key": secrets.token_hex(8)} if method == "POST" else {}
                statuses.add((await ask(method, path, body=body, headers=again)).status)
            await world.stripe.send_all()
            await world.database.execute(mends)
    assert 500 in statuses


async def ask_on_the_command_line(world: World) -> None:
    """Use every command that knows a secret, with all well and with everything out of reach."""
    secret = world.written.secret
    own = secret("account's own Stripe key", f"sk_test_{secrets.token_hex(12)}")
    signer = secret("account's own signing secret", f"whsec_{secrets.token_hex(12)}")
    world.stripe.merchants[own] = "acct_seller"
    use = ("payments", "use-key", "--account", world.account)
    assert "takes payments by its own key" in await world.purvey(*use, typed=f"{own}\n{signer}\n")
    await world.purvey(*use, typed=f"{secret('refused Stripe key', 'pk_live_' + secrets.token_hex(12))}\n{signer}\n")
    world.stripe.rights[own] = set()
    for arguments in (("status",), ("notices",), ("reconcile", "--fix")):
        await world.purvey("payments", *arguments)
    url = urlsplit(world.settings["PURVEY_DATABASE_URL"])
    away = url._replace(
        netloc=f"purvey:{secret('refused password', secrets.token_hex(12))}@127.0.0.1:9", query=""
    ).geturl()
    await world.purvey("doctor")
    broken = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PURVEY_STRIPE_API_BASE": "http://127.0.0.1:9"}
    refused = secret("refused mail password", secrets.token_hex(12))
    await world.purvey("doctor", PURVEY_SMTP_URL=f"smtp://shop:{refused}@127.0.0.1:{world.outside.port}", **broken)
    await world.purvey("doctor", PURVEY_DATABASE_URL=away)
    await world.purvey("serve", "--port", "1", PURVEY_DATABASE_URL=away)
    misspelt = {"PURVEY_STRIPE_SECRT_KEY": own, "PURVEY_STRIPE_WEBHOOK_SECRET": own}
    for name, text in misspelt.items():
        await world.purvey("payments", "status", **{name: text})


async def look_everywhere(world: World) -> None:
    """Note what the server has logged, and what is in its database; and all links as secrets."""
    world.written.add("log", world.server.said)
    world.written.add("log of the database", world.database_log.read_text())
    for (table,) in await world.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        for row in await world.database.fetch(f'SELECT "{table}"::text FROM "{table}"'):
            world.written.add(f"db {table}", row[0])
    answers = world.written.told("answer") + world.written.told("mail")
    for token in sorted(set(re.findall(r"/access/([\w-]{16,})", answers))):
        world.written.secret("access token", token, f"{TO_SELLERS}|{TO_BUYERS}")
    for signature in sorted(set(re.findall(r"/download/\w+/\w+/\d+/([\w-]{16,})", answers))):
        world.written.secret("signature of a download link", signature, "answer (GET|POST) /access/")


async def run_everything(world: World) -> None:
    """Use all there is, let all fail that can, and note what was written."""
    await open_shop(world)
    listings = await list_all(world)
    orders = await sell(world, listings)
    await look_around(world)
    order_id, _ = orders["static"]
    token = (await world.ask("GET", f"/v1/orders/{order_id}")).json["access_url"].rpartition("/")[2]
    await be_wrong(world, token)
    await break_down(world, listings["generated"], order_id, token)
    await ask_on_the_command_line(world)
    await world.ask(
        "POST", "/v1/checkouts", key=None, body={"listing_id": listings["static"]["id"], "buyer_email": "a@example.com"}
    )
    await look_around(world)
    await look_everywhere(world)


async def test_no_secret_is_in_anything_that_a_full_run_writes() -> None:
    async with open_world() as world:
        await run_everything(world)
        assert world.outside.logins
        assert '"level":"error"' in world.server.said
        leaks = list(world.written.leaks())
        assert not leaks, "\n".join(leaks)
