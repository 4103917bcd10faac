"""Prefixed random ids, and ULIDs for events.

An id is a prefix that names its kind (`ord_`, `lst_`) and 22 base62 characters, 131 bits of chance. Nothing validates the
length of an id that it is given.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RandomBytes = Callable[[int], bytes]


_REJECTED = bytes(range(248, 256))
_BASE62_OF = bytes(ord(BASE62[byte % 62]) for byte in range(256))


def _digits(number: int, alphabet: str, length: int) -> str:
    base = len(alphabet)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, base)
        digits.append(alphabet[digit])
    return "".join(reversed(digits))


class Ids:
    """Makes ids from a source of random bytes (the operating system's by default)."""

    def __init__(self, random_bytes: RandomBytes = os.urandom) -> None:
        self.random_bytes = random_bytes

    def new(self, prefix: str) -> str:
        """Return `prefix` (such as `ord_`) and 22 random base62 characters."""
        return prefix + self._base62(22)

    def secret(self, prefix: str = "", length: int = 43) -> str:
        """Return `prefix` and `length` random base62 characters; 43 of them hold 256 bits."""
        return prefix + self._base62(length)

    def _base62(self, length: int) -> str:
        # Bytes from 248 on are left out, so that each of the 62 characters is as likely as the others; 31 of 32 bytes remain.
        found = b""
        while len(found) < length:
            found += self.random_bytes(length + 6).translate(_BASE62_OF, _REJECTED)
        return found[:length].decode()

    def ulid(self, prefix: str, at: datetime) -> str:
        """Return `prefix` and a 26-character ULID: 48 bits of milliseconds since 1970, then 80 random bits."""
        milliseconds = int(at.timestamp() * 1000)
        return prefix + _digits(milliseconds << 80 | int.from_bytes(self.random_bytes(10)), CROCKFORD, 26)


def time_of(ulid: str) -> datetime | None:
    """Return when an id with a prefix and a ULID was made; None if it is no such id."""
    characters = ulid.rpartition("_")[2]
    if len(characters) != 26 or characters[0] > "7" or not set(characters) <= set(CROCKFORD):
        return None
    milliseconds = 0
    for character in characters[:10]:
        milliseconds = milliseconds * 32 + CROCKFORD.index(character)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
