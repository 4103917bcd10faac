"""What a claim costs: the pages that PostgreSQL looks at for it, and how it goes about it."""

import json
import re

from fakes import START
from purvey.server.kit.database import Connection, Database
from queueing import make_lane

LANES, CLAIMED = 4, 8
CALL = "jobs_claim('{{test}}', '{{{0}}}', '{{NULL}}', 32, gen_random_uuid(), '{1}', '{1}'::timestamptz + interval '45 seconds')"


async def fill(database: Database, waiting: int) -> None:
    """Have so many jobs wait, all of them due, in four lanes."""
    for lane in range(LANES):
        await make_lane(database, f"test:{lane}")
    for start in range(0, waiting, 50_000):
        await database.write(
            """
            SELECT jobs_push(array_agg((
                'job_' || n, 'test:' || n % $4::int, 'test.note', NULL, n, $3::timestamptz - n * interval '1 ms'
            )::job_new), $3) FROM generate_series($1::int, $2::int) n
            """,
            start,
            min(start + 50_000, waiting) - 1,
            START,
            LANES,
        )
    # What was pushed has left a wake for each batch, which the first claim would absorb.
    await database.write("SELECT lanes_absorb_wakes()")
    await database.write("VACUUM ANALYZE jobs")
    await database.write("VACUUM ANALYZE lanes")


async def pages(database: Database) -> int:
    """Return how many pages a claim of eight jobs looks at, once PostgreSQL has settled for a plan; nothing is claimed."""
    call = CALL.format(CLAIMED, START.isoformat())
    async with database.pool.acquire() as connection:
        for _ in range(7):
            found = await _explained(connection, call)
    assert found["Actual Rows"] == CLAIMED
    return int(found["Shared Hit Blocks"]) + int(found["Shared Read Blocks"])


async def _explained(connection: Connection, call: str) -> dict[str, int]:
    transaction = connection.transaction()
    await transaction.start()
    said = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM {call}")
    await transaction.rollback()
    plan: dict[str, int] = json.loads(bytes(said))[0]["Plan"]
    return plan


async def plan(database: Database) -> str:
    """Return how PostgreSQL finds what a claim leases: the plan of the statement in `jobs_claim`, as the function has it run."""
    source: str = await database.value("SELECT prosrc FROM pg_proc WHERE proname = 'jobs_claim'")
    found = re.search(r"(WITH due AS .*?)\n\s*INTO [^;]*?(FROM due);", source, re.DOTALL)
    assert found is not None
    given = {
        "p_kinds": "'{test}'::text[]",
        "p_wants": "'{8}'::int[]",
        "p_rates": "'{NULL}'::real[]",
        "p_per_lane": "32",
        "p_token": "gen_random_uuid()",
        "p_until": f"'{START.isoformat()}'::timestamptz",
        "p_now": f"'{START.isoformat()}'::timestamptz",
        "p_without": "'{}'::text[]",
    }
    statement = re.sub(r"\bp_\w+\b", lambda name: given[name[0]], f"{found[1]} {found[2]}")
    async with database.transaction() as connection:
        for setting in ("enable_seqscan = off", "enable_bitmapscan = off"):
            await connection.execute(f"SET LOCAL {setting}")
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) {statement}")
    return "\n".join(row[0] for row in rows)
