"""What follows from an attempt. Pure."""

from http import HTTPStatus
from typing import Literal

from purvey.server.fulfillment.kinds.dynamic import answers
from purvey.server.fulfillment.kinds.dynamic.model import Destination, Failed, RetryAfter, Sent, Verdict
from purvey.server.kit.safe_http.outcome import Answer, Failure

DEADLINE = 15.0
"""Seconds that one attempt may take, from the lookup of the name to the end of the answer (DW-25)."""
DELAYS = (1.0, 3.0)
"""Seconds from the end of an attempt to the next: three attempts in all (DW-25). No jitter: a buyer waits."""
RETRIED = frozenset({429, 500, 502, 503, 504})
"""Statuses that may pass (DW-26); any other that is no success is meant as it is said."""
NOT_RETRIED = frozenset({"url", "address"})
"""Stages of a failure that say where the call would have led, and not that the network failed."""
EXCERPT = 2048
"""Characters that are kept of an answer that brought nothing."""

NOWHERE = Failed(
    "The listing has no dynamic_webhook, so that there was nowhere to call. Set one, then ask for the call again."
)


def decide(attempt: int, sent: Sent) -> Verdict:
    """Return what follows from attempt number `attempt` (from 1) of a round."""
    match sent.outcome:
        case None:
            return NOWHERE
        case Answer(status=status, body=body, truncated=truncated) if 200 <= status < 300:
            return answers.read(body, truncated=truncated)
        case Answer(status=status):
            return _again(attempt, f"Your server answered {_in_words(status)}.", passes=status in RETRIED)
        case Failure(stage=stage, reason=reason):
            return _again(attempt, f"Your server could not be called. {reason}", passes=stage not in NOT_RETRIED)


def signs(to: Destination, *, overlaps: bool) -> bytes | None:
    """Return the secret that signs, sealed: while a rotation's overlap lasts, the one before."""
    return to.secret_before if overlaps and to.secret_before is not None else to.secret


def excerpt(sent: Sent) -> str | None:
    """Return the beginning of an answer that brought nothing, as text that can be stored and shown."""
    if not isinstance(sent.outcome, Answer):
        return None
    text = sent.outcome.body[: EXCERPT * 4].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text[:EXCERPT]


def after(verdict: Verdict) -> Literal["waiting", "answered", "failed"]:
    """Return the status of the callback after an attempt."""
    match verdict:
        case RetryAfter():
            return "waiting"
        case Failed():
            return "failed"
        case _:
            return "answered"


def _again(attempt: int, reason: str, *, passes: bool) -> RetryAfter | Failed:
    if passes and attempt <= len(DELAYS):
        return RetryAfter(DELAYS[attempt - 1], reason)
    return Failed(reason)


def _in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
