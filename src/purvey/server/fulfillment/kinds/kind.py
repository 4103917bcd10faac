"""What a kind of goods decides: what becomes of an order the moment it is paid, and what its buyer is told then."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from purvey.server.mail.model import Template
from purvey.server.orders.model import ContentType, Order, Status


class NewCallback(msgspec.Struct, frozen=True):
    """A call to a seller's server, to be queued: the attributes of the SQL type `callback_new`, in its order.

    An order that has one is called for again, in another `round`, with the `body` that it has. With a lease, whoever holds it makes
    the call; else whoever claims the job.
    """

    account_id: str
    order_id: str
    listing_id: str
    key: str
    body: str
    round: int = 1
    lease_token: UUID | None = None
    leased_until: datetime | None = None


class Kind(msgspec.Struct, frozen=True):
    """`after_payment` is the status that a paid order takes at once; `mail` is sent with the payment, None sends nothing.

    `callback` makes the call to the seller's server that is queued with the order, and `delivery_status` is how far that is then.
    """

    content_type: ContentType
    after_payment: Status
    mail: Template | None
    delivery_status: Literal["pending"] | None = None
    callback: Callable[[Order], NewCallback] | None = None
