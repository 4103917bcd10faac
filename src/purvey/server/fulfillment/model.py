"""A transition of one order, with all that follows from it. It is written whole or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from purvey.server.access.model import NewGrant
from purvey.server.deliverables.model import Content, Deliverable, NewDeliverable
from purvey.server.events.model import NewEvent
from purvey.server.fulfillment.kinds.dynamic.model import Result
from purvey.server.fulfillment.kinds.kind import NewCallback
from purvey.server.jobs.model import NewJob
from purvey.server.kit.idempotency import Claim, NewAnswer
from purvey.server.mail.model import NewMessage
from purvey.server.orders.model import Order, Step
from purvey.server.payments.model import NewNotice, RefundNote

DUE_JOB = "deadlines.check"
DUE_LANE = "deadlines"
RESTOCK = "fulfillment.restock"
"""The job that gives licence keys to the orders of a listing that wait for one; its `ref` is the listing."""


class Link(msgspec.Struct, frozen=True):
    """A fresh access token, as the order keeps it: its hash, and itself sealed."""

    hash: bytes
    sealed: bytes


class Draw(msgspec.Struct, frozen=True):
    """The chance and the time that a transition needs: an id for a prefix, an event's id, a fresh access link, and now."""

    new_id: Callable[[str], str]
    event_id: Callable[[], str]
    new_link: Callable[[], Link]
    now: datetime


class KeySale(msgspec.Struct, frozen=True):
    """A licence key that its checkout holds, and that becomes the order's: the attributes of the SQL type `key_sale`, in its order.

    An order whose key is not held any more is neither made nor changed.
    """

    account_id: str
    order_id: str
    checkout_id: str
    key_id: str


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """`before` is None for an order that is new; `after` is its state at the end, `steps` how it got there.

    `ends_grant` closes what the order's live grant opens, before `grant` takes its place. `refunds` are noted as they are after it.
    `callback` is the call that is queued with it, `result` the outcome of one, whose worker must hold its lease still.
    `answer` is what the request is told that asked for it with an Idempotency-Key.
    """

    before: Order | None
    after: Order
    steps: Sequence[Step]
    content: Sequence[NewDeliverable] = ()
    ends_grant: bool = False
    grant: NewGrant | None = None
    key: KeySale | None = None
    refunds: Sequence[RefundNote] = ()
    messages: Sequence[NewMessage] = ()
    jobs: Sequence[NewJob] = ()
    callback: NewCallback | None = None
    result: Result | None = None
    notice: NewNotice | None = None
    events: Sequence[NewEvent] = ()
    answer: NewAnswer | None = None


class Seen(msgspec.Struct, frozen=True):
    """What a change is decided on: the order, the content that its buyer has, and what the command's `beside` found.

    All of it was read after the order's version, and every change of it changes that version: so what is decided on it is written
    only if it still holds.
    """

    order: Order
    content: Sequence[Deliverable]
    beside: Any = None


Decide = Callable[[Seen, Draw], Transition | None]
"""Returns what an order becomes; None leaves it as it is. Pure: it may be asked again, about the order as it is then.

Raises a ProblemError to refuse.
"""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The command to change an order as `decide` says.

    `claim` is that of the request's Idempotency-Key: the order as it is then is written as its answer, with what it does; with
    `goes_on` a better one may follow. `beside` reads what else is needed to decide.
    """

    account_id: str
    order_id: str
    decide: Decide
    claim: Claim | None = None
    goes_on: bool = False
    beside: Callable[[Order], Awaitable[Any]] | None = None


class Changed(msgspec.Struct, frozen=True):
    """What came of a change: the order, and the same as JSON for its seller.

    `written`: this command has changed it. `recorded`: and its JSON was written as the answer of the command's claim.
    """

    order: Order
    shown: bytes
    written: bool
    recorded: bool


class Deliver(msgspec.Struct, frozen=True):
    """The command to fulfil an order with `content` (1 to 3). `metadata` None leaves the order's as it is.

    `claim` is that of the request's Idempotency-Key: its answer is then written with what it does.
    """

    account_id: str
    order_id: str
    content: tuple[Content, ...]
    metadata: dict[str, str] | None = None
    claim: Claim | None = None
