"""A Stripe on loopback: the interface over HTTP, the buyer's payment page, and the notices.

It can be told to fail, to stall, to lose an answer after it has done what was asked (`faults`), and to send a notice many times.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from stripe import WebhookSignature
from stripe.params import (
    AccountRetrieveCurrentParams,
    AccountRetrieveParams,
    ChargeRetrieveParams,
    DisputeListParams,
    DisputeRetrieveParams,
    EventListParams,
    EventRetrieveParams,
    PaymentIntentRetrieveParams,
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
    WebhookEndpointListParams,
)
from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionListParams,
    SessionRetrieveParams,
)
from stripe.params.radar import EarlyFraudWarningRetrieveParams

from stripe_standin.books import A_DAY, API_VERSION, Books, Object
from stripe_standin.params import RefusedError, read

PLATFORM = "acct_platform"
SECRET_KEY = "sk_test_theplatformskey000000"
WEBHOOK_SECRET = "whsec_theplatformswebhooksecret"
DECLINED, DISPUTED = "4000000000000002", "4000000000000259"
"""Test cards: one is refused, the other pays and is disputed at once."""
LONGEST_KEY = 255
"""Characters of an Idempotency-Key."""

KINDS: Mapping[str, tuple[str, type, type | None]] = {
    "checkout/sessions": ("checkout.session", SessionRetrieveParams, SessionListParams),
    "payment_intents": ("payment_intent", PaymentIntentRetrieveParams, None),
    "charges": ("charge", ChargeRetrieveParams, None),
    "refunds": ("refund", RefundRetrieveParams, RefundListParams),
    "disputes": ("dispute", DisputeRetrieveParams, DisputeListParams),
    "events": ("event", EventRetrieveParams, EventListParams),
    "radar/early_fraud_warnings": ("radar.early_fraud_warning", EarlyFraudWarningRetrieveParams, None),
    "webhook_endpoints": ("webhook_endpoint", EventRetrieveParams, WebhookEndpointListParams),
}
"""Path -> the kind of object that is there, and the parameters of reading and listing it."""


@dataclass
class Fault:
    """What goes wrong with the next request to `path`: it is answered with `status`, or `lost` after it was carried out.

    With `gate` it waits for that; only then the rest follows. A `lasting` one goes wrong until it is taken off the list.
    """

    path: str
    status: int = 0
    lost: bool = False
    gate: asyncio.Event | None = None
    lasting: bool = False


@dataclass
class Target:
    """Where notices go: those of one merchant, or, for the platform, those of all others (`connected`)."""

    url: str
    secret: str = WEBHOOK_SECRET
    merchant: str = PLATFORM
    connected: bool = False


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    form: Object
    headers: Mapping[str, str]


@dataclass
class Stripe:
    """The stand-in. `merchants` are the secret keys and whose they are; `connected` are the accounts that the platform may act for.

    Notices wait in `events` until they are sent; with `sends_at_once` they go out by themselves. `rights` restricts a key to those
    paths that it names, or, as in "GET refunds", to reading there.
    """

    books: Books
    url: str = ""
    merchants: dict[str, str] = field(default_factory=lambda: {SECRET_KEY: PLATFORM})
    connected: set[str] = field(default_factory=set)
    targets: list[Target] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    rights: dict[str, set[str]] = field(default_factory=dict)
    sends_at_once: bool = False
    copies: int = 1
    _answers: dict[tuple[str, str], tuple[int, str, str, tuple[int, Object]]] = field(default_factory=dict)
    _tasks: set["asyncio.Task[list[int]]"] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        self.books.told = self._told

    # The interface.

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request of the interface."""
        text = (await request.text()) if request.method == "POST" else request.query_string
        path = request.path.removeprefix("/v1/")
        fault = next((one for one in self.faults if path.startswith(one.path)), None)
        if fault:
            if not fault.lasting:
                self.faults.remove(fault)
            if fault.gate:
                await fault.gate.wait()
            if fault.status:
                return _json({"error": {"type": "api_error", "message": "Something went wrong."}}, fault.status)
        self.books.lapse()
        status, body = self._once(request, path, text)
        if fault and fault.lost and request.transport:
            request.transport.close()
        return _json(body, status)

    def _once(self, request: web.Request, path: str, text: str) -> tuple[int, Object]:
        """Carry out a request, or give the first answer to one that came within a day before with its Idempotency-Key."""
        try:
            merchant = self._merchant(request, path)
            form, act = self._understood(request, merchant, path, text)
            key = merchant, _key_of(request)
            if key[1] and key in self._answers and self.books.now() - self._answers[key][0] < A_DAY:
                _, path_then, text_then, answer = self._answers[key]
                if (path_then, text_then) != (path, text):
                    raise _misused_key()
                return answer
        except RefusedError as refusal:
            return _refused(refusal)
        # From here on the answer is kept whatever it is, also one that refuses: nothing is tried a second time.
        try:
            answer = 200, json.loads(json.dumps(act(form)))
        except RefusedError as refusal:
            answer = _refused(refusal)
        if key[1]:
            self._answers[key] = (self.books.now(), path, text, answer)
        return answer

    def _merchant(self, request: web.Request, path: str) -> str:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in self.merchants:
            raise RefusedError(f"Invalid API Key provided: {key[:7]}****", code="api_key_invalid", status=401)
        if request.headers.get("Stripe-Version") != API_VERSION:
            raise RefusedError(f"Give the version {API_VERSION}", param="Stripe-Version")
        asked = (path, f"{request.method} {path}")
        if key in self.rights and not any(one.startswith(right) for right in self.rights[key] for one in asked):
            raise RefusedError(
                f"The provided key does not have the required permissions. Having the 'rak_{path.split('/', maxsplit=1)[0]}_"
                f"{'read' if request.method == 'GET' else 'write'}' permission would allow this request to continue.",
                status=403,
            )
        account = request.headers.get("Stripe-Account")
        if account and account not in self.connected:
            raise RefusedError(f"The provided key does not have access to account '{account}'", status=403)
        return account or self.merchants[key]

    def _understood(
        self, request: web.Request, merchant: str, path: str, text: str
    ) -> tuple[Object, Callable[[Object], Object]]:
        """Return what a request says, by the package's types, and what is to be done with it."""
        made: Callable[[Object], Object]
        kind: type
        *folder, name = path.split("/")
        match (request.method, path):
            case ("POST", "checkout/sessions"):
                kind, made = SessionCreateParams, lambda form: self.books.open_session(merchant, form, self.url)
            case ("POST", "refunds"):
                kind, made = RefundCreateParams, lambda form: self.books.refund(merchant, form)
            case ("POST", _) if name == "expire" and folder[:2] == ["checkout", "sessions"]:
                kind, made = SessionExpireParams, lambda _: self.books.expire(merchant, folder[2])
            case ("GET", "account"):
                kind, made = AccountRetrieveCurrentParams, lambda _: self.account(merchant)
            case ("GET", _) if folder == ["accounts"]:
                kind, made = AccountRetrieveParams, lambda _: self.account(name)
            case ("GET", _) if path in KINDS and (listed := KINDS[path][2]):
                kind, made = listed, lambda form: self._list(merchant, path, form)
            case ("GET", _) if "/".join(folder) in KINDS:
                of, kind, _ = KINDS["/".join(folder)]
                made = lambda _: self.books.find(merchant, of, name)  # noqa: E731  # as its neighbours
            case _:
                raise RefusedError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)
        form = read(text, kind)
        self.asked.append(Asked(request.method, path, form, dict(request.headers)))
        if "application_fee_amount" in form.get("payment_intent_data", {}) and merchant not in self.connected:
            raise RefusedError("Can only apply an application_fee_amount when the charge is a direct charge (Connect).")
        return form, made

    def account(self, merchant: str) -> Object:
        """Return a merchant as Stripe shows it."""
        found = [one for one in self.books.all_of(merchant, "account") if one["id"] == merchant]
        return found[0] if found else self.books.new(merchant, "account", "acct_", **_READY, id=merchant)

    def _list(self, merchant: str, path: str, form: Object) -> Object:
        found = self.books.all_of(merchant, KINDS[path][0])
        for name in ("payment_intent", "charge", "status", "type"):
            if name in form:
                found = [one for one in found if one[name] == form[name]]
        if "types" in form:
            found = [one for one in found if one["type"] in form["types"]]
        created = form.get("created", {})
        found = [one for one in found if one["created"] >= created.get("gte", 0)]
        if "starting_after" in form:
            ids = [one["id"] for one in found]
            found = found[ids.index(form["starting_after"]) + 1 :]
        limit = form.get("limit", 10)
        return {"object": "list", "url": f"/v1/{path}", "has_more": len(found) > limit, "data": found[:limit]}

    # The buyer's page.

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """Let the buyer pay: a form post, answered as Stripe's page does, by moving on."""
        form = await request.post()
        card = "".join(str(form.get("card", "")).split())
        if card == DECLINED:
            return web.Response(status=402, text="Your card was declined.")
        try:
            session = self.books.pay(request.match_info["name"], str(form.get("method", "card")))
            if card == DISPUTED:
                self.books.dispute(session["payment_intent"], reason="fraudulent")
        except RefusedError as refusal:
            return web.Response(status=402, text=str(refusal))
        return web.Response(status=303, headers={"Location": session["success_url"]})

    # The notices.

    def _told(self, merchant: str, event: Object) -> None:
        if merchant in self.connected:
            event["account"] = merchant
        self.events.append(event)
        if self.sends_at_once:
            task = asyncio.create_task(self.send(event, self.copies))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def signed(self, event: Object, secret: str = WEBHOOK_SECRET, at: int | None = None) -> tuple[bytes, str]:
        """Return a notice as it is sent: its body and its signature."""
        payload = json.dumps(event, indent=2)
        return payload.encode(), WebhookSignature.generate_signature_header(payload, secret, at or self.books.now())

    async def send(self, event: Object, copies: int = 1) -> list[int]:
        """Send an event to whoever wants it, `copies` times at once, and return the statuses of the answers."""
        merchant = self.books.owner("event", event["id"])
        wanted = [
            target
            for target in self.targets
            if (merchant in self.connected if target.connected else target.merchant == merchant)
        ]
        return await asyncio.gather(*[self._post(target, event) for target in wanted for _ in range(copies)])

    async def _post(self, target: Target, event: Object) -> int:
        body, signature = self.signed(event, target.secret)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
        assert self._session is not None
        async with self._session.post(target.url, data=body, headers=headers) as response:
            await response.read()
            return response.status

    async def send_all(self) -> list[int]:
        """Send every event so far, in the order in which they happened."""
        return [status for event in list(self.events) for status in await self.send(event)]

    def last(self, kind: str) -> Object:
        """Return the newest event of a type."""
        return next(event for event in reversed(self.events) if event["type"] == kind)

    def requests(self, method: str, path: str) -> list[Asked]:
        """Return the requests that were understood."""
        return [one for one in self.asked if (one.method, one.path) == (method, path)]


_READY: Object = {
    "charges_enabled": True,
    "payouts_enabled": True,
    "details_submitted": True,
    "requirements": {"currently_due": [], "past_due": [], "disabled_reason": None},
}


def _misused_key() -> RefusedError:
    refusal = RefusedError("Keys for idempotent requests can only be used with the same parameters.")
    refusal.kind = "idempotency_error"
    return refusal


def _key_of(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
    if len(key) > LONGEST_KEY:
        raise RefusedError(f"The Idempotency-Key is longer than {LONGEST_KEY} characters.")
    return key


def _refused(refusal: RefusedError) -> tuple[int, Object]:
    told = {"type": refusal.kind, "message": str(refusal), "code": refusal.code, "param": refusal.param}
    return refusal.status, {"error": {name: word for name, word in told.items() if word is not None}}


def _json(body: Object, status: int) -> web.Response:
    return web.json_response(body, status=status, headers={"Request-Id": "req_standin"})


@contextlib.asynccontextmanager
async def open_stripe(now: Callable[[], int]) -> AsyncIterator[Stripe]:
    """Open a stand-in on loopback, whose clock is `now` (seconds since 1970)."""
    stripe = Stripe(Books(now))
    app = web.Application()
    app.router.add_route("*", "/v1/{rest:.*}", stripe.answer)
    app.router.add_post("/pay/{name}", stripe.pay)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stripe.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        stripe._session = session
        try:
            yield stripe
        finally:
            for task in stripe._tasks:
                task.cancel()
            await asyncio.gather(*stripe._tasks, return_exceptions=True)
    await runner.cleanup()
