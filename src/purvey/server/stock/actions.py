"""Uploading licence keys, counting them, and finding one for what was paid."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from purvey.server.errors import Conflict, unknown
from purvey.server.kit.tools import Tools
from purvey.server.stock import store
from purvey.server.stock.model import KeyPool, Uploaded
from purvey.server.stock.rules import check_keys

HELD_FOR = timedelta(minutes=5)
"""How long a key is held that was found for a paid order; its order is written at once, unless the process dies."""


async def upload(tools: Tools, account_id: str, listing_id: str, keys: Sequence[str]) -> Uploaded:
    """Add keys to a listing's pool, whatever its status; what is there already stays. Orders that wait for a key are given theirs.

    Raises ValidationError naming each wrong key, NotFound, and Conflict for a listing without a key pool.
    """
    new = check_keys(keys)
    ids = [tools.ids.new("del_") for _ in new]
    added = await store.add(tools.database, account_id, listing_id, new, ids, tools.clock.now())
    pool = await count(tools, account_id, listing_id)
    if added is None:
        raise Conflict(
            'This listing has no key pool; add the deliverable {"type": "text", "key_pool": true} to it first.'
        )
    return Uploaded(**msgspec.structs.asdict(pool), added=added, duplicates=len(keys) - added)


async def count(tools: Tools, account_id: str, listing_id: str) -> KeyPool:
    """Return how many licence keys a listing has; raise NotFound."""
    pool = await store.count(tools.database, account_id, listing_id)
    if pool is None:
        raise unknown("listing", listing_id)
    return pool


async def take(tools: Tools, paid: Sequence[tuple[str, str, str]], *, waited: bool) -> dict[str, str]:
    """Return the key that each of these paid (account, listing, checkout) holds, by checkout; one that holds none is found another.

    Where none is left, there is no entry. Orders that wait for keys come first: only who has `waited` is given one before them.
    """
    listings: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account_id, listing_id, checkout_id in paid:
        listings[account_id, listing_id].append(checkout_id)
    keys: dict[str, str] = {}
    for listing, checkouts in sorted(listings.items()):
        now = tools.clock.now()
        keys |= await store.take(tools.database, listing, checkouts, waited=waited, now=now, held_for=HELD_FOR)
    return keys
