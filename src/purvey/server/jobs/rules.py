"""What the queue decides: how long to wait after a fault of ours, and how a job's outcome is recorded."""

from datetime import datetime, timedelta

from purvey.server.jobs.model import Done, Job, Result, RetryAt

FIRST_DELAY = timedelta(seconds=10)
"""How long a job waits after the first exception; each further one doubles it."""
LONGEST_DELAY = timedelta(hours=1)
"""The most that a job waits after an exception. It is never given up: the fault is ours, and may be mended."""
_MOST_DOUBLINGS = 12


def delay_after_fault(claims: int) -> timedelta:
    """Return how long a job waits that has now been claimed `claims` times (from 1) without a result."""
    doublings = min(max(claims - 1, 0), _MOST_DOUBLINGS)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def after_fault(job: Job, now: datetime) -> Result:
    """Return the result of a run that raised: the same attempt again, later each time."""
    return Result(job.id, job.lease_token, next_at=now + delay_after_fault(job.claims))


def handed_back(job: Job, now: datetime) -> Result:
    """Return the result of a run that was cut short: the same attempt, for whoever is there, at once."""
    return Result(job.id, job.lease_token, next_at=now)


def result_of(job: Job, outcome: Done | RetryAt) -> Result:
    """Return what to record of a run that ended in `outcome`."""
    match outcome:
        case Done():
            return Result(job.id, job.lease_token)
        case RetryAt(at=at):
            return Result(job.id, job.lease_token, next_at=at, attempt=job.attempt + 1)
