"""All SQL of the room that is not a function of its migrations."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from purvey.server.kit.database import Database
from purvey.server.stock.model import KeyPool

GIVE_BACK = "stock.give_back"
"""The job that gives back what a listing's checkouts hold too long; its `ref` is the listing."""

COUNT = """
SELECT listing.id, count(k.digest) AS total, count(*) FILTER (WHERE k.status = 'available') AS available,
       count(*) FILTER (WHERE k.status = 'held') AS held, count(*) FILTER (WHERE k.status = 'sold') AS sold
FROM listings listing LEFT JOIN pool_keys k ON k.account_id = listing.account_id AND k.listing_id = listing.id
WHERE listing.account_id = $1 AND listing.id = $2 GROUP BY listing.id
"""


async def give_back(database: Database, account_id: str, listing_id: str, now: datetime) -> None:
    """Give back what the listing's checkouts hold whose time is over."""
    await database.write("SELECT stock_give_back($1, $2, $3)", account_id, listing_id, now, again=True)


async def add(
    database: Database, account_id: str, listing_id: str, keys: Sequence[str], ids: Sequence[str], now: datetime
) -> int | None:
    """Add keys to the pool, each with the id of the deliverable that it becomes; return how many are new, None without a pool.

    The same transaction queues the job that gives them to the orders that wait.
    """
    rows = await database.write("SELECT keys_add($1, $2, $3, $4, $5)", account_id, listing_id, keys, ids, now)
    added: int | None = rows[0][0]
    return added


async def count(database: Database, account_id: str, listing_id: str) -> KeyPool | None:
    """Return how many keys the account's listing has, or None if there is no such listing."""
    row = await database.row(COUNT, account_id, listing_id)
    if row is None:
        return None
    return KeyPool(
        listing_id=row["id"], total=row["total"], available=row["available"], held=row["held"], sold=row["sold"]
    )


async def take(
    database: Database,
    listing: tuple[str, str],
    checkouts: Sequence[str],
    *,
    waited: bool,
    now: datetime,
    held_for: timedelta,
) -> dict[str, str]:
    """Return the keys that these checkouts of a listing (account, id) hold, by checkout, after finding some for those without."""
    sql = "SELECT * FROM keys_take($1, $2, $3, $4, $5, $6)"
    rows = await database.write(sql, *listing, checkouts, waited, now + held_for, now, again=True)
    return {row["checkout"]: row["key_id"] for row in rows}
