"""The transitions of orders: one method each, gathered into batches under load (natural batching).

Every method may be called twice, or by two processes at once, for the same order: the guard in the statement lets one of them
win, and the other reads what has come of it. A process that dies before the commit has changed nothing; after it, nothing of the
order is left to do, because mail and webhooks were queued by the same statement.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from purvey.server.checkout import actions as checkouts
from purvey.server.checkout.model import Checkout
from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Deliverable, NewDeliverable
from purvey.server.errors import AlreadyFulfilled, Conflict, ProblemError, unknown
from purvey.server.fulfillment import rules, store
from purvey.server.fulfillment.model import Deliver, Delivered, Transition
from purvey.server.kit.batching import Batcher
from purvey.server.kit.crypto import sha256
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order, PaymentStatus, Status
from purvey.server.payments.model import Accepted, Notice, Payment, Refused, Verdict, handled

LARGEST_BATCH = 64
"""Commands in one statement at most."""
BATCHES_AT_ONCE = 2
"""While the database writes one batch, the next is made ready; with one at a time each would wait for the other."""
READINGS = 5
"""How often an order that keeps changing under a delivery is read again before the caller is told so."""

Claim = tuple[Payment, Notice | None]
Outcome = Delivered | ProblemError
OrderKey = tuple[str, str]
"""An order's account and its id: never the id alone, so that nobody learns of another account's order."""


class Fulfillment:
    """Writes transitions. `wake` is called after each commit that may have queued something; `records` seals answers."""

    def __init__(self, tools: Tools, records: Idempotency, wake: Callable[[], None]) -> None:
        self._tools = tools
        self._records = records
        self._wake = wake
        self._payments: Batcher[Claim, Verdict] = Batcher(
            self._pay_all, key=lambda claim: claim[0].checkout_id, largest=LARGEST_BATCH, at_once=BATCHES_AT_ONCE
        )
        self._fulfilments: Batcher[Deliver, Outcome] = Batcher(
            self._deliver_all, key=_key, largest=LARGEST_BATCH, at_once=BATCHES_AT_ONCE
        )

    async def paid(self, payment: Payment, notice: Notice | None = None) -> Verdict:
        """Make the order of a confirmed payment, or find the one that exists; the notice is stored with it.

        The redirect and the provider's notice both end here. The payment makes its order whatever the checkout's age.
        """
        return await self._payments.submit((payment, notice))

    async def deliver(self, command: Deliver) -> Delivered:
        """Fulfil an order with what the seller brings, once (DF-15, DF-16).

        The same content again changes nothing and returns the order; other content raises AlreadyFulfilled, any other status
        or a refunded order InvalidTransition, an order that is not the account's NotFound.
        """
        outcome = await self._fulfilments.submit(command)
        if isinstance(outcome, ProblemError):
            raise outcome
        return outcome

    async def _pay_all(self, claims: Sequence[Claim]) -> list[Verdict]:
        sold = await checkouts.load(self._tools, [payment.checkout_id for payment, _ in claims])
        fresh = [
            claim for claim in claims if _refusal(sold, claim[0]) is None and not sold[claim[0].checkout_id].order_id
        ]
        made = await self._make([(sold[payment.checkout_id], payment, notice) for payment, notice in fresh])
        missed = [payment.checkout_id for payment, _ in fresh if payment.checkout_id not in made]
        sold |= await checkouts.load(self._tools, missed) if missed else {}
        return [made.get(payment.checkout_id) or _found(sold, payment) for payment, _ in claims]

    async def _make(self, paid: Sequence[tuple[Checkout, Payment, Notice | None]]) -> dict[str, Verdict]:
        if not paid:
            return {}
        transitions = [self._order_of(*one) for one in paid]
        done = await self._commit(transitions)
        return {
            t.after.checkout_id: Accepted(t.after.account_id, t.after.id, stored=t.notice is not None)
            for t in transitions
            if t.after.id in done
        }

    def _order_of(self, checkout: Checkout, payment: Payment, notice: Notice | None) -> Transition:
        token = self._tools.ids.secret(length=32)
        link = rules.Link(hash=sha256(token), sealed=self._tools.keyring.seal(token))
        return rules.paid(checkout, payment, link, handled(notice) if notice else None, self._draw())

    async def _deliver_all(self, commands: Sequence[Deliver]) -> list[Outcome]:
        outcomes: dict[OrderKey, Outcome] = {}
        for _ in range(READINGS):
            left = [command for command in commands if _key(command) not in outcomes]
            if not left:
                break
            outcomes |= await self._deliver_once(left)
        return [outcomes.get(_key(command)) or _restless(command) for command in commands]

    async def _deliver_once(self, commands: Sequence[Deliver]) -> dict[OrderKey, Outcome]:
        """Return what came of those commands that need no further reading of their order."""
        found = await orders.load(self._tools, [_key(command) for command in commands])
        content = await self._content(found.values())
        outcomes: dict[OrderKey, Outcome] = {}
        transitions, wanted = [], {}
        for command in commands:
            step = self._step(found.get(_key(command)), command, content)
            if isinstance(step, Transition):
                shown = self._shown(step.after, step.content)
                wanted[_key(command)] = Delivered(shown, recorded=command.claim is not None)
                answer = self._records.answer(command.claim, shown) if command.claim else None
                transitions.append(msgspec.structs.replace(step, answer=answer))
            else:
                outcomes[_key(command)] = step
        done = await self._commit(transitions) if transitions else set()
        return outcomes | {key: delivered for key, delivered in wanted.items() if key[1] in done}

    async def _content(self, found: Iterable[Order]) -> dict[str, Deliverable]:
        """Return what the orders hold that were fulfilled before."""
        keys = [(order.account_id, one) for order in found for one in order.deliverables]
        return await deliverables.load(self._tools, keys) if keys else {}

    def _step(self, order: Order | None, command: Deliver, content: Mapping[str, Deliverable]) -> Transition | Outcome:
        if order is None:
            return unknown("order", command.order_id)
        if order.status is Status.FULFILLED and order.payment_status is not PaymentStatus.REFUNDED:
            return self._again(order, command, [content[one] for one in order.deliverables])
        try:
            return rules.delivered(order, command, self._draw())
        except ProblemError as error:
            return error

    def _again(self, order: Order, command: Deliver, content: Sequence[Deliverable]) -> Outcome:
        """Return what a delivery to a fulfilled order comes to: the order as it is, if the content is the same."""
        if tuple(deliverables.content_of(one) for one in content) == command.content:
            return Delivered(self._shown(order, content), recorded=False)
        return AlreadyFulfilled(
            f"Order {order.id} was fulfilled with other content; a fulfilled order keeps what its buyer has seen.",
            current_status=order.status,
        )

    def _shown(self, order: Order, content: Sequence[Deliverable | NewDeliverable]) -> bytes:
        return msgspec.json.encode(orders.show_with(self._tools, order, content))

    async def _commit(self, transitions: Sequence[Transition]) -> set[str]:
        done = await store.commit(self._tools.database, transitions, self._tools.clock.now())
        self._wake()
        return done

    def _draw(self) -> rules.Draw:
        now = self._tools.clock.now()
        return rules.Draw(new_id=self._tools.ids.new, event_id=lambda: self._tools.ids.ulid("evt_", now), now=now)


def _refusal(sold: dict[str, Checkout], payment: Payment) -> Refused | None:
    checkout = sold.get(payment.checkout_id)
    if checkout is None:
        return Refused(f"no checkout {payment.checkout_id}")
    if (payment.amount, payment.currency) != (checkout.amount, checkout.currency):
        return Refused(
            f"paid {payment.amount} {payment.currency}, but checkout {checkout.id} is for {checkout.amount} {checkout.currency}"
        )
    return None


def _found(sold: dict[str, Checkout], payment: Payment) -> Verdict:
    """Return what became of a payment that made no order just now."""
    refusal = _refusal(sold, payment)
    if refusal is not None:
        return refusal
    checkout = sold[payment.checkout_id]
    if checkout.order_id is None:
        return Refused(f"payment {payment.reference} belongs to another checkout's order already")
    return Accepted(checkout.account_id, checkout.order_id, stored=False)


def _key(command: Deliver) -> OrderKey:
    return command.account_id, command.order_id


def _restless(command: Deliver) -> ProblemError:
    return Conflict(f"Order {command.order_id} is being changed by others at this moment. Try again.")
