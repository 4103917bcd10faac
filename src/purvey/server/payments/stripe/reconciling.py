"""Comparing Stripe's books with ours, and catching up on what was missed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from purvey.server.kit.tools import Tools
from purvey.server.payments import store as notices
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.model import Notice, Payment
from purvey.server.payments.stripe import rules, store
from purvey.server.payments.stripe.client import PAGE, Stripes
from purvey.server.payments.stripe.model import NAME, Merchant, Session, Standing
from purvey.server.payments.stripe.notices import WANTED
from purvey.server.payments.stripe.provider import notice_of

KEPT = timedelta(days=30)
"""How long Stripe keeps events."""

Ordered = Callable[[Sequence[str]], Awaitable[set[str]]]
"""Returns those checkouts that have an order: payments know no orders themselves."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that Stripe knows and we do not: a notice that never came, or a payment without an order."""

    kind: Literal["notice", "payment"]
    id: str
    type: str
    at: datetime
    says: str
    missed: Notice | Payment


class Shown(msgspec.Struct, frozen=True):
    """A difference as it is printed."""

    kind: str
    id: str
    type: str
    at: datetime
    says: str


def shown(difference: Difference) -> Shown:
    """Return a difference without what it is mended by."""
    return Shown(difference.kind, difference.id, difference.type, difference.at, difference.says)


class Reconciler:
    """Compares the books of one merchant at a time."""

    def __init__(self, tools: Tools, stripes: Stripes, inbox: Inbox, ordered: Ordered) -> None:
        self._tools = tools
        self._stripes = stripes
        self._inbox = inbox
        self._ordered = ordered

    async def differences(self, merchant: Merchant, since: datetime) -> AsyncIterator[Difference]:
        """Yield what Stripe knows of a merchant since an instant and we do not; first notices, then payments without an order.

        Raises Conflict for a key that opens too little, StripeRefusedError, Unavailable when Stripe does not answer.
        """
        async for missed in self._notices(merchant, int(since.timestamp())):
            yield missed
        async for unpaid in self._payments(merchant, int(since.timestamp())):
            yield unpaid

    async def caught_up(self, merchant: Merchant) -> datetime | None:
        """Return until when a merchant's books were compared with ours by the hourly job; None if they never were."""
        return await store.reconciled_until(self._tools.database, merchant.whose)

    async def note_caught_up(self, merchant: Merchant, until: datetime) -> None:
        """Note that all that Stripe knew of a merchant at an instant is known here."""
        await store.set_reconciled(self._tools.database, merchant.whose, until)

    async def ask_standing(self, merchant: Merchant) -> None:
        """Ask Stripe how a merchant stands, and note it."""
        await self.note_standing(merchant, rules.standing_of(await self._stripes.account(merchant)))

    async def note_standing(self, merchant: Merchant, standing: Standing) -> None:
        """Note what Stripe says of a merchant now."""
        await store.set_standing(self._tools.database, merchant.whose, standing, self._tools.clock.now())

    async def mend(self, difference: Difference) -> None:
        """Feed what was missed through the inbox, as if it had come: what was there all the same changes nothing."""
        if isinstance(difference.missed, Notice):
            await self._inbox.take(difference.missed)
        else:
            await store.add_payment(self._tools.database, difference.missed.reference, difference.id)
            await self._inbox.confirm(difference.missed)

    async def _notices(self, merchant: Merchant, since: int) -> AsyncIterator[Difference]:
        page: list[Notice] = []
        async for event, body in self._stripes.events(merchant, since, WANTED):
            page.append(notice_of(event, body, merchant.whose))
            if len(page) == PAGE:
                for missed in await self._unknown(page):
                    yield _never_came(missed)
                page = []
        for missed in await self._unknown(page):
            yield _never_came(missed)

    async def _unknown(self, page: Sequence[Notice]) -> list[Notice]:
        known = await notices.known(self._tools.database, NAME, [one.id for one in page])
        # Stripe lists the newest first; what happened first is told first.
        return [one for one in reversed(page) if one.id not in known]

    async def _payments(self, merchant: Merchant, since: int) -> AsyncIterator[Difference]:
        async for session in self._stripes.sessions(merchant, since):
            row = await store.session(self._tools.database, session.id)
            if row is None or row.whose != merchant.whose:
                continue
            payment = rules.payment_of(session, row.checkout_id)
            if payment and not await self._ordered([row.checkout_id]):
                yield _no_order(session, payment)


def _never_came(notice: Notice) -> Difference:
    told = msgspec.to_builtins(notice.said)
    at = datetime.fromisoformat(told["at"])
    return Difference(
        kind="notice", id=notice.id, type=told["type"], at=at, says="its notice never came", missed=notice
    )


def _no_order(session: Session, payment: Payment) -> Difference:
    return Difference(
        kind="payment",
        id=session.id,
        type="checkout.session",
        at=datetime.fromtimestamp(session.created, UTC),
        says=f"checkout {payment.checkout_id} is paid and has no order",
        missed=payment,
    )
