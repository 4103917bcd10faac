"""Changing orders that are there: read, decided, committed, and on a version that has moved on read again.

Commands that arrive while earlier ones are being committed are gathered into the next statement. A command that a process took
and could not finish has changed nothing; one whose connection was lost after the commit is found again by its mark in the history.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Deliverable, NewDeliverable
from purvey.server.errors import Conflict, ProblemError, unknown
from purvey.server.fulfillment import store
from purvey.server.fulfillment.model import Change, Changed, Draw, Link, Seen, Transition
from purvey.server.jobs.headstart import HeadStart, Lease
from purvey.server.kit.batching import Batcher
from purvey.server.kit.crypto import sha256
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order

LARGEST_BATCH = 64
"""Commands in one statement at most."""
BATCHES_AT_ONCE = 2
"""While the database writes one batch, the next is made ready; with one at a time each would wait for the other."""
READINGS = 20
"""How often an order that keeps changing under a command is read again before the caller is told so."""

CALLS = "callback"
"""The kind of the lanes in which the calls of dynamic orders are made."""

Outcome = Changed | ProblemError
OrderKey = tuple[str, str]
"""An order's account and its id: never the id alone, so that nobody learns of another account's order."""


class Changes:
    """Writes transitions. `wake` is called after each commit that may have queued something; `records` seals answers.

    The calls of new orders get a head start: whoever bought waits for them.
    """

    def __init__(
        self, tools: Tools, records: Idempotency, wake: Callable[[], None], head_start: HeadStart | None = None
    ) -> None:
        self._head_start = head_start or HeadStart()
        self._tools = tools
        self._records = records
        self._wake = wake
        self._commands: Batcher[Change, Outcome] = Batcher(
            self._change_all, key=_key, largest=LARGEST_BATCH, at_once=BATCHES_AT_ONCE
        )

    async def change(self, command: Change) -> Changed:
        """Change an order as the command decides; raise what it refuses with, NotFound, or Conflict if others never rest."""
        outcome = await self._commands.submit(command)
        if isinstance(outcome, ProblemError):
            raise outcome
        return outcome

    async def write(self, transitions: Sequence[Transition]) -> set[str]:
        """Write transitions, and return the orders whose transition was written."""
        lease = self._head_start.lease(CALLS, sum(_is_new(one) for one in transitions))
        try:
            written = [_with_lease(one, lease) if lease else one for one in transitions]
            done = await store.commit(self._tools.database, written, self._tools.clock.now())
        finally:
            if lease:
                self._head_start.begin(lease)
        self._wake()
        return done

    def draw(self) -> Draw:
        """Return chance and time for one transition."""
        now = self._tools.clock.now()
        return Draw(
            new_id=self._tools.ids.new,
            event_id=lambda: self._tools.ids.ulid("evt_", now),
            new_link=self._new_link,
            now=now,
        )

    def _new_link(self) -> Link:
        token = self._tools.ids.secret(length=32)
        return Link(hash=sha256(token), sealed=self._tools.keyring.seal(token))

    async def _change_all(self, commands: Sequence[Change]) -> list[Outcome]:
        outcomes: dict[OrderKey, Outcome] = {}
        for _ in range(READINGS):
            left = [command for command in commands if _key(command) not in outcomes]
            if not left:
                break
            outcomes |= await self._change_once(left)
        return [outcomes.get(_key(command)) or _restless(command) for command in commands]

    async def _change_once(self, commands: Sequence[Change]) -> dict[OrderKey, Outcome]:
        """Return what came of those commands that need no further reading of their order."""
        found = await orders.load(self._tools, [_key(command) for command in commands])
        content = await self._content(found.values())
        beside = await asyncio.gather(*[_beside(command, found.get(_key(command))) for command in commands])
        outcomes: dict[OrderKey, Outcome] = {}
        transitions, wanted = [], {}
        for command, more in zip(commands, beside, strict=True):
            step = self._step(command, found.get(_key(command)), content, more)
            if isinstance(step, Transition):
                marked, changed = self._prepared(command, step, content)
                transitions.append(marked)
                wanted[_key(command)] = changed
            else:
                outcomes[_key(command)] = step
        done = await self.write(transitions) if transitions else set()
        return outcomes | {key: changed for key, changed in wanted.items() if key[1] in done}

    async def _content(self, found: Iterable[Order]) -> dict[str, Deliverable]:
        """Return what the orders hold that were fulfilled before."""
        keys = [(order.account_id, one) for order in found for one in order.deliverables]
        return await deliverables.load(self._tools, keys) if keys else {}

    def _step(
        self, command: Change, order: Order | None, content: Mapping[str, Deliverable], beside: Any
    ) -> Transition | Outcome:
        if order is None:
            return unknown("order", command.order_id)
        held = [content[one] for one in order.deliverables]
        try:
            step = command.decide(Seen(order, held, beside), self.draw())
        except ProblemError as error:
            return error
        return step or Changed(order, self._shown(order, held), written=False, recorded=False)

    def _prepared(
        self, command: Change, step: Transition, content: Mapping[str, Deliverable]
    ) -> tuple[Transition, Changed]:
        """Return a transition as it is committed, with its mark and its answer, and what it comes to."""
        made = {one.id: one for one in step.content}
        shown = self._shown(step.after, [made.get(one) or content[one] for one in step.after.deliverables])
        claim = command.claim
        mark = self._tools.ids.random_bytes(12).hex()
        marked = msgspec.structs.replace(
            step,
            steps=[msgspec.structs.replace(one, mark=mark) for one in step.steps],
            answer=self._records.answer(claim, shown, final=not command.goes_on) if claim else None,
        )
        return marked, Changed(step.after, shown, written=True, recorded=claim is not None)

    def _shown(self, order: Order, content: Sequence[Deliverable | NewDeliverable]) -> bytes:
        return msgspec.json.encode(orders.show_with(self._tools, order, content))


def _is_new(transition: Transition) -> bool:
    """Return whether the transition makes an order that calls its seller's server."""
    return transition.before is None and transition.callback is not None


def _with_lease(transition: Transition, lease: Lease) -> Transition:
    if transition.callback is None or not _is_new(transition):
        return transition
    leased = msgspec.structs.replace(transition.callback, lease_token=lease.token, leased_until=lease.until)
    return msgspec.structs.replace(transition, callback=leased)


async def _beside(command: Change, order: Order | None) -> Any:
    return await command.beside(order) if command.beside and order else None


def _key(command: Change) -> OrderKey:
    return command.account_id, command.order_id


def _restless(command: Change) -> ProblemError:
    return Conflict(f"Order {command.order_id} is being changed by others at this moment. Try again.")
