"""A job that comes back for ever: there is one of it, in a lane of its own. Its kind answers each run with `RetryAt`."""

from datetime import datetime

from purvey.server.kit.database import Database

ENSURE = """
SELECT lane_ensure($1, $1, NULL, $3, 1, $4),
       jobs_push(ARRAY[($2, $1, $2, NULL, $2, $4)::job_new], $4)
"""


async def ensure(database: Database, lane: str, kind: str, target: str, now: datetime) -> None:
    """Queue the job of this kind, unless it is there. `target` says in words what the lane leads to."""
    await database.write(ENSURE, lane, kind, target, now, again=True)
