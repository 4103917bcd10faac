"""All SQL of the room. A listing is written whole, under its row's lock, so that no concurrent change is lost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from purvey.server.deliverables.model import NewDeliverable
from purvey.server.kit.database import Connection, Database, Record
from purvey.server.kit.paging import Position
from purvey.server.listings.model import CheckoutField, Listing, Secret, Showcase, Stats, Status

_COLUMNS = (
    "id",
    "account_id",
    "version",
    "status",
    "slug",
    "name",
    "price",
    "currency",
    "content_type",
    "checkout_schema",
    "deliverables",
    "key_pool",
    "page",
    "metadata",
    "agent_callback_url",
    "callback_endpoint_id",
    "signing_secret",
    "signing_preview",
    "signing_before",
    "signing_before_until",
    "dynamic_webhook",
    "dynamic_secret",
    "dynamic_preview",
    "dynamic_before",
    "dynamic_before_until",
    "on_callback_failure",
    "grant_after",
    "grant_downloads",
    "fulfill_within",
    "on_late",
    "late_text",
    "stock",
    "created_at",
    "updated_at",
    "published_at",
)
_LIST = ", ".join(_COLUMNS)
_PLACES = ", ".join(f"${place}" for place in range(1, len(_COLUMNS) + 1))
_SELECT = f"SELECT {_LIST} FROM listings"
_INSERT = f"INSERT INTO listings ({_LIST}) VALUES ({_PLACES})"
_UPDATE = (
    f"UPDATE listings SET ({_LIST}) = ROW ({_PLACES})"
    f" WHERE account_id = $2 AND id = $1 AND version = ${len(_COLUMNS) + 1} RETURNING id"
)


async def insert(connection: Connection, listing: Listing) -> None:
    """Write a new listing."""
    await connection.execute(_INSERT, *_values(listing))


async def update(connection: Connection, listing: Listing, before: int) -> bool:
    """Write the listing over version `before`; return False if that is no longer the row's."""
    return bool(await connection.fetch(_UPDATE, *_values(listing), before))


async def locked(connection: Connection, account_id: str, listing_id: str) -> Listing | None:
    """Return the listing, locked until the end of the transaction, or None."""
    row = await connection.fetchrow(f"{_SELECT} WHERE account_id = $1 AND id = $2 FOR UPDATE", account_id, listing_id)
    return _listing(row) if row else None


async def by_id(database: Database, account_id: str, listing_id: str) -> Listing | None:
    """Return the account's listing, or None."""
    row = await database.row(f"{_SELECT} WHERE account_id = $1 AND id = $2", account_id, listing_id)
    return _listing(row) if row else None


async def for_buyers(database: Database, listing_id: str) -> Listing | None:
    """Return any account's listing, or None: a buyer knows no account."""
    row = await database.row(f"{_SELECT} WHERE id = $1", listing_id)
    return _listing(row) if row else None


async def page(
    database: Database, account_id: str, status: Status | None, after: Position | None, limit: int
) -> list[Listing]:
    """Return up to `limit` of the account's listings, the newest first, from `after` on."""
    rows = await database.rows(
        f"""
        {_SELECT} WHERE account_id = $1 AND ($2::text IS NULL OR status = $2)
        AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::text))
        ORDER BY created_at DESC, id DESC LIMIT $5
        """,
        account_id,
        status,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [_listing(row) for row in rows]


async def delete(connection: Connection, account_id: str, listing_id: str) -> bool:
    """Delete the listing unless it has orders; return whether it was deleted."""
    sql = "DELETE FROM listings WHERE account_id = $1 AND id = $2 AND NOT orders_exist($1, $2) RETURNING id, keys_drop($1, $2)"
    return bool(await connection.fetch(sql, account_id, listing_id))


async def make_deliverables(connection: Connection, made: Sequence[NewDeliverable], now: datetime) -> None:
    """Write deliverables."""
    rows = [msgspec.structs.astuple(one) for one in made]
    await connection.execute("SELECT deliverables_make($1::deliverable_new[], $2)", rows, now)


async def set_callback(connection: Connection, listing: Listing, now: datetime) -> None:
    """Tell the webhooks room where the listing's events go and what signs them; a null URL means nowhere."""
    await connection.execute(
        "SELECT webhooks_callback_set($1, $2, $3, $4, $5, $6, $7, $8)",
        listing.account_id,
        listing.id,
        listing.callback_endpoint_id,
        listing.agent_callback_url,
        listing.signing.sealed,
        listing.signing.before,
        listing.signing.before_until,
        now,
    )


async def keys_left(database: Database, account_id: str, listings: Sequence[Listing], most: int) -> dict[str, int]:
    """Return how many licence keys new buyers may have of each listing that has a pool, counting no further than `most`."""
    pooled = [listing.id for listing in listings if listing.key_pool]
    rows = await database.rows("SELECT * FROM keys_left($1, $2, $3)", account_id, pooled, most) if pooled else []
    return {row["listing_id"]: row["keys"] for row in rows}


async def keys_left_of(database: Database, account_id: str, listing_id: str) -> int:
    """Return 1 if the listing has a licence key that may be sold, or else 0."""
    [row] = await database.rows("SELECT keys FROM keys_left($1, $2, 1)", account_id, [listing_id])
    keys: int = row["keys"]
    return keys


async def stats(database: Database, account_id: str, listings: Sequence[Listing]) -> dict[str, Stats]:
    """Return what each of the account's listings has sold; revenue counts what was paid in the listing's currency."""
    currencies = {listing.id: listing.currency for listing in listings}
    rows = await database.rows("SELECT * FROM orders_stats($1, $2)", account_id, list(currencies))
    found = {listing_id: Stats() for listing_id in currencies}
    for row in rows:
        so_far = found[row["listing_id"]]
        revenue = row["revenue"] if row["currency"] == currencies[row["listing_id"]] else 0
        found[row["listing_id"]] = Stats(orders=so_far.orders + row["orders"], revenue=so_far.revenue + revenue)
    return found


def _values(listing: Listing) -> tuple[Any, ...]:
    dynamic = listing.dynamic
    return (
        listing.id,
        listing.account_id,
        listing.version,
        listing.status,
        listing.slug,
        listing.name,
        listing.price,
        listing.currency,
        listing.content_type,
        listing.checkout_schema,
        listing.deliverables,
        listing.key_pool,
        listing.page,
        listing.metadata,
        listing.agent_callback_url,
        listing.callback_endpoint_id,
        listing.signing.sealed,
        listing.signing.preview,
        listing.signing.before,
        listing.signing.before_until,
        listing.dynamic_webhook,
        dynamic.sealed if dynamic else None,
        dynamic.preview if dynamic else None,
        dynamic.before if dynamic else None,
        dynamic.before_until if dynamic else None,
        listing.on_callback_failure,
        listing.grant_after,
        listing.grant_downloads,
        listing.fulfill_within,
        listing.on_late,
        listing.late_text,
        listing.stock,
        listing.created_at,
        listing.updated_at,
        listing.published_at,
    )


def _listing(row: Record) -> Listing:
    facts = dict(row)
    signing = [facts.pop(f"signing_{name}") for name in ("secret", "preview", "before", "before_until")]
    dynamic = [facts.pop(f"dynamic_{name}") for name in ("secret", "preview", "before", "before_until")]
    return Listing(
        **facts
        | {
            "status": Status(facts["status"]),
            "checkout_schema": msgspec.json.decode(facts["checkout_schema"], type=list[CheckoutField]),
            "page": msgspec.json.decode(facts["page"], type=Showcase),
            "metadata": msgspec.json.decode(facts["metadata"], type=dict[str, str]),
            "signing": Secret(*signing),
            "dynamic": Secret(*dynamic) if dynamic[0] is not None else None,
        }
    )
