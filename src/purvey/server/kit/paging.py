"""Pages by key set: a page begins after the last row of the one before, so that nothing is skipped or shown twice."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from purvey.server.kit.problem import FieldError, invalid

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list that is ordered by time of creation and id."""

    created_at: datetime
    id: str

    def encode(self) -> str:
        """Return the place as the opaque text that callers send back."""
        text = f"{(self.created_at - _EPOCH) // _MICROSECOND}:{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """The rows of one page, whether more follow, and the cursor that asks for them (None when none do)."""

    rows: Sequence[T]
    has_more: bool
    cursor: str | None


def read_cursor(text: str | None) -> Position | None:
    """Return the place that `text` names, None for an absent or empty one; raise ValidationError if we did not make it."""
    if not text:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        microseconds, row_id = decoded.split(":")
        if row_id.isprintable():
            return Position(_EPOCH + int(microseconds) * _MICROSECOND, row_id)
    except (binascii.Error, ValueError, OverflowError):
        pass
    message = "is not a cursor of this list; send the `cursor` of the page before as it is, or none for the first page"
    raise invalid([FieldError(loc=["cursor"], msg=message, type="cursor")])


def slice_of(rows: Sequence[T], limit: int, place: Callable[[T], Position]) -> Slice[T]:
    """Cut `rows`, of which one more than `limit` was asked for, to a page; `place` tells where a row stands."""
    shown = rows[:limit]
    has_more = len(rows) > limit
    return Slice(shown, has_more, place(shown[-1]).encode() if has_more else None)
