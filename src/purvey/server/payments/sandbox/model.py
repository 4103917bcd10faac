"""The sandbox's cards."""

from typing import Literal

Fate = Literal["pays", "declined", "disputed"]

CARDS: dict[str, Fate] = {
    "4242424242424242": "pays",
    "4000000000000002": "declined",
    "4000000000000259": "disputed",
}
"""Card number -> what becomes of a payment with it; `disputed` pays first."""


def fate_of(number: str) -> Fate | None:
    """Return what becomes of a payment with the card `number` (blanks and dashes do not count), None for an unknown card."""
    return CARDS.get("".join(character for character in number if character not in " -"))
