"""All SQL of deliverables that reads. They are written by the SQL function `deliverables_make`."""

from collections.abc import Sequence

from purvey.server.deliverables.model import Deliverable
from purvey.server.kit.database import Database


async def by_ids(database: Database, keys: Sequence[tuple[str, str]]) -> dict[str, Deliverable]:
    """Return the deliverables with these (account, deliverable) ids, by deliverable id."""
    rows = await database.rows(
        "SELECT account_id, id, type, value, token, format FROM deliverables"
        " JOIN unnest($1::text[], $2::text[]) AS wanted (account_id, id) USING (account_id, id)",
        [account_id for account_id, _ in keys],
        [deliverable_id for _, deliverable_id in keys],
    )
    return {row["id"]: Deliverable(**row) for row in rows}
