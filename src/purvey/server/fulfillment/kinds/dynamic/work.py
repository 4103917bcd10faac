"""What the queue does for callbacks: one attempt, in three steps."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import structlog

from purvey import __version__
from purvey.server.errors import Conflict
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.kinds.dynamic import answers, outcomes, rules, store
from purvey.server.fulfillment.kinds.dynamic.model import (
    CallbackStatus,
    Due,
    Failed,
    Items,
    Result,
    RetryAfter,
    Sent,
    Verdict,
)
from purvey.server.fulfillment.kinds.dynamic.signing import request_headers
from purvey.server.fulfillment.model import Change, Decide
from purvey.server.jobs.model import Done, Job, Outcome, Recorded
from purvey.server.jobs.model import Result as Ended
from purvey.server.jobs.recording import insist
from purvey.server.kit import metrics
from purvey.server.kit.batching import Batcher
from purvey.server.kit.safe_http import Answer, Failure, SafeHttp
from purvey.server.kit.tools import Tools

log = structlog.get_logger()


class Call:
    """Calls the seller's server for an order. URL and secret are those of the moment of calling, the body is the order's own.

    A process that dies between the call and the record has it made again, with the same key: at least once called, once stored.
    """

    name = store.JOB

    def __init__(self, tools: Tools, http: SafeHttp, fulfillment: Fulfillment) -> None:
        self._tools = tools
        self._http = http
        self._fulfillment = fulfillment
        self._records: Batcher[tuple[Result, Ended], bool] = Batcher(
            self._write, key=lambda record: record[0].job_id, largest=128
        )

    async def load(self, jobs: Sequence[Job]) -> Sequence[Due | None]:
        """Return what the jobs are to call for."""
        return await store.due(self._tools.database, jobs)

    async def run(self, job: Job, due: Due) -> Outcome:
        """Make an attempt and record it; a call without a purpose any more is withdrawn instead."""
        if not outcomes.waits(due):
            await self._record(job, _result(job, due, "withdrawn"), None)
            return Recorded()
        sent = await self._send(due)
        verdict = rules.decide(job.attempt, sent)
        result = _described(_result(job, due, rules.after(verdict)), sent, verdict)
        held = await self._settle(job, due, verdict, result)
        _tell(job, due, result, held=held)
        return Done() if held and not isinstance(verdict, RetryAfter) else Recorded()

    async def _send(self, due: Due) -> Sent:
        at = self._tools.clock.now()
        if due.to.url is None:
            return Sent(at, None)
        until = due.to.secret_before_until
        sealed = rules.signs(due.to, overlaps=until is not None and at < until)
        secret = self._tools.keyring.open(sealed) if sealed is not None else None
        body = due.body.encode()
        outcome = await self._http.send(
            "POST",
            due.to.url,
            headers=request_headers(key=due.key, body=body, secret=secret, at=at, version=__version__),
            body=body,
            deadline=rules.DEADLINE,
            max_response=answers.LARGEST,
        )
        return Sent(at, outcome)

    async def _settle(self, job: Job, due: Due, verdict: Verdict, result: Result) -> bool:
        """Record what came of an attempt, and return whether it was ours to record."""
        match verdict:
            case Items():
                return await self._change(job, due, result, partial(outcomes.answered, verdict, result))
            case Failed():
                return await self._change(job, due, result, partial(outcomes.failed, due, verdict, result))
            case RetryAfter(seconds=seconds):
                return await self._record(job, result, seconds)

    async def _change(self, job: Job, due: Due, result: Result, decide: Decide) -> bool:
        """Change the order, with the record; where there is nothing to change, the record alone is written."""
        command = Change(account_id=due.account_id, order_id=due.order_id, decide=decide)
        try:
            changed = await insist(self._tools.clock, lambda: self._fulfillment.change(command))
        except Conflict:
            # The lease was lost: somebody else calls, and records.
            return False
        return changed.written or await self._record(job, result, None)

    async def _record(self, job: Job, result: Result, seconds: float | None) -> bool:
        """Record an attempt that changes no order; the next one follows in `seconds`, None: there is none."""
        at = None if seconds is None else self._tools.clock.now() + timedelta(seconds=seconds)
        ended = Ended(job.id, job.lease_token, at, job.attempt + 1)
        return await insist(self._tools.clock, lambda: self._records.submit((result, ended)))

    async def _write(self, records: Sequence[tuple[Result, Ended]]) -> Sequence[bool]:
        held = await store.record(self._tools.database, records, self._tools.clock.now())
        return [result.job_id in held for result, _ in records]


def _result(job: Job, due: Due, status: CallbackStatus) -> Result:
    return Result(
        account_id=due.account_id, order_id=due.order_id, job_id=job.id, lease_token=job.lease_token, status=status
    )


def _described(result: Result, sent: Sent, verdict: Verdict) -> Result:
    """Return the result with what there is to know of its attempt; where nothing was called, there was none."""
    error = None if isinstance(verdict, Items) else verdict.reason
    told: dict[str, Any] = {}
    match sent.outcome:
        case Answer(status=status):
            told = {"status_code": status, "answer": rules.excerpt(sent) if error else None}
        case Failure(stage=stage):
            told = {"stage": stage}
    if sent.outcome is not None:
        told |= {"started_at": sent.at, "duration_ms": sent.outcome.duration_ms, "address": sent.outcome.address}
    return msgspec.structs.replace(result, error=error, **told)


def _tell(job: Job, due: Due, result: Result, *, held: bool) -> None:
    """Count the attempt, and log it in one line."""
    metrics.ATTEMPTS.labels("callback", result.status if held else "lease_lost").inc()
    log.info(
        "callback.attempt",
        account=due.account_id,
        listing=due.listing_id,
        order=due.order_id,
        round=due.round,
        attempt=job.attempt,
        answer=result.status_code,
        stage=result.stage,
        status=result.status,
        error=result.error,
        recorded=held,
        duration_ms=result.duration_ms,
    )
