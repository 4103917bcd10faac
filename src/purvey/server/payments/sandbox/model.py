"""The sandbox's cards, and what is in its books."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.payments.model import DisputeStatus, Payment

Fate = Literal["pays", "declined", "disputed"]

CARDS: dict[str, Fate] = {
    "4242424242424242": "pays",
    "4000000000000002": "declined",
    "4000000000000259": "disputed",
}
"""Card number -> what becomes of a payment with it; `disputed` pays first."""


class Owed(msgspec.Struct, frozen=True):
    """A notice that the sandbox has to send. `object` is what it says, as JSON; this is its body."""

    id: str
    type: str
    object: msgspec.Raw


class BookedRefund(msgspec.Struct, frozen=True):
    """A refund in the sandbox's books."""

    reference: str
    amount: int
    refunded_at: datetime


class Booked(msgspec.Struct, frozen=True):
    """A payment in the sandbox's books, with all that became of it."""

    payment: Payment
    dispute_status: DisputeStatus | None
    refunds: tuple[BookedRefund, ...]

    @property
    def left(self) -> int:
        """What can still be refunded, in minor units."""
        return self.payment.amount - sum(one.amount for one in self.refunds)


def fate_of(number: str) -> Fate | None:
    """Return what becomes of a payment with the card `number` (blanks and dashes do not count), None for an unknown card."""
    return CARDS.get("".join(character for character in number if character not in " -"))
