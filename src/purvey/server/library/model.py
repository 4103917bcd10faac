"""An ask for a link, the link, and what a buyer sees."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.access.model import Door, Grant
from purvey.server.orders.model import Order


class Ask(msgspec.Struct, frozen=True):
    """Somebody gave an e-mail address, to see what was bought with it."""

    id: str
    email: str
    asked_at: datetime


class NewLink(msgspec.Struct, frozen=True):
    """A link that signs in once: the attributes of the SQL type `library_link`, in its order."""

    token_hash: bytes
    email: str
    created_at: datetime
    expires_at: datetime


Invited = Literal["mailed", "unknown", "enough"]
"""What came of an ask: a link was mailed; nothing was bought with the address; enough was mailed to it lately."""


class SignedIn(msgspec.Struct, frozen=True):
    """A new session: the token that its cookie carries, and whose purchases it shows."""

    token: str
    email: str


class Bought(msgspec.Struct, frozen=True):
    """A purchase: the order, what its link shows now, and its live grant."""

    order: Order
    door: Door
    grant: Grant | None
