"""A transition of one order, with all that follows from it. It is written whole or not at all."""

from collections.abc import Sequence

import msgspec

from purvey.server.access.model import NewGrant
from purvey.server.deliverables.model import Content, NewDeliverable
from purvey.server.events.model import NewEvent
from purvey.server.mail.model import NewMessage
from purvey.server.orders.model import Order, Step
from purvey.server.payments.model import NewNotice


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """`before` is None for an order that is new; `after` is its state at the end, `steps` how it got there."""

    before: Order | None
    after: Order
    steps: Sequence[Step]
    content: Sequence[NewDeliverable] = ()
    grant: NewGrant | None = None
    messages: Sequence[NewMessage] = ()
    notice: NewNotice | None = None
    events: Sequence[NewEvent] = ()


class Deliver(msgspec.Struct, frozen=True):
    """The command to fulfil an order with `content` (1 to 3). `metadata` None leaves the order's as it is."""

    account_id: str
    order_id: str
    content: tuple[Content, ...]
    metadata: dict[str, str] | None = None
