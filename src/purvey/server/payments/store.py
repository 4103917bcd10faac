"""All SQL of the inbox."""

from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.kit.database import Database, Record
from purvey.server.payments.model import SAYS, Notice, Unsettled

JOB = "payments.notice"
LANE = "payments"

SETTLE = """
INSERT INTO notices AS notice (provider, id, type, payload, said, outcome, reason, received_at, handled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (provider, id) DO UPDATE SET outcome = $6, reason = $7, handled_at = $8 WHERE notice.outcome IS NULL
"""

KEEP = """
WITH kept AS (
    INSERT INTO notices AS notice (provider, id, type, payload, said, reason, tries, received_at)
    VALUES ($1, $2, $3, $4, $5, $6, 1, $7)
    ON CONFLICT (provider, id) DO UPDATE SET reason = $6, tries = notice.tries + 1 WHERE notice.outcome IS NULL
    RETURNING provider, id
)
SELECT jobs_push(
    ARRAY[(derived_id('job_', 'notice:' || provider || ':' || id), $8, $9, NULL, provider || ':' || id, $10)::job_new], $7
) FROM kept
"""


async def settle(
    database: Database, notice: Notice, outcome: Literal["handled", "refused"], reason: str | None, now: datetime
) -> None:
    """Store the notice with what came of it; one that was settled before stays as it was."""
    await database.write(SETTLE, *_stored(notice), outcome, reason, now, again=True)


async def keep(database: Database, notice: Notice, reason: str, now: datetime, again_at: datetime) -> None:
    """Store a notice that could not be handed on, and a job that will try again."""
    await database.write(KEEP, *_stored(notice), reason, now, LANE, JOB, again_at, again=True)


async def waiting(database: Database, refs: list[str]) -> dict[str, Notice]:
    """Return the notices named `provider:id` that are not settled, by that name."""
    rows = await database.rows(
        "SELECT provider, id, type, payload, said FROM notices"
        " WHERE (provider, id) IN (SELECT split_part(ref, ':', 1), substr(ref, strpos(ref, ':') + 1) FROM unnest($1::text[]) ref)"
        " AND outcome IS NULL",
        refs,
    )
    return {f"{row['provider']}:{row['id']}": _notice(row) for row in rows}


async def known(database: Database, provider: str, ids: list[str]) -> set[str]:
    """Return those of a provider's notices that came."""
    rows = await database.rows("SELECT id FROM notices WHERE provider = $1 AND id = ANY($2)", provider, ids)
    return {row["id"] for row in rows}


async def unsettled(database: Database, since: datetime) -> list[Unsettled]:
    """Return the notices since an instant that wait or were refused, the newest first; a thousand at most."""
    rows = await database.rows(
        "SELECT id, coalesce(said ->> 'type', type) AS type, outcome, reason, tries, received_at FROM notices"
        " WHERE received_at >= $1 AND outcome IS DISTINCT FROM 'handled' ORDER BY received_at DESC, id LIMIT 1000",
        since,
    )
    return [Unsettled(**row) for row in rows]


def _stored(notice: Notice) -> tuple[str, str, str, str, bytes]:
    return notice.provider, notice.id, notice.type, notice.payload, msgspec.json.encode(notice.said)


def _notice(row: Record) -> Notice:
    said = msgspec.json.decode(row["said"], type=SAYS[row["type"]])
    return Notice(row["provider"], row["id"], row["type"], row["payload"], said)
