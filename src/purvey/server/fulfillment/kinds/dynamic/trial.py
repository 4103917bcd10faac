"""A test of a listing's callback: a sample order is sent while the seller waits, and it is shown what would come of it.

It is no order: nothing is stored, nobody is told, and it is tried once. Its body, headers and signature are made by what makes
those of a real one, and its answer is read by what reads theirs.
"""

from typing import Any, Literal

import msgspec

from purvey import __version__
from purvey.server.accounts.model import Account
from purvey.server.errors import Conflict, RateLimited
from purvey.server.fulfillment.kinds.dynamic import answers, payload, rules, store
from purvey.server.fulfillment.kinds.dynamic.model import Failed, Items, RetryAfter, Sent
from purvey.server.fulfillment.kinds.dynamic.signing import request_headers
from purvey.server.kit.rate_limits import RateLimits
from purvey.server.kit.safe_http import Answer, Failure, SafeHttp, as_sent
from purvey.server.kit.tools import Tools
from purvey.server.listings import actions as listings
from purvey.server.listings.model import CheckoutField
from purvey.server.listings.wire import ListingOut
from purvey.server.orders.model import Order, PaymentStatus, Status

BUYER = "buyer@example.com"
SAMPLES: dict[str, Any] = {"text": "Sample", "date": "1990-05-15", "checkbox": True, "email": BUYER, "number": 1}
"""What the sample's buyer answers, by the type of the question; of a select the first choice."""


NOTHING = msgspec.Raw(b"null")


class TestCallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What went out."""

    url: str
    headers: dict[str, str]
    body: msgspec.Raw


class TestCallAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; of the body the beginning."""

    status: int
    body: str


class TestCallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test call, and how a real order would go on.

    accepted: `delivered_items` would be stored, and the buyer served · would_retry: it would be tried again, up to three times ·
    failed: the delivery would fail at once; `error` says why · unknown: this server died before it could tell.
    """

    object: Literal["test_callback"] = "test_callback"
    listing_id: str
    status: Literal["accepted", "would_retry", "failed", "unknown"]
    duration_ms: int
    request: TestCallRequest
    answer: TestCallAnswer | None = None
    error: str | None = None
    delivered_items: msgspec.Raw


class CallTrials:
    """Sends test calls; `limits` says how many a minute for one listing."""

    def __init__(self, http: SafeHttp, limits: RateLimits) -> None:
        self._http = http
        self._limits = limits

    async def prepare(self, tools: Tools, account: Account, listing_id: str) -> TestCallReport:
        """Return what is to be sent, as a report that knows no answer yet.

        Raises NotFound, Conflict for a listing without a dynamic_webhook, and RateLimited when it was tested too often.
        """
        listing = await listings.read(tools, account.id, listing_id)
        to = await store.destination(tools.database, account.id, listing_id)
        if to.url is None:
            raise Conflict(f"{listing.name} has no dynamic_webhook to call; set one first.", param="dynamic_webhook")
        allowance = await self._limits.take(listing_id, "callback_test")
        if allowance is not None and not allowance.allowed:
            message = f"A listing is tested {allowance.limit} times a minute at most; come again in {allowance.retry_after} s."
            raise RateLimited(message, retry_after=allowance.retry_after)
        at = tools.clock.now()
        sample = sample_order(listing, account, tools.ids.new("ord_test_"), tools)
        body = payload.body(sample)
        sealed = rules.signs(to, overlaps=to.secret_before_until is not None and at < to.secret_before_until)
        headers = request_headers(
            key=payload.key_of(sample),
            body=body.encode(),
            secret=tools.keyring.open(sealed) if sealed else None,
            at=at,
            version=__version__,
        )
        sent = TestCallRequest(url=to.url, headers=headers, body=msgspec.Raw(body.encode()))
        return TestCallReport(
            listing_id=listing_id, status="unknown", duration_ms=0, request=sent, delivered_items=NOTHING
        )

    async def send(self, tools: Tools, ready: TestCallReport) -> TestCallReport:
        """Make the call, within the deadline of a real one, and report."""
        outcome = await self._http.send(
            "POST",
            ready.request.url,
            headers=ready.request.headers,
            body=bytes(ready.request.body),
            deadline=rules.DEADLINE,
            max_response=answers.LARGEST,
        )
        return report(ready, Sent(tools.clock.now(), outcome), outcome)


def report(ready: TestCallReport, sent: Sent, outcome: Answer | Failure) -> TestCallReport:
    """Return what is shown of a test, decided as a real call's first attempt is."""
    answer = None
    if isinstance(outcome, Answer):
        answer = TestCallAnswer(status=outcome.status, body=rules.excerpt(sent) or "")
    asked = ready.request
    shown = msgspec.structs.replace(asked, headers=as_sent(asked.url, asked.headers, bytes(asked.body)))
    told = msgspec.structs.replace(ready, duration_ms=outcome.duration_ms, request=shown, answer=answer)
    match rules.decide(1, sent):
        case Items(delivered=delivered):
            return msgspec.structs.replace(told, status="accepted", delivered_items=delivered)
        case RetryAfter(reason=reason):
            return msgspec.structs.replace(told, status="would_retry", error=reason)
        case Failed(reason=reason):
            return msgspec.structs.replace(told, status="failed", error=reason)


def sample_order(listing: ListingOut, account: Account, order_id: str, tools: Tools) -> Order:
    """Return an order of the listing that nobody placed."""
    now = tools.clock.now()
    told = {"name": listing.name, "price": listing.price, "metadata": listing.metadata}
    return Order(
        account_id=account.id,
        id=order_id,
        version=1,
        checkout_id="",
        listing_id=listing.id,
        content_type="dynamic",
        status=Status.PROCESSING,
        payment_status=PaymentStatus.PAID,
        buyer_email=BUYER,
        amount=listing.price,
        currency=listing.currency,
        checkout_data=_raw({field.key: _answer(field) for field in listing.checkout_schema}),
        deliverables=(),
        metadata=_raw({}),
        listing=_raw(told),
        seller=_raw({"name": account.name}),
        payment_provider="test",
        payment_reference="",
        grant_after=listing.grant_hours,
        grant_downloads=listing.grant_downloads,
        access_hash=b"",
        access_sealed=b"",
        paid_at=now,
        created_at=now,
    )


def _answer(field: CheckoutField) -> Any:
    return field.options[0] if field.options else SAMPLES[field.type]


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
