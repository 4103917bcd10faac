"""Licence keys: each is one of a listing's pool, and becomes the content of one order."""

from typing import Literal

import msgspec

LONGEST_KEY = 1000
"""Characters of a licence key."""
MOST_KEYS = 10_000
"""Keys of one upload."""


class KeyPool(msgspec.Struct, frozen=True, kw_only=True):
    """How many licence keys a listing has. `available` can be sold, `held` belong to open checkouts or to orders about to be made.

    `total` is the sum of `available`, `held` and `sold`. No answer shows a key: buyers find theirs with their order.
    """

    object: Literal["key_pool"] = "key_pool"
    listing_id: str
    total: int
    available: int
    held: int
    sold: int


class Uploaded(KeyPool, frozen=True, kw_only=True):
    """The pool after an upload: `added` keys are new, `duplicates` were there already, or were in the upload more than once."""

    added: int
    duplicates: int
