"""Which licence keys may be uploaded. Pure."""

from collections.abc import Sequence

from purvey.server.errors import FieldError, invalid
from purvey.server.stock.model import LONGEST_KEY, MOST_KEYS

MOST_FAULTS = 20
"""Keys that are named as wrong, at most: a file of the wrong kind has thousands."""


def check_keys(keys: Sequence[str]) -> list[str]:
    """Return the keys without the white space around them, each once, in their order; raise ValidationError naming each fault."""
    if not 1 <= len(keys) <= MOST_KEYS:
        message = f"needs 1 to {MOST_KEYS} keys, not {len(keys)}; send more in several requests"
        raise invalid([FieldError(loc=["keys"], msg=message, type="count")])
    plain = [key.strip() for key in keys]
    faults = [
        FieldError(loc=["keys", place], msg=fault, type="key")
        for place, key in enumerate(plain)
        if (fault := _fault(key))
    ]
    if faults:
        raise invalid(faults[:MOST_FAULTS])
    return list(dict.fromkeys(plain))


def _fault(key: str) -> str | None:
    if not key:
        return f"is empty; a key has 1 to {LONGEST_KEY} characters"
    if len(key) > LONGEST_KEY:
        return f"has {len(key)} characters; a key has at most {LONGEST_KEY}"
    return None
