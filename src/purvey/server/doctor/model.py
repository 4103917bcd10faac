"""What a check finds."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Level = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True):
    """One sentence about one thing, and, unless all is well, another that says what to do."""

    level: Level
    says: str
    remedy: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """A finding with the name of the check that made it."""

    check: str
    level: Level
    says: str
    remedy: str | None


def ok(says: str) -> Finding:
    """Return the finding that all is well."""
    return Finding("ok", says)


def warning(says: str, remedy: str) -> Finding:
    """Return the finding that something works and might not be meant so."""
    return Finding("warning", says, remedy)


def problem(says: str, remedy: str) -> Finding:
    """Return the finding that something does not work, or loses what must not be lost."""
    return Finding("problem", says, remedy)


def verdict(found: Sequence[Checked]) -> Level:
    """Return the worst that was found."""
    levels = {checked.level for checked in found}
    return "problem" if "problem" in levels else "warning" if "warning" in levels else "ok"


def amount(number: int, noun: str, nouns: str | None = None, *, most: int | None = None) -> str:
    """Return the number with its noun, such as `1 order` or `3 orders`; `most` is where counting ended."""
    more = " or more" if number == most else ""
    return f"{number}{more} {noun if number == 1 else nouns or noun + 's'}"


def span(seconds: float) -> str:
    """Return a length of time in words that are exact enough, such as `12 seconds` or `3 hours`."""
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return amount(int(seconds // size), noun)
    return amount(round(seconds), "second")
