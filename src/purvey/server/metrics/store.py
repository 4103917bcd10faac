"""All SQL of the room; what it counts is counted by the functions of the migration."""

from collections.abc import Sequence
from datetime import datetime

from purvey.server.kit.database import Database
from purvey.server.metrics.model import COUNTED, Backlog, Depth

_BACKLOG = """
    SELECT kind, due_for, waiting, leased, open_breakers, NULL::text AS age, NULL::bigint AS orders FROM jobs_depths($1, $2, $3)
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, age, orders FROM orders_by_wait($2, $3)
"""


async def backlog(database: Database, lane_kinds: Sequence[str], now: datetime) -> Backlog:
    """Return what waits, in one statement."""
    rows = await database.rows(_BACKLOG, list(lane_kinds), COUNTED, now)
    depths = [
        Depth(row["kind"], row["due_for"], row["waiting"], row["leased"], row["open_breakers"])
        for row in rows
        if row["kind"]
    ]
    return Backlog(depths, {row["age"]: row["orders"] for row in rows if row["age"]})
