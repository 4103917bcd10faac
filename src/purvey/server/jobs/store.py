"""All SQL of the queue."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from purvey.server.jobs.model import Job, Result
from purvey.server.kit.database import Database

CHANNEL = "purvey_jobs"
"""The channel of PostgreSQL's NOTIFY on which processes wake each other."""

_COLUMNS = ", ".join(Job.__struct_fields__)


async def claim(
    database: Database,
    wants: Mapping[str, int],
    rates: Mapping[str, float],
    without: Sequence[str] = (),
    *,
    per_lane: int,
    token: UUID,
    now: datetime,
    until: datetime,
) -> list[Job]:
    """Lease due jobs until `until`: at most `wants[kind]` of each lane kind, at most `per_lane` of one lane.

    `rates` holds, for lane kinds that have one, the jobs a second of a lane without a rate of its own. Nothing is taken of the
    lanes `without`.
    """
    rows = await database.write(
        f"SELECT {_COLUMNS} FROM jobs_claim($1::text[], $2::int[], $3::real[], $4, $5, $6, $7, $8)",
        list(wants),
        list(wants.values()),
        [rates.get(kind) for kind in wants],
        per_lane,
        token,
        now,
        until,
        list(without),
    )
    return [Job(*row) for row in rows]


async def leased(database: Database, token: UUID, until: datetime) -> list[Job]:
    """Return the jobs that were queued with a lease, which ends at `until`."""
    rows = await database.rows(
        f"SELECT {_COLUMNS} FROM jobs WHERE leased_until = $1 AND lease_token = $2", until, token
    )
    return [Job(*row) for row in rows]


async def finish(database: Database, results: Sequence[Result], now: datetime) -> set[str]:
    """Record results and return the ids of the jobs that still held their lease; the others record nothing."""
    rows = await database.write(
        "SELECT jobs_finish($1::job_result[], $2) AS id",
        [msgspec.structs.astuple(result) for result in results],
        now,
        again=True,
    )
    return {row["id"] for row in rows}


async def renew(database: Database, jobs: Sequence[Job], until: datetime) -> None:
    """Lengthen the leases of `jobs` that are still held."""
    await database.write(
        "SELECT jobs_renew($1::text[], $2::uuid[], $3)",
        [job.id for job in jobs],
        [job.lease_token for job in jobs],
        until,
        again=True,
    )


async def rescue(database: Database, now: datetime) -> int:
    """Take back the leases that have run out, up to 500, and return how many there were."""
    rows = await database.write("SELECT jobs_rescue($1) AS n", now, again=True)
    return int(rows[0]["n"])


async def next_due(database: Database, lane_kinds: Sequence[str], without: Sequence[str] = ()) -> datetime | None:
    """Return when a claim for these lane kinds can next find something; None: not before something changes."""
    found: datetime | None = await database.value(
        "SELECT jobs_next_due($1::text[], $2::text[])", list(lane_kinds), list(without)
    )
    return found


async def notify(database: Database, origin: str) -> None:
    """Wake the other processes; `origin` names this one, which ignores its own call."""
    await database.write("SELECT pg_notify($1, $2)", CHANNEL, origin, again=True)
