"""The routes of a listing's key pool."""

from typing import Annotated

import msgspec
from litestar import get, put
from litestar.params import FromPath, JSONBody

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import MIB, Body, Given, once, problems
from purvey.server.stock import actions
from purvey.server.stock.model import LONGEST_KEY, MOST_KEYS, KeyPool, Uploaded

UNKNOWN = "This account has no such listing."
KEYS = f"1 to {MOST_KEYS:,} licence keys of 1 to {LONGEST_KEY:,} characters; white space around a key is dropped"


class NewKeys(Body):
    """Licence keys to add to the pool."""

    keys: Annotated[list[str], msgspec.Meta(description=KEYS)]


@put(
    "/v1/listings/{listing_id:str}/keys",
    tags=["Listings"],
    request_max_body_size=4 * MIB,
    responses=problems(_404=UNKNOWN, _409="conflict: the listing has no key pool among its deliverables."),
)
@once(wakes=True)
async def upload_keys(
    listing_id: FromPath[str], data: JSONBody[NewKeys], tools: Given[Tools], account: Given[Account]
) -> Uploaded:
    """Add licence keys to a listing's pool, on sale or not. Keys that are there already stay as they are, and are counted.

    Paid orders that wait for a key get theirs first, the oldest before the others; then the listing can be bought again.
    """
    return await actions.upload(tools, account.id, listing_id, data.keys)


@get("/v1/listings/{listing_id:str}/keys", tags=["Listings"], responses=problems(_404=UNKNOWN))
async def count_keys(listing_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> KeyPool:
    """Return how many licence keys a listing has, and how many of them can still be sold."""
    return await actions.count(tools, account.id, listing_id)


routes = [for_sellers(upload_keys, count_keys)]
