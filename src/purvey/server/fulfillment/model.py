"""A transition of one order, with all that follows from it. It is written whole or not at all."""

from collections.abc import Sequence

import msgspec

from purvey.server.access.model import NewGrant
from purvey.server.deliverables.model import Content, NewDeliverable
from purvey.server.events.model import NewEvent
from purvey.server.kit.idempotency import Claim, NewAnswer
from purvey.server.mail.model import NewMessage
from purvey.server.orders.model import Order, Step
from purvey.server.payments.model import NewNotice


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """`before` is None for an order that is new; `after` is its state at the end, `steps` how it got there.

    `answer` is what the request is told that asked for it with an Idempotency-Key.
    """

    before: Order | None
    after: Order
    steps: Sequence[Step]
    content: Sequence[NewDeliverable] = ()
    grant: NewGrant | None = None
    messages: Sequence[NewMessage] = ()
    notice: NewNotice | None = None
    events: Sequence[NewEvent] = ()
    answer: NewAnswer | None = None


class Deliver(msgspec.Struct, frozen=True):
    """The command to fulfil an order with `content` (1 to 3). `metadata` None leaves the order's as it is.

    `claim` is that of the request's Idempotency-Key: its answer is then written with what it does.
    """

    account_id: str
    order_id: str
    content: tuple[Content, ...]
    metadata: dict[str, str] | None = None
    claim: Claim | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The fulfilled order, as JSON for its seller. `recorded`: and written as the answer of the command's claim."""

    order: bytes
    recorded: bool
