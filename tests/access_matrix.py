"""Who may ask what: one entry for every route, and what an account must have for it.

A new route gets a line in SELLERS or in PUBLIC; a test fails by its name until it has one. In SELLERS, `of` says which of the
account's goods stand in the place of the path's parameters, `asks` which of them may stand in the query, and `body` is what its
owner sends.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from purvey.server.accounts import actions as accounts
from served import Reply, Shop

TEXT = {"type": "text", "value": "the goods"}
QUESTION = {"key": "name", "type": "text", "label": "Your name"}


@dataclass(frozen=True)
class Account:
    """A seller with one of everything. `goods` are ids, by what the entries call them.

    No other seller may see any of `secrets`, and no buyer any of `hidden`.
    """

    id: str
    key: str
    goods: Mapping[str, str]
    secrets: frozenset[str]
    hidden: frozenset[str]


@dataclass(frozen=True)
class Seller:
    """A route that needs an API key. `status` is what its owner is answered. With `file`, the body is a form with a file."""

    of: Mapping[str, str] = field(default_factory=dict)
    asks: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    status: int = 200
    file: bytes | None = None
    is_json: bool = True

    def values(self, goods: Mapping[str, str]) -> dict[str, str]:
        """Return what stands in the place of the path's parameters."""
        return {parameter: goods[name] for parameter, name in self.of.items()}

    def sent(self, goods: Mapping[str, str]) -> dict[str, Any]:
        """Return what its owner sends, as the client takes it."""
        return {"data": {"file": io.BytesIO(self.file)}} if self.file else {"json": filled(self.body, goods)}


@dataclass(frozen=True)
class Public:
    """A route that needs no key, and why. `status` is what anybody is answered who asks for an example of it."""

    why: str
    of: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    status: int = 200

    def values(self, goods: Mapping[str, str]) -> dict[str, str]:
        """Return what stands in the place of the path's parameters: goods by their name, anything else as it is."""
        return {parameter: goods.get(name, name) for parameter, name in self.of.items()}


DRAFT = {"listing_id": "draft"}
ORDER = {"order_id": "order"}
DYNAMIC = {"order_id": "dynamic_order"}

SELLERS: Mapping[str, Seller] = MappingProxyType(
    {
        "GET /v1/account": Seller(),
        "POST /v1/listings": Seller(body={"name": "A Book", "price": 500}, status=201),
        "GET /v1/listings": Seller(asks={"cursor": "cursor"}),
        "GET /v1/listings/{listing_id}": Seller(DRAFT),
        "PUT /v1/listings/{listing_id}": Seller(DRAFT, body={"name": "Another Book"}),
        "PATCH /v1/listings/{listing_id}": Seller(DRAFT, body={"name": "Another Book"}),
        "DELETE /v1/listings/{listing_id}": Seller(DRAFT, status=204),
        "POST /v1/listings/{listing_id}/publish": Seller(DRAFT),
        "POST /v1/listings/{listing_id}/unpublish": Seller({"listing_id": "published"}),
        "POST /v1/listings/{listing_id}/archive": Seller(DRAFT),
        "PUT /v1/listings/{listing_id}/deliverables": Seller(DRAFT, body={"deliverables": [TEXT]}),
        "POST /v1/listings/{listing_id}/deliverables": Seller(DRAFT, body=TEXT, status=201),
        "DELETE /v1/listings/{listing_id}/deliverables": Seller(DRAFT),
        "DELETE /v1/listings/{listing_id}/deliverables/{deliverable_id}": Seller(
            DRAFT | {"deliverable_id": "deliverable"}, status=204
        ),
        "PUT /v1/listings/{listing_id}/keys": Seller({"listing_id": "pooled"}, body={"keys": ["KEY-1"]}),
        "GET /v1/listings/{listing_id}/keys": Seller({"listing_id": "pooled"}),
        "POST /v1/listings/{listing_id}/rotate-secret": Seller(DRAFT, body={"which": "signing"}),
        "POST /v1/listings/{listing_id}/test-callback": Seller({"listing_id": "dynamic_listing"}),
        "POST /v1/files": Seller(file=b"the goods", status=201),
        "GET /v1/files/{file_id}": Seller({"file_id": "file"}),
        "GET /v1/orders": Seller(asks={"listing_id": "published", "cursor": "cursor"}),
        "GET /v1/orders/{order_id}": Seller(ORDER),
        "GET /v1/orders/{order_id}/history": Seller(ORDER),
        "PATCH /v1/orders/{order_id}": Seller(ORDER, body={"buyer_email": "somebody.else@example.com"}),
        "POST /v1/orders/{order_id}/resend": Seller(ORDER),
        "POST /v1/orders/{order_id}/release": Seller(ORDER),
        "POST /v1/orders/{order_id}/grants/revoke": Seller(ORDER, status=409),
        "POST /v1/orders/{order_id}/deliver": Seller(ORDER, body=TEXT),
        "POST /v1/orders/{order_id}/fulfill": Seller(ORDER, body={"deliverables": [TEXT]}),
        "POST /v1/orders/{order_id}/refund": Seller(ORDER, body={"amount": 100}),
        "GET /v1/orders/{order_id}/refunds": Seller(ORDER),
        "GET /v1/orders/{order_id}/evidence": Seller(ORDER),
        "GET /v1/orders/{order_id}/evidence.html": Seller(ORDER, is_json=False),
        "POST /v1/orders/{order_id}/retry": Seller(DYNAMIC),
        "GET /v1/orders/{order_id}/callback": Seller(DYNAMIC),
        "GET /v1/events": Seller(
            asks={"listing_id": "published", "order_id": "order", "after": "event", "cursor": "event"}
        ),
        "GET /v1/events/stream": Seller(
            asks={"listing_id": "published", "order_id": "order", "after": "event"}, is_json=False
        ),
        "GET /v1/events/{event_id}": Seller({"event_id": "event"}),
        "POST /v1/webhooks": Seller(body={"url": "https://seller.example/hooks"}, status=201),
        "GET /v1/webhooks": Seller(asks={"cursor": "cursor"}),
        "GET /v1/webhooks/{endpoint_id}": Seller({"endpoint_id": "own_endpoint"}),
        "PUT /v1/webhooks/{endpoint_id}": Seller({"endpoint_id": "own_endpoint"}, body={"name": "Books"}),
        "PATCH /v1/webhooks/{endpoint_id}": Seller({"endpoint_id": "own_endpoint"}, body={"listing_id": "published"}),
        "DELETE /v1/webhooks/{endpoint_id}": Seller({"endpoint_id": "own_endpoint"}, status=204),
        "POST /v1/webhooks/{endpoint_id}/rotate-secret": Seller(
            {"endpoint_id": "own_endpoint"}, body={"overlap_seconds": 60}
        ),
        "GET /v1/webhooks/{endpoint_id}/deliveries": Seller(
            {"endpoint_id": "endpoint"}, {"cursor": "cursor", "event_id": "event", "order_id": "order"}
        ),
        "GET /v1/deliveries/{delivery_id}": Seller({"delivery_id": "delivery"}),
        "GET /v1/deliveries/{delivery_id}/explanation": Seller({"delivery_id": "delivery"}),
        "POST /v1/listen-sessions": Seller(status=201),
        "POST /v1/deliveries/{delivery_id}/retry": Seller({"delivery_id": "delivery"}, status=202),
        "POST /v1/webhooks/{endpoint_id}/replay": Seller(
            {"endpoint_id": "endpoint"}, body={"after": "2026-01-01T00:00:00Z"}, status=202
        ),
        "POST /v1/webhooks/{endpoint_id}/test": Seller({"endpoint_id": "own_endpoint"}),
        "GET /v1/replays/{replay_id}": Seller({"replay_id": "replay"}),
        "POST /v1/orders/{order_id}/redeliver": Seller(ORDER, status=202),
    }
)

NO_SECRET = "says nothing about any account"
BUYERS = "buyers have no key; the listing is on sale to everybody"
LINK = "the link is the secret: its holder is the buyer"
MAILED = "the mailed link is the secret: its holder reads the buyer's mail"
SIGNED_IN = "asks for the cookie of a buyer who signed in with a mailed link, and leads everybody else there"
DASHBOARD = "the sandbox stands for a provider, whose own sign-in it has not; the reference is told to the seller alone"
MAILBOX = "the mail of a shop that is tried out, on loopback only"

PUBLIC: Mapping[str, Public] = MappingProxyType(
    {
        "GET /": Public(NO_SECRET),
        "GET /assets/{name}": Public(NO_SECRET, {"name": "none.css"}, status=404),
        "GET /docs": Public(NO_SECRET),
        "GET /docs/errors": Public(NO_SECRET),
        "GET /openapi.json": Public(NO_SECRET),
        "GET /openapi": Public("the framework's own page, shut", status=404),
        "GET /openapi/openapi.json": Public("the framework's own page, shut", status=404),
        "GET /openapi/{path}": Public("the framework's own page, shut", {"path": "x"}, status=404),
        "GET /healthz": Public("whoever runs the process asks"),
        "GET /readyz": Public("whoever runs the process asks"),
        "GET /metrics": Public("from this machine; from elsewhere with a token of its own", status=200),
        "GET /v1/ping": Public(NO_SECRET),
        "POST /v1/checkouts": Public(
            BUYERS,
            body={"listing_id": "published", "buyer_email": "a@example.com", "checkout_data": {"name": "Ada"}},
            status=201,
        ),
        "GET /v1/checkouts/{checkout_id}": Public(LINK, {"checkout_id": "checkout"}),
        "GET /l/{listing_id}": Public(BUYERS, {"listing_id": "published"}),
        "GET /l/{listing_id}/{slug}": Public(BUYERS, {"listing_id": "published", "slug": "kit"}),
        "GET /l/{listing_id}/checkout": Public(BUYERS, {"listing_id": "published"}),
        "POST /l/{listing_id}/checkout": Public(BUYERS, {"listing_id": "published"}, status=422),
        "GET /checkout/{checkout_id}/return": Public(LINK, {"checkout_id": "checkout"}, status=303),
        "GET /access/{token}": Public(LINK, {"token": "token"}),
        "POST /access/{token}/fresh": Public(LINK, {"token": "token"}),
        "GET /download/{grant_id}/{deliverable_id}/{expires}/{signature}": Public(
            LINK, {"grant_id": "grt_x", "deliverable_id": "del_x", "expires": "1", "signature": "00"}, status=404
        ),
        "GET /library": Public(NO_SECRET),
        "POST /library": Public("the same for every address; what comes of it is mailed", status=422),
        "GET /library/sign-in/{token}": Public(MAILED, {"token": "none"}, status=410),
        "POST /library/sign-in/{token}": Public(MAILED, {"token": "none"}, status=410),
        "POST /library/sign-out": Public("ends what the browser brings along, if anything", status=303),
        "GET /library/orders": Public(SIGNED_IN, status=303),
        "GET /library/orders/{order_id}": Public(SIGNED_IN, {"order_id": "order"}, status=303),
        "POST /library/orders/{order_id}/fresh": Public(SIGNED_IN, {"order_id": "order"}, status=303),
        "GET /sandbox/checkouts/{checkout_id}": Public(LINK, {"checkout_id": "checkout"}),
        "POST /sandbox/checkouts/{checkout_id}/pay": Public(
            LINK, {"checkout_id": "checkout"}, body={"card": "4242 4242 4242 4242"}
        ),
        "GET /sandbox/payments/{reference}": Public(DASHBOARD, {"reference": "payment"}),
        "POST /sandbox/payments/{reference}/refund": Public(DASHBOARD, {"reference": "payment"}, body={"amount": 1}),
        "POST /sandbox/payments/{reference}/dispute": Public(
            DASHBOARD, {"reference": "payment"}, body={"status": "won"}
        ),
        "POST /payments/{provider}/notices": Public(
            "providers sign what they send", {"provider": "sandbox"}, body={}, status=400
        ),
        "GET /mailbox": Public(MAILBOX),
        "GET /mailbox/{message_id}": Public(MAILBOX, {"message_id": "msg_x"}, status=404),
        "GET /mailbox/{message_id}/html": Public(MAILBOX, {"message_id": "msg_x"}, status=404),
    }
)

FORMS = frozenset(
    {
        "POST /l/{listing_id}/checkout",
        "POST /sandbox/checkouts/{checkout_id}/pay",
        "POST /library",
        "POST /sandbox/payments/{reference}/refund",
        "POST /sandbox/payments/{reference}/dispute",
    }
)
"""The routes that a browser's form is sent to: what is wrong with it is told on the page."""

PAGES = FORMS | {"GET /library/sign-in/{token}", "POST /library/sign-in/{token}"}
"""The routes that tell on a page of their own what is wrong."""


async def open_account(shop: Shop, name: str) -> Account:
    """Make an account that has one of everything, through HTTP, as a seller and a buyer would."""
    account, key = await accounts.create_account(shop.tools, f"{name}@example.com", name)

    async def ask(method: str, path: str, body: Any = None) -> Reply:
        reply = await shop.ask(method, path, json=body, key=key) if body else await shop.ask(method, path, key=key)
        assert reply.status < 400, reply.text
        return reply

    draft = (await ask("POST", "/v1/listings", {"name": f"Draft {name}", "price": 500, "deliverables": [TEXT]})).json
    pool = {"type": "text", "key_pool": True}
    pooled = (
        await ask("POST", "/v1/listings", {"name": f"Licences {name}", "price": 500, "deliverables": [pool]})
    ).json
    told = {"content_type": "generated", "agent_callback_url": f"http://127.0.0.1:1/{name}", "metadata": {"of": name}}
    published = (
        await ask("POST", "/v1/listings", {"name": f"Kit {name}", "price": 500, "checkout_schema": [QUESTION]} | told)
    ).json
    await ask("POST", f"/v1/listings/{published['id']}/publish")
    buyer = {"buyer_email": f"buyer-of-{name}@example.com", "checkout_data": {"name": f"Buyer of {name}"}}
    checkout = (await ask("POST", "/v1/checkouts", {"listing_id": published["id"]} | buyer)).json
    await ask("POST", f"/sandbox/checkouts/{checkout['id']}/pay", {"card": "4242424242424242"})
    access = (await ask("GET", f"/checkout/{checkout['id']}/return")).headers["Location"]
    [order] = (await ask("GET", "/v1/orders")).json["data"]
    await ask("POST", f"/v1/orders/{order['id']}/refund", {"amount": 1})
    [event] = (await ask("GET", "/v1/events")).json["data"]
    endpoint = published["callback_endpoint_id"]
    [delivery] = (await ask("GET", f"/v1/webhooks/{endpoint}/deliveries")).json["data"]
    pack: Any = {"name": f"Pack {name}", "price": 0, "dynamic_webhook": f"http://127.0.0.1:1/{name}/dynamic"}
    dynamic = (await ask("POST", "/v1/listings", pack)).json
    await ask("POST", f"/v1/listings/{dynamic['id']}/publish")
    taken = {"listing_id": dynamic["id"], "buyer_email": f"buyer-of-{name}@example.com"}
    called_for = (await ask("POST", "/v1/checkouts", taken)).json["order_id"]
    own = (await ask("POST", "/v1/webhooks", {"url": f"http://127.0.0.1:1/{name}/all", "enabled": False})).json
    replay = (await ask("POST", f"/v1/webhooks/{endpoint}/replay", {"types": ["order.refunded"]})).json["id"]
    cursor = (await ask("GET", "/v1/listings?limit=1")).json["cursor"]
    file = (await shop.upload(b"the goods", key=key)).json
    goods = {
        "draft": draft["id"],
        "pooled": pooled["id"],
        "deliverable": draft["deliverables"][0]["id"],
        "published": published["id"],
        "endpoint": endpoint,
        "own_endpoint": own["id"],
        "replay": replay,
        "checkout": checkout["id"],
        "token": access.removeprefix("/access/"),
        "order": order["id"],
        "payment": order["payment"]["reference"],
        "dynamic_order": called_for,
        "dynamic_listing": dynamic["id"],
        "file": file["id"],
        "event": event["id"],
        "delivery": delivery["id"],
        "cursor": cursor,
    }
    hidden = {account.id, f"Draft {name}", draft["signing_secret"], published["signing_secret"], draft["id"], endpoint}
    hidden |= {own["id"], own["secret"], dynamic["dynamic_webhook_secret"], dynamic["dynamic_webhook"]}
    secrets = {*hidden, *goods.values(), buyer["buyer_email"], f"Buyer of {name}"} - {cursor}
    return Account(account.id, key, goods, frozenset(secrets), frozenset(hidden))


def filled(body: Any, goods: Mapping[str, str]) -> Any:
    """Return a body with the ids in the place of what the entries call them."""
    if isinstance(body, dict):
        return {name: filled(value, goods) for name, value in body.items()}
    return goods.get(body, body) if isinstance(body, str) else body


def unlike(good: str) -> str:
    """Return an id that looks like `good` and is nobody's."""
    prefix, line, rest = good.partition("_")
    return prefix + line + "0" * len(rest) if line else good
