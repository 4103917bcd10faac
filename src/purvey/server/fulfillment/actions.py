"""The transitions of orders, gathered into batches under load (natural batching).

Every method may be called twice, or by two processes at once, for the same order: the guard in the statement lets one of them
win, and the other reads what has come of it. A process that dies before the commit has changed nothing; after it, nothing of the
order is left to do, because mail, webhooks and further work were queued by the same statement.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from purvey.server.access import actions as access
from purvey.server.checkout import actions as checkouts
from purvey.server.checkout.model import Checkout
from purvey.server.errors import Conflict
from purvey.server.fulfillment import links, rules
from purvey.server.fulfillment.changing import BATCHES_AT_ONCE, LARGEST_BATCH, READINGS, Changes
from purvey.server.fulfillment.model import Change, Changed, Deliver, Transition
from purvey.server.jobs.headstart import HeadStart
from purvey.server.kit.batching import Batcher
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order
from purvey.server.payments.model import Accepted, Notice, Payment, Refused, Verdict
from purvey.server.stock import actions as stock

Claim = tuple[Payment, Notice | None]


class Fulfillment:
    """Makes orders of payments, and changes the orders that are there.

    `wake` is called after each commit that may have queued something; `records` seals answers. With a `head_start`, this process
    makes the calls of new dynamic orders, as long as it has room for them.
    """

    def __init__(
        self, tools: Tools, records: Idempotency, wake: Callable[[], None], head_start: HeadStart | None = None
    ) -> None:
        self._tools = tools
        self._changes = Changes(tools, records, wake, head_start)
        self._payments: Batcher[Claim, Verdict] = Batcher(
            self._pay_all, key=lambda claim: claim[0].checkout_id, largest=LARGEST_BATCH, at_once=BATCHES_AT_ONCE
        )
        self._restocks: Batcher[Transition, bool] = Batcher(
            self._restock_all, key=lambda transition: transition.after.id, largest=LARGEST_BATCH
        )

    async def paid(self, payment: Payment, notice: Notice | None = None) -> Verdict:
        """Make the order of a confirmed payment, or find the one that exists; the notice is stored with it.

        The redirect and the provider's notice both end here. The payment makes its order whatever the checkout's age.
        """
        return await self._payments.submit((payment, notice))

    async def change(self, command: Change) -> Changed:
        """Change an order as the command decides, in one transaction with all that follows from it.

        Raises what the command refuses with; NotFound for an order that is not the account's.
        """
        return await self._changes.change(command)

    async def fresh_link(self, order: Order, token_hash: bytes | None) -> Changed:
        """Give a buyer a fresh link to an order, if there is one to be had: see `links.ask`. Otherwise nothing changes."""
        return await self.change(
            Change(
                account_id=order.account_id,
                order_id=order.id,
                decide=partial(links.ask, token_hash),
                beside=partial(access.live_grant, self._tools),
            )
        )

    async def deliver(self, command: Deliver) -> Changed:
        """Fulfil an order with what the seller brings, once (DF-15, DF-16).

        The same content again changes nothing and returns the order; other content raises AlreadyFulfilled, any other status
        or a refunded order InvalidTransition, an order that is not the account's NotFound.
        """
        return await self.change(
            Change(
                account_id=command.account_id,
                order_id=command.order_id,
                decide=partial(rules.deliver, command),
                claim=command.claim,
            )
        )

    async def _pay_all(self, claims: Sequence[Claim]) -> list[Verdict]:
        sold = await checkouts.load(self._tools, [payment.checkout_id for payment, _ in claims])
        made: dict[str, Verdict] = {}
        left = [claim for claim in claims if _refusal(sold, claim[0]) is None]
        for _ in range(READINGS):
            fresh = [claim for claim in left if not sold[claim[0].checkout_id].order_id]
            made |= await self._make([(sold[payment.checkout_id], payment, notice) for payment, notice in fresh])
            missed = [payment.checkout_id for payment, _ in fresh if payment.checkout_id not in made]
            sold |= await checkouts.load(self._tools, missed) if missed else {}
            # A licence key that was held may have been given back at this very moment; then there is another, or none.
            left = [
                claim
                for claim in fresh
                if claim[0].checkout_id in missed and rules.needs_key(sold[claim[0].checkout_id])
            ]
            if not left:
                break
        paid = await self._paid_by(one for one in sold.values() if one.id not in made)
        return [made.get(payment.checkout_id) or _found(sold, paid, payment) for payment, _ in claims]

    async def _paid_by(self, sold: Iterable[Checkout]) -> dict[str, str]:
        """Return the payments of those checkouts that have an order, by the checkouts' ids."""
        keys = [(checkout.account_id, checkout.order_id) for checkout in sold if checkout.order_id]
        found = await orders.load(self._tools, keys) if keys else {}
        return {order.checkout_id: order.payment_reference for order in found.values()}

    async def _make(self, paid: Sequence[tuple[Checkout, Payment, Notice | None]]) -> dict[str, Verdict]:
        if not paid:
            return {}
        keyed = [(sold.account_id, sold.listing_id, sold.id) for sold, _, _ in paid if rules.needs_key(sold)]
        keys = await stock.take(self._tools, keyed, waited=False) if keyed else {}
        transitions = [rules.paid(*one, keys.get(one[0].id), self._changes.draw()) for one in paid]
        done = await self._changes.write(transitions)
        return {
            t.after.checkout_id: Accepted(
                t.after.account_id, t.after.id, stored=t.notice is not None, reference=t.after.payment_reference
            )
            for t in transitions
            if t.after.id in done
        }

    async def restock(self, account_id: str, listing_id: str) -> None:
        """Give licence keys to the orders of a listing that wait for one, the oldest first, as long as there are any.

        What comes in between (a refund, a delivery by hand) wins; its key goes back when its time is over. Raises Conflict when
        orders keep changing.
        """
        fruitless = 0
        while fruitless < READINGS:
            waiting = await orders.without_key(self._tools, account_id, listing_id, LARGEST_BATCH)
            keyed = [(account_id, listing_id, order.checkout_id) for order in waiting]
            keys = await stock.take(self._tools, keyed, waited=True) if keyed else {}
            sold = await checkouts.load(self._tools, list(keys))
            given = [
                rules.restocked(order, sold[order.checkout_id], keys[order.checkout_id], self._changes.draw())
                for order in waiting
                if order.checkout_id in keys
            ]
            if not given:
                return
            done = await asyncio.gather(*[self._restocks.submit(one) for one in given])
            fruitless = 0 if any(done) else fruitless + 1
        raise Conflict(f"The orders of {listing_id} that wait for keys are being changed by others at this moment.")

    async def _restock_all(self, transitions: Sequence[Transition]) -> list[bool]:
        done = await self._changes.write(transitions)
        return [transition.after.id in done for transition in transitions]


def _refusal(sold: dict[str, Checkout], payment: Payment) -> Refused | None:
    checkout = sold.get(payment.checkout_id)
    if checkout is None:
        return Refused(f"no checkout {payment.checkout_id}")
    if (payment.amount, payment.currency) != (checkout.amount, checkout.currency):
        return Refused(
            f"paid {payment.amount} {payment.currency}, but checkout {checkout.id} is for {checkout.amount} {checkout.currency}"
        )
    return None


def _found(sold: dict[str, Checkout], paid: dict[str, str], payment: Payment) -> Verdict:
    """Return what became of a payment that made no order just now; its checkout's order may be another payment's."""
    refusal = _refusal(sold, payment)
    if refusal is not None:
        return refusal
    checkout = sold[payment.checkout_id]
    if checkout.order_id is None:
        return Refused(f"payment {payment.reference} belongs to another checkout's order already")
    return Accepted(checkout.account_id, checkout.order_id, stored=False, reference=paid[checkout.id])
