"""All SQL of grants and their use."""

from collections.abc import Sequence
from datetime import datetime

from purvey.server.access.model import Grant
from purvey.server.kit.database import Database

_GRANT = "account_id, id, order_id, max_downloads, downloads, created_at, expires_at, revoked_at"

OPEN = """
WITH counted_before AS (
    SELECT id FROM downloads WHERE account_id = $1 AND id = $3
), counted AS (
    UPDATE grants SET downloads = downloads + 1
    WHERE account_id = $1 AND id = $2 AND downloads < max_downloads AND expires_at > $5 AND revoked_at IS NULL
        AND NOT EXISTS (SELECT FROM counted_before)
    RETURNING account_id, id
), noted AS (
    INSERT INTO downloads (account_id, id, grant_id, deliverable_id, opened_at, leased_until)
    SELECT account_id, $3, id, $4, $5, $6 FROM counted RETURNING id
)
SELECT id FROM counted_before UNION ALL SELECT id FROM noted
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


async def count(
    database: Database, grant: Grant, download_id: str, deliverable_id: str, now: datetime, until: datetime
) -> bool:
    """Count one download of a grant that allows it still, and note it; return whether it did.

    The same download counts once, so that it may be counted again after a lost connection.
    """
    rows = await database.write(OPEN, grant.account_id, grant.id, download_id, deliverable_id, now, until, again=True)
    return bool(rows)
