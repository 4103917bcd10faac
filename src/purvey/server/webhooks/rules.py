"""What goes over the wire, and when it goes again."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from purvey import signing
from purvey.server.kit.safe_http.outcome import Answer, Failure
from purvey.server.webhooks.model import Delivered, Disable, GiveUp, RetryAt, Secrets, SignatureFormat, Verdict

SCHEDULE = (
    timedelta(0),
    timedelta(seconds=30),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""When each of the seven attempts is due, counted from the first one, before jitter."""
JITTER = 0.2
"""The part by which the times of the schedule vary, to either side, so that a receiver that was down is not met by all at once."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
"""The longest wait that a receiver may ask for; more is taken as this."""
DEADLINE = 30.0
"""Seconds that one attempt may take, from the lookup of the name to the end of the answer."""
ANSWER_CHARACTERS = 2048
"""How much of an answer's body is kept."""
ANSWER_BYTES = ANSWER_CHARACTERS * 4
"""How much of it is read: a character of UTF-8 has at most 4 bytes."""

PER_ORDER, PER_KEY = 10, 100
"""How often within an hour the events of one order may be told again, and how often one API key may ask for that."""
FOLLOWING = 500
"""How many deliveries follow a change of their endpoint at once: parked, resumed, or sent to another URL."""
REPLAY_BATCH = 500
"""How many events of a replay are told at once."""
REPLAY_BUSY = 100
"""How many deliveries may wait, due, for a URL for a replay to go on: fresh events wait behind no more than these and a batch."""
REPLAY_AGAIN = timedelta(seconds=5)
"""How long a replay waits that finds more than that."""

_SECONDS = re.compile(r"[0-9]{1,9}")


def request_headers(
    *,
    event_id: str,
    event_type: str,
    body: bytes,
    secrets: Secrets,
    signature_format: SignatureFormat,
    at: datetime,
) -> dict[str, str]:
    """Return the headers of one attempt, which begins at `at`."""
    keys = [secrets.current] if secrets.previous is None else [secrets.current, secrets.previous]
    return signing.headers(
        event_id=event_id,
        event_type=event_type,
        body=body,
        secrets=keys,
        timestamp=int(at.timestamp()),
        signature_format=signature_format,
    )


def decide(attempt: int, outcome: Answer | Failure, *, first_at: datetime, now: datetime, chance: float) -> Verdict:
    """Return what follows from attempt number `attempt` (from 1) and its outcome.

    `first_at` is when the first attempt began, `now` when this one ended; `chance` in 0..1 places the next attempt within its
    jitter. Only 2xx is success: a redirect is not followed and counts as a failure. 410 asks never to come again.
    """
    if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
        return Delivered()
    if isinstance(outcome, Answer) and outcome.status == 410:
        return Disable()
    if attempt >= len(SCHEDULE):
        return GiveUp()
    return RetryAt(max(_scheduled(attempt, first_at, now, chance), now + _asked_to_wait(outcome, now)))


def _scheduled(attempt: int, first_at: datetime, now: datetime, chance: float) -> datetime:
    """Return when the attempt after number `attempt` is due.

    When this one came late, because its lane was held back or nobody was at work, the next one still keeps half its distance:
    otherwise the attempts that were missed would all be used up at once.
    """
    planned = SCHEDULE[attempt] * (1 + JITTER * (2 * chance - 1))
    distance = SCHEDULE[attempt] - SCHEDULE[attempt - 1]
    return max(first_at + planned, now + distance / 2)


def _asked_to_wait(outcome: Answer | Failure, now: datetime) -> timedelta:
    """Return how long the receiver asks to be left alone (RFC 9110, 10.2.3); zero when it does not, or makes no sense."""
    if isinstance(outcome, Failure) or outcome.status not in {429, 503}:
        return timedelta(0)
    text = (outcome.header("Retry-After") or "").strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=int(text)), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta(0)
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST_RETRY_AFTER)


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer as text that can be stored and shown: undecodable bytes and U+0000 are replaced."""
    return body[:ANSWER_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:ANSWER_CHARACTERS]
