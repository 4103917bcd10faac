"""A test of an endpoint: a sample event is sent while its seller waits, and what went out and came back is shown.

It is no event of the log and no delivery, so it takes nothing from the limits of the real ones and does not count for the breaker.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from purvey.server.errors import RateLimited, unknown
from purvey.server.kit.rate_limits import RateLimits
from purvey.server.kit.safe_http import Answer, Failure, SafeHttp, as_sent
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import rules, store
from purvey.server.webhooks.model import Due, Endpoint, Prepared
from purvey.server.webhooks.signed import prepared, send
from purvey.server.webhooks.wire import TestAnswer, TestError, TestReport, TestRequest

SampleData = Callable[[str, str, str | None, datetime], str]
"""Makes the `data` of a sample event from its type, account, listing (if any) and instant."""

DEFAULT_TYPE = "order.paid"


class Trials:
    """Sends test events; `limits` says how many a minute an endpoint is sent."""

    def __init__(self, http: SafeHttp, limits: RateLimits, sample: SampleData) -> None:
        self._http = http
        self._limits = limits
        self._sample = sample

    async def prepare(self, tools: Tools, account_id: str, endpoint_id: str, event_type: str | None) -> Prepared:
        """Return a sample event, ready to be sent to the endpoint; raise NotFound, and RateLimited when it was tested too often."""
        endpoint = await store.endpoint(tools.database, account_id, endpoint_id)
        if endpoint is None:
            raise unknown("webhook endpoint", endpoint_id)
        allowance = await self._limits.take(endpoint_id, "webhook_test")
        if allowance is not None and not allowance.allowed:
            message = f"An endpoint is tested {allowance.limit} times a minute at most; come again in {allowance.retry_after} s."
            raise RateLimited(message, retry_after=allowance.retry_after)
        return prepared(tools, self._due(tools, endpoint, event_type or next(iter(endpoint.events), DEFAULT_TYPE)))

    async def send(self, ready: Prepared) -> TestReport:
        """Send it, within the deadline of a real attempt, and report."""
        return report(ready, await send(self._http, ready))

    def _due(self, tools: Tools, endpoint: Endpoint, event_type: str) -> Due:
        now = tools.clock.now()
        event_id = tools.ids.ulid("evt_", now)
        data = self._sample(event_type, endpoint.account_id, endpoint.listing_id, now)
        facts = msgspec.json.decode(data)
        event = {
            "object": "event",
            "id": event_id,
            "type": event_type,
            "sequence": 0,
            "account_id": endpoint.account_id,
            "listing_id": facts["listing_id"],
            "order_id": facts["id"],
            "created_at": now,
            "data": msgspec.Raw(data.encode()),
            "test": True,
        }
        return Due(
            account_id=endpoint.account_id,
            delivery_id="",
            first_attempt_at=None,
            attempts=0,
            endpoint_id=endpoint.id,
            endpoint_status=endpoint.status,
            url=endpoint.url,
            signature_format=endpoint.signature_format,
            secret=endpoint.secret,
            previous_secret=endpoint.previous_secret,
            previous_until=endpoint.previous_until,
            event_id=event_id,
            event_type=event_type,
            body=msgspec.json.encode(event).decode(),
        )


def report(ready: Prepared, outcome: Answer | Failure | None) -> TestReport:
    """Return what is shown of a test; without an outcome, what is known while it is under way."""
    headers = as_sent(ready.due.url, ready.headers, ready.body)
    sent = TestRequest(url=ready.due.url, headers=headers, body=ready.due.body)
    match outcome:
        case Answer():
            status = "delivered" if 200 <= outcome.status < 300 else "failed"
            answer = TestAnswer(
                status=outcome.status, headers=_shown(outcome.headers), body=rules.excerpt(outcome.body)
            )
            return TestReport(
                endpoint_id=ready.due.endpoint_id,
                status=status,  # type: ignore[arg-type]  # one of the two above
                duration_ms=outcome.duration_ms,
                timings=msgspec.to_builtins(outcome.timings),
                address=outcome.address,
                request=sent,
                answer=answer,
            )
        case Failure():
            error = TestError(stage=outcome.stage, reason=outcome.reason)
            return TestReport(
                endpoint_id=ready.due.endpoint_id,
                status="failed",
                duration_ms=outcome.duration_ms,
                address=outcome.address,
                request=sent,
                error=error,
            )
        case None:
            return TestReport(endpoint_id=ready.due.endpoint_id, status="unknown", duration_ms=0, request=sent)


def _shown(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (name, value.replace("\0", "\N{REPLACEMENT CHARACTER}")[: rules.ANSWER_CHARACTERS]) for name, value in headers
    ]
