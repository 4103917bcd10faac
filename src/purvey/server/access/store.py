"""All SQL of grants and their use."""

from collections.abc import Sequence
from datetime import datetime

from purvey.server.access.model import Grant, Lease, Opening, Target, Visit, Wish
from purvey.server.kit.database import Database
from purvey.server.orders.model import Order

LANE = "visits"
FORGET = "access.forget_visits"

_GRANT = "account_id, id, order_id, max_downloads, downloads, created_at, expires_at, revoked_at"

OPEN = "SELECT downloads_open($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
CHARGE = "SELECT downloads_charge($1, $2, $3)"
GIVE_BACK = "UPDATE downloads SET bytes_left = bytes_left + $3 WHERE account_id = $1 AND id = $2"
LEASED = """
SELECT EXISTS (
    SELECT FROM downloads
    WHERE account_id = $1 AND grant_id = $2 AND deliverable_id = $3 AND bytes_left > 0 AND leased_until > $4
)
"""


async def live(database: Database, account_id: str, order_id: str) -> Grant | None:
    """Return the order's live grant."""
    row = await database.row(
        f"SELECT {_GRANT} FROM grants WHERE account_id = $1 AND order_id = $2 AND revoked_at IS NULL",
        account_id,
        order_id,
    )
    return Grant(**row) if row else None


async def live_of(database: Database, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Grant]:
    """Return the live grants of those of the (account, order) ids that have one."""
    rows = await database.rows(
        f"SELECT {_GRANT} FROM grants WHERE revoked_at IS NULL"
        " AND (account_id, order_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        [account_id for account_id, _ in keys],
        [order_id for _, order_id in keys],
    )
    return {(row["account_id"], row["order_id"]): Grant(**row) for row in rows}


async def by_id(database: Database, grant_id: str) -> Grant | None:
    """Return the grant, live or not."""
    row = await database.row(f"SELECT {_GRANT} FROM grants WHERE id = $1", grant_id)
    return Grant(**row) if row else None


async def open_lease(
    database: Database, target: Target, lease_id: str, wish: Wish, now: datetime, until: datetime
) -> str | None:
    """Join a lease or count a download, as SQL function `downloads_open` decides; return the lease's id, None if it may not be.

    The same `lease_id` counts once, so that it may be asked for again after a lost connection.
    """
    grant, size = target.grant, target.file.size if target.file else None
    rows = await database.write(
        OPEN,
        grant.account_id,
        grant.id,
        target.deliverable.id,
        lease_id,
        wish.joins,
        now < target.until,
        size,
        wish.asked,
        wish.first,
        now,
        until,
        again=True,
    )
    found: str | None = rows[0][0]
    return found


async def leased(database: Database, target: Target, now: datetime) -> bool:
    """Return whether there is a lease of this deliverable whose time is not over, with bytes left."""
    grant = target.grant
    found: bool = await database.value(LEASED, grant.account_id, grant.id, target.deliverable.id, now)
    return found


async def charge(database: Database, lease: Lease, length: int) -> bool:
    """Charge bytes to a lease; return whether they may be sent."""
    rows = await database.write(CHARGE, lease.account_id, lease.id, length)
    charged: bool = rows[0][0]
    return charged


async def give_back(database: Database, lease: Lease, length: int) -> None:
    """Return bytes to a lease that were charged and not sent."""
    await database.write(GIVE_BACK, lease.account_id, lease.id, length)


NOTE = """
INSERT INTO visits (account_id, order_id, what, deliverable_id, address, agent, hour, visited_at)
VALUES ($1, $2, $3, $4, $5, $6, date_trunc('hour', $7::timestamptz), $7) ON CONFLICT DO NOTHING
"""

OPENINGS = """
SELECT visited_at AS at, what, nullif(deliverable_id, '') AS deliverable_id, address, agent FROM visits
WHERE account_id = $1 AND order_id IN ($2, $3)
UNION ALL
SELECT opened_at, 'download', deliverable_id, NULL, NULL FROM downloads
JOIN grants ON grants.account_id = downloads.account_id AND grants.id = grant_id
WHERE grants.account_id = $1 AND grants.order_id = $2
ORDER BY at, what
"""


async def note(database: Database, account_id: str, order_id: str, visit: Visit, now: datetime) -> None:
    """Note a visit; another one of the same hour, address and thing adds nothing."""
    args = (visit.what, visit.deliverable_id, visit.address, visit.agent)
    await database.write(NOTE, account_id, order_id, *args, now, again=True)


async def openings(database: Database, order: Order) -> list[Opening]:
    """Return the visits of an order and of its checkout, and the counted downloads, oldest first."""
    rows = await database.rows(OPENINGS, order.account_id, order.id, order.checkout_id)
    return [Opening(**row) for row in rows]


async def forget(database: Database, before: datetime, most: int) -> int:
    """Delete up to `most` visits from before an instant, the oldest first; return how many there were."""
    rows = await database.write(
        """
        DELETE FROM visits WHERE ctid = ANY (ARRAY(SELECT ctid FROM visits WHERE visited_at < $1 ORDER BY visited_at LIMIT $2))
        RETURNING 1
        """,
        before,
        most,
        again=True,
    )
    return len(rows)
