"""What the queue does for webhooks: one attempt of one delivery, in three steps."""

import random
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from purvey.server.jobs.model import Done, Job, Recorded
from purvey.server.jobs.model import RetryAt as Again
from purvey.server.jobs.recording import insist
from purvey.server.kit import metrics
from purvey.server.kit.batching import Batcher
from purvey.server.kit.safe_http import Answer, Failure, SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import rules, store
from purvey.server.webhooks.model import (
    Decided,
    Delivered,
    DeliveryStatus,
    Disable,
    Due,
    GiveUp,
    Record,
    RetryAt,
    Sent,
)
from purvey.server.webhooks.signed import prepared, send

log = structlog.get_logger()

MOMENT = 0.01
"""Seconds between two writes of what came of attempts: what was sent is told already, and one write for 64 of them costs the
database much less for each than one for 16."""


class Deliver:
    """Sends an event to an endpoint. URL and secret are those of the moment of sending.

    `chance` gives jitter, in 0..1; `deadline` is how many seconds an attempt may take.
    """

    name = store.JOB

    def __init__(
        self,
        tools: Tools,
        http: SafeHttp,
        chance: Callable[[], float] = random.random,
        deadline: float = rules.DEADLINE,
    ) -> None:
        self._tools = tools
        self._http = http
        self._chance = chance
        self._deadline = deadline
        self._records: Batcher[Record, bool] = Batcher(
            self._write, key=lambda record: record.job_id, largest=256, moment=MOMENT
        )

    async def load(self, jobs: Sequence[Job]) -> Sequence[Due | None]:
        """Return what the jobs are to deliver."""
        return await store.due(self._tools.database, jobs)

    async def run(self, job: Job, due: Due) -> Recorded:
        """Make the attempt and record it; a delivery whose endpoint is not enabled is parked instead."""
        if due.endpoint_status != "enabled":
            await self._record(_parked(job, due))
            return Recorded()
        ready = prepared(self._tools, due)
        decided = await self._decide(job, Sent(ready, await send(self._http, ready, self._deadline)))
        held = await self._record(self._record_of(job, decided))
        _tell(job, decided, held=held)
        return Recorded()

    async def _decide(self, job: Job, sent: Sent) -> Decided:
        now = self._tools.clock.now()
        due = sent.prepared.due
        first_at = due.first_attempt_at or sent.prepared.at
        verdict = rules.decide(job.attempt, sent.outcome, first_at=first_at, now=now, chance=self._chance())
        # The endpoint first and the delivery after: dying in between leaves a delivery that parks itself.
        if isinstance(verdict, Disable) and not await self._disable(due):
            verdict = RetryAt(now)
        return Decided(sent, verdict)

    async def _disable(self, due: Due) -> bool:
        """Disable the endpoint, and return False when it has another URL by now, which deserves an attempt of its own."""
        now = self._tools.clock.now()
        return await insist(self._tools.clock, lambda: store.disable_gone(self._tools.database, due, now))

    def _record_of(self, job: Job, decided: Decided) -> Record:
        outcome, sent = decided.sent.outcome, decided.sent.prepared
        record = Record(
            account_id=sent.due.account_id,
            delivery_id=sent.due.delivery_id,
            endpoint_id=sent.due.endpoint_id,
            job_id=job.id,
            lease_token=job.lease_token,
            attempt=job.attempt,
            status=_status_after(decided),
            next_at=decided.verdict.at if isinstance(decided.verdict, RetryAt) else None,
            target="answered" if isinstance(decided.verdict, Delivered) else "failed",
            attempt_id=self._tools.ids.new("att_"),
            started_at=sent.at,
            duration_ms=outcome.duration_ms,
            address=outcome.address,
        )
        match outcome:
            case Answer():
                return replace(record, status_code=outcome.status, answer=rules.excerpt(outcome.body))
            case Failure():
                return replace(record, stage=outcome.stage, error=outcome.reason)

    async def _record(self, record: Record) -> bool:
        """Record and return whether the lease still held; if not, nothing was written."""
        return await insist(self._tools.clock, lambda: self._records.submit(record))

    async def _write(self, records: Sequence[Record]) -> Sequence[bool]:
        held = await store.record(self._tools.database, records, self._tools.clock.now())
        return [record.job_id in held for record in records]


class Follow:
    """Lets what waits for an endpoint follow its change, a batch at a time, where that was too much to be done at once."""

    name = "webhooks.follow"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def load(self, jobs: Sequence[Job]) -> Sequence[str]:
        """Return what to do: an endpoint's id and, when it has another URL, the lane of the one before."""
        return [job.ref for job in jobs]

    async def run(self, job: Job, what: str) -> Done | Again:
        """Let one more batch follow."""
        endpoint_id, _, lane = what.partition(" ")
        now = self._tools.clock.now()
        more = await store.follow(
            self._tools.database, job.account_id or "", endpoint_id, lane or None, rules.FOLLOWING, now
        )
        return Again(now) if more else Done()


class GoOnWithReplay:
    """Tells an endpoint again what a replay has not told yet, a batch at a time, so that fresh events are never far behind."""

    name = "webhooks.replay"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def load(self, jobs: Sequence[Job]) -> Sequence[str]:
        """Return the replays' ids: all that is needed is decided where it is written."""
        return [job.ref for job in jobs]

    async def run(self, job: Job, replay_id: str) -> Done | Again:
        """Tell one more batch."""
        now = self._tools.clock.now()
        status = await store.go_on_with_replay(
            self._tools.database, job.account_id or "", replay_id, rules.REPLAY_BATCH, rules.REPLAY_BUSY, now
        )
        match status:
            case "running":
                return Again(now)
            case "busy":
                return Again(now + rules.REPLAY_AGAIN)
            case _:
                return Done()


def _parked(job: Job, due: Due) -> Record:
    return Record(
        account_id=due.account_id,
        delivery_id=due.delivery_id,
        endpoint_id=due.endpoint_id,
        job_id=job.id,
        lease_token=job.lease_token,
        attempt=job.attempt,
        status=DeliveryStatus.PARKED,
    )


def _status_after(decided: Decided) -> DeliveryStatus:
    match decided.verdict:
        case Delivered():
            return DeliveryStatus.DELIVERED
        case RetryAt():
            return DeliveryStatus.WAITING
        case GiveUp():
            return DeliveryStatus.GIVEN_UP
        case Disable():
            return DeliveryStatus.PARKED


def _tell(job: Job, decided: Decided, *, held: bool) -> None:
    """Count the attempt, and log it in one line."""
    due, outcome = decided.sent.prepared.due, decided.sent.outcome
    status = _status_after(decided).value
    metrics.ATTEMPTS.labels("webhook", status if held else "lease_lost").inc()
    log.info(
        "webhook.attempt",
        account=due.account_id,
        endpoint=due.endpoint_id,
        event_id=due.event_id,
        type=due.event_type,
        delivery=due.delivery_id,
        attempt=job.attempt,
        answer=outcome.status if isinstance(outcome, Answer) else None,
        stage=None if isinstance(outcome, Answer) else outcome.stage,
        status=status,
        recorded=held,
        duration_ms=outcome.duration_ms,
    )
