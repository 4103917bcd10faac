"""What goes on at a payment provider without us: stories tell of it in the same words, whoever takes the payments.

PURVEY_PAYMENTS in the environment of the test run says which provider that is, where a story does not choose one itself: `sandbox`
unless told otherwise, or `stripe`, which is the stand-in.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from purvey.server.payments.model import DisputeReport, DisputeStatus, Payment
from purvey.server.payments.sandbox.model import Owed
from purvey.server.payments.sandbox.provider import Sandbox
from running import until
from served import Reply, Shop
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, Fault, Stripe

ENDS = frozenset({"won", "lost"})
CHOSEN = os.environ.get("PURVEY_PAYMENTS", "sandbox")
"""The provider of those stories that do not choose one themselves."""


@dataclass(frozen=True)
class Told:
    """A notice that has not been sent: the payment that it is about, and what it says, in the provider's words."""

    reference: str
    says: Any


class Till(Protocol):
    """A provider's side of the story."""

    name: str
    refuses_disputed: str
    """Words of the refusal to give back what is disputed."""

    async def pay(self, checkout: Mapping[str, Any], card: str) -> Reply:
        """Fill in the payment page. 200 says that it is paid, 402 that the card is declined."""
        ...

    def paid(self, checkout: Mapping[str, Any], **changes: Any) -> Told:
        """Return the notice of a payment; `changes` make it tell of another `amount`, or of a `checkout_id` that is none."""
        ...

    async def disputed(self, reference: str, status: DisputeStatus, after: int, name: str) -> Told:
        """Return the notice that says how the dispute called `name` stood, some seconds from now."""
        ...

    def sign(self, told: Told) -> tuple[dict[str, str], bytes]:
        """Sign a notice at this moment: headers and body."""
        ...

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a notice as it is."""
        ...

    async def send(self, told: Told) -> Reply:
        """Send a notice, signed at this moment."""
        ...

    async def settled(self) -> None:
        """Wait until everything that was sent has been acted on."""
        ...

    async def pay_again(self, checkout: Mapping[str, Any]) -> None:
        """Have the buyer pay a second time, in another window."""
        ...

    async def refund(self, reference: str, amount: int | None = None) -> None:
        """Refund in the provider's dashboard: all that is left, unless told how much."""
        ...

    async def dispute(self, reference: str, status: DisputeStatus) -> None:
        """Have the bank open a dispute, or go on with it."""
        ...

    async def given_back(self) -> int:
        """Return how much money went back in all, in minor units."""
        ...

    def away(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Let the provider not answer whoever wants money back."""
        ...


@dataclass
class SandboxTill:
    """The sandbox, whose books are in our own database."""

    shop: Shop
    wake: Callable[[], None]
    name: str = "sandbox"
    refuses_disputed: str = "the payment is disputed"

    @property
    def provider(self) -> Sandbox:
        return Sandbox(self.shop.tools, self.wake)

    async def pay(self, checkout: Mapping[str, Any], card: str) -> Reply:
        return await self.shop.post(f"/sandbox/checkouts/{checkout['id']}/pay", json={"card": card}, key=None)

    def paid(self, checkout: Mapping[str, Any], **changes: Any) -> Told:
        told = {"amount": checkout["amount"], "currency": checkout["currency"], "checkout_id": checkout["id"]}
        reference = f"pay_{checkout['id']}"
        payment = Payment(provider=self.name, reference=reference, **(told | changes))
        return _owed(reference, f"notice_{reference}", "payment.succeeded", payment)

    async def disputed(self, reference: str, status: DisputeStatus, after: int, name: str) -> Told:
        at = self.shop.clock.now() + timedelta(seconds=after)
        report = DisputeReport(self.name, name, reference, status, at, "fraudulent")
        kind = "dispute.closed" if status in ENDS else "dispute.updated"
        return _owed(reference, f"notice_{name}_{status}_{after}", kind, report)

    def sign(self, told: Told) -> tuple[dict[str, str], bytes]:
        return self.provider.sign(told.says)

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        return await self.shop.post(f"/payments/{self.name}/notices", data=body, headers=headers, key=None)

    async def send(self, told: Told) -> Reply:
        return await self.post(*self.sign(told))

    async def settled(self) -> None:
        """The sandbox's notices are acted on before it is thanked."""

    async def pay_again(self, checkout: Mapping[str, Any]) -> None:
        card = "4242424242424242"
        await self.provider.pay(checkout["id"], checkout["amount"], checkout["currency"], card, again=True)

    async def refund(self, reference: str, amount: int | None = None) -> None:
        await self.provider.refund_by_hand(reference, amount)

    async def dispute(self, reference: str, status: DisputeStatus) -> None:
        await self.provider.dispute(reference, status)

    async def given_back(self) -> int:
        return int(await self.shop.tools.database.value("SELECT sum(amount) FROM sandbox_refunds"))

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        database = self.shop.tools.database
        await database.write("ALTER TABLE sandbox_refunds RENAME TO sandbox_refunds_away")
        yield
        await database.write("ALTER TABLE sandbox_refunds_away RENAME TO sandbox_refunds")


@dataclass
class StripeTill:
    """Stripe, as the stand-in plays it: one merchant, the installation's."""

    shop: Shop
    stripe: Stripe
    name: str = "stripe"
    refuses_disputed: str = "has been charged back"
    _disputes: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Our name of a dispute -> Stripe's, and how late the newest thing is that was said of it."""

    async def pay(self, checkout: Mapping[str, Any], card: str) -> Reply:
        paid = await self.shop.ask("POST", checkout["url"], data={"card": card}, key=None)
        return Reply(200, paid.headers, b"{}") if paid.status == 303 else paid

    def paid(self, checkout: Mapping[str, Any], **changes: Any) -> Told:
        event = self._quietly(lambda: self.stripe.books.pay(self._session(checkout["id"])["id"]))
        session = event["data"]["object"]
        if "amount" in changes:
            session |= {"amount_subtotal": changes["amount"], "amount_total": changes["amount"]}
        if "checkout_id" in changes:
            session |= {"id": "cs_test_unknown", "metadata": {"purvey_checkout": changes["checkout_id"]}}
        return Told(session["payment_intent"], event)

    async def disputed(self, reference: str, status: DisputeStatus, after: int, name: str) -> Told:
        books = self.stripe.books
        self.shop.clock.advance(seconds=1)  # what Stripe says of a dispute counts as of when it was asked
        known, newest = self._disputes.get(name, ("", -1))
        if not known:
            event = self._quietly(lambda: books.dispute(reference, status, "fraudulent"))
            known = event["data"]["object"]["id"]
        elif after > newest:
            event = self._quietly(lambda: books.move_dispute(known, status))
        else:
            was = books.find(PLATFORM, "dispute", known) | {"status": status}
            event = self._quietly(lambda: books.tell(PLATFORM, "charge.dispute.updated", was))
        self._disputes[name] = known, max(after, newest)
        return Told(reference, event)

    def sign(self, told: Told) -> tuple[dict[str, str], bytes]:
        body, signature = self.stripe.signed(told.says)
        return {"Stripe-Signature": signature}, body

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        return await self.shop.post(f"/payments/{self.name}/notices", data=body, headers=headers, key=None)

    async def send(self, told: Told) -> Reply:
        return await self.post(*self.sign(told))

    async def settled(self) -> None:
        sql = "SELECT NOT EXISTS (SELECT FROM notices WHERE outcome IS NULL)"
        await until(lambda: self.shop.tools.database.value(sql), "every notice is settled")

    async def pay_again(self, checkout: Mapping[str, Any]) -> None:
        self.stripe.books.pay_again(self._session(checkout["id"])["id"])

    async def refund(self, reference: str, amount: int | None = None) -> None:
        form = {"payment_intent": reference} | ({"amount": amount} if amount else {})
        self.stripe.books.refund(PLATFORM, form)

    async def dispute(self, reference: str, status: DisputeStatus) -> None:
        books = self.stripe.books
        opened = [one for one in books.all_of(PLATFORM, "dispute") if one["payment_intent"] == reference]
        if opened:
            books.move_dispute(opened[0]["id"], status)
        else:
            books.dispute(reference, status)

    async def given_back(self) -> int:
        refunds = self.stripe.books.all_of(PLATFORM, "refund")
        return sum(one["amount"] for one in refunds if one["status"] == "succeeded")

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        fault = Fault("refunds", status=503, lasting=True)
        self.stripe.faults.append(fault)
        yield
        self.stripe.faults.remove(fault)

    def _session(self, checkout_id: str) -> Object:
        sessions = self.stripe.books.all_of(PLATFORM, "checkout.session")
        return next(one for one in sessions if one["client_reference_id"] == checkout_id)

    def _quietly(self, happen: Callable[[], Object]) -> Object:
        """Let something happen whose notice is not sent, and return the notice."""
        with _silenced(self.stripe):
            happen()
        return self.stripe.events[-1]


@contextlib.contextmanager
def _silenced(stripe: Stripe) -> Iterator[None]:
    sent, stripe.sends_at_once = stripe.sends_at_once, False
    yield
    stripe.sends_at_once = sent


def _owed(reference: str, notice_id: str, kind: str, said: Any) -> Told:
    return Told(reference, Owed(notice_id, kind, msgspec.Raw(msgspec.json.encode(said))))
