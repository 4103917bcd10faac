"""How much is tried of what is alike: a share of it, so that `make test` stays quick, or all of it, with PURVEY_TEST_THOROUGH=1."""

import os
import zlib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

THOROUGH = "PURVEY_TEST_THOROUGH"
"""The environment variable that, set to 1, has everything tried everywhere."""


def is_thorough() -> bool:
    return os.environ.get(THOROUGH) == "1"


def some(things: Iterable[T], share: int, whose: str) -> list[T]:
    """Return every `share`-th of the things, at least one: `whose` decides which, so that all are tried by somebody."""
    found = list(things)
    if is_thorough() or not found:
        return found
    return found[zlib.crc32(whose.encode()) % min(share, len(found)) :: share]
