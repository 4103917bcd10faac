"""All SQL of orders that reads. Writing is `orders_make` and `orders_change`, called by the statement that spans rooms."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.kit.database import Database, Record
from purvey.server.kit.paging import Position
from purvey.server.orders.model import HistoryEntry, Order, PaymentStatus, Status


class Filters(msgspec.Struct, frozen=True):
    """Which orders to list; all of those given must fit."""

    status: Status | None = None
    listing_id: str | None = None
    buyer_email: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


CONDITIONS = {
    "status": "status = {}",
    "listing_id": "listing_id = {}",
    "buyer_email": "lower(buyer_email) = lower({})",
    "created_after": "created_at > {}",
    "created_before": "created_at < {}",
}


def _order(record: Record) -> Order:
    fields = dict(record)
    fields["status"] = Status(fields["status"])
    fields["payment_status"] = PaymentStatus(fields["payment_status"])
    fields["deliverables"] = tuple(fields["deliverables"])
    return Order(**fields)


async def by_ids(database: Database, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Order]:
    """Return the orders with these (account, order) ids, by the same."""
    rows = await database.rows(
        "SELECT orders.* FROM orders JOIN unnest($1::text[], $2::text[]) AS wanted (account_id, id) USING (account_id, id)",
        [account_id for account_id, _ in keys],
        [order_id for _, order_id in keys],
    )
    return {(row["account_id"], row["id"]): _order(row) for row in rows}


async def by_access_hash(database: Database, access_hash: bytes) -> Order | None:
    """Return the order whose access link carries the token with this hash."""
    row = await database.row("SELECT * FROM orders WHERE access_hash = $1", access_hash)
    return _order(row) if row else None


async def by_payment(database: Database, provider: str, reference: str) -> Order | None:
    """Return the order that was made of the provider's payment."""
    row = await database.row(
        "SELECT * FROM orders WHERE payment_provider = $1 AND payment_reference = $2", provider, reference
    )
    return _order(row) if row else None


async def page(
    database: Database, account_id: str, filters: Filters, after: Position | None, limit: int
) -> list[Order]:
    """Return up to `limit` orders, newest first, that follow the place `after`."""
    args: list[object] = [account_id, limit]
    conditions = ["account_id = $1"]
    for name, condition in CONDITIONS.items():
        value = getattr(filters, name)
        if value is not None:
            args.append(value)
            conditions.append(condition.format(f"${len(args)}"))
    if after is not None:
        args.extend((after.created_at, after.id))
        conditions.append(f"(created_at, id) < (${len(args) - 1}, ${len(args)})")
    sql = f"SELECT * FROM orders WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, id DESC LIMIT $2"
    return [_order(row) for row in await database.rows(sql, *args)]


async def bought_with(database: Database, email: str, after: Position | None, limit: int) -> list[Order]:
    """Return up to `limit` orders of whichever seller that were bought with an e-mail address, as `page` does."""
    rows = await database.rows(
        """
        SELECT * FROM orders WHERE lower(buyer_email) = lower($1) AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
        ORDER BY created_at DESC, id DESC LIMIT $4
        """,
        email,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [_order(row) for row in rows]


async def without_key(database: Database, account_id: str, listing_id: str, limit: int) -> list[Order]:
    """Return up to `limit` orders of the listing that wait for a licence key, the oldest first."""
    rows = await database.rows(
        "SELECT * FROM orders WHERE account_id = $1 AND listing_id = $2 AND content_type = 'static' AND status = 'processing'"
        " AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost' ORDER BY paid_at, id LIMIT $3",
        account_id,
        listing_id,
        limit,
    )
    return [_order(row) for row in rows]


async def of_buyer(database: Database, email: str, order_id: str) -> Order | None:
    """Return the order, if it was bought with this e-mail address."""
    row = await database.row(
        "SELECT * FROM orders WHERE lower(buyer_email) = lower($1) AND id = $2 LIMIT 1", email, order_id
    )
    return _order(row) if row else None


async def history(database: Database, account_id: str, order_id: str) -> list[HistoryEntry]:
    """Return every change of the order, oldest first."""
    rows = await database.rows(
        "SELECT version, action, from_status, to_status, actor, changed_at, detail FROM order_history"
        " WHERE account_id = $1 AND order_id = $2 ORDER BY version",
        account_id,
        order_id,
    )
    return [HistoryEntry(**{**row, "detail": _detail(row)}) for row in rows]


def _detail(row: Record) -> dict[str, str] | None:
    return msgspec.json.decode(row["detail"], type=dict[str, str]) if row["detail"] else None


async def has_step(database: Database, account_id: str, order_id: str, action: str) -> bool:
    """Return whether the order was ever changed by this action."""
    found: bool = await database.value(
        "SELECT EXISTS (SELECT FROM order_history WHERE account_id = $1 AND order_id = $2 AND action = $3)",
        account_id,
        order_id,
        action,
    )
    return found
