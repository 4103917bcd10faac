"""What goes over the wire, and when it goes again."""

import base64
import binascii
import hmac
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from purvey.server.kit.crypto import hmac_sha256_hex
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
REPLAY_BATCH = 500
"""How many events of a replay are told at once."""
REPLAY_BUSY = 100
"""How many deliveries may wait, due, for a URL for a replay to go on: fresh events wait behind no more than these and a batch."""
REPLAY_AGAIN = timedelta(seconds=5)
"""How long a replay waits that finds more than that."""

STANDARD_PREFIX = "whsec_"  # marks a secret, is none
"""What follows it in a secret is the key in base64, as Standard Webhooks has it."""
_SECONDS = re.compile(r"[0-9]{1,9}")


def request_headers(
    *,
    event_id: str,
    event_type: str,
    body: bytes,
    secrets: Secrets,
    signature_format: SignatureFormat,
    at: datetime,
    version: str,
) -> dict[str, str]:
    """Return the headers of one attempt, which begins at `at`.

    X-ListBee-Signature is made with one secret, the older one during an overlap (DF-8); webhook-signature lists all of them
    (Standard Webhooks 1.0).
    """
    timestamp = int(at.timestamp())
    keys = [secrets.current] if secrets.previous is None else [secrets.current, secrets.previous]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Purvey/{version}",
        "X-ListBee-Event": event_type,
        "X-ListBee-Signature": _own_signature(keys[-1], timestamp, body, signature_format),
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_standard_signature(key, event_id, timestamp, body) for key in keys),
    }


def _own_signature(secret: str, timestamp: int, body: bytes, signature_format: SignatureFormat) -> str:
    key = secret.encode()
    match signature_format:
        case "body":
            return hmac_sha256_hex(key, body)
        case "timestamped":
            return f"t={timestamp},v1={hmac_sha256_hex(key, b'%d.%b' % (timestamp, body))}"


def _standard_signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    message = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(standard_key(secret), message, "sha256")).decode()


def standard_key(secret: str) -> bytes:
    """Return the key for Standard Webhooks: what follows `whsec_`, decoded from base64; else the secret itself, as UTF-8."""
    encoded = secret.removeprefix(STANDARD_PREFIX)
    if encoded != secret:
        try:
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True) or secret.encode()
        except binascii.Error:
            pass
    return secret.encode()


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
