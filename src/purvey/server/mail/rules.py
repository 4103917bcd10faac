"""When a message is tried again, and when it is given up. Pure."""

import unicodedata
from datetime import datetime, timedelta
from typing import Literal

from purvey.server.mail.model import Accepted, Answer, Away, Never, Result

RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
)
"""How long to wait after each failed attempt: eight attempts over some 45 hours, then the message is given up."""

LONGEST_ERROR = 500
"""Characters that are kept of an error."""

_LINE_BREAKERS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, lone surrogates, line and paragraph separators."""


def decide(attempt: int, answer: Answer, now: datetime) -> Result:
    """Return what comes of attempt number `attempt` (1 is the first), which the transport answered with `answer` at `now`."""
    if isinstance(answer, Accepted):
        return Result(status="sent", attempts=attempt, server="answered", sent_at=now)
    error = one_line(answer.error, LONGEST_ERROR)
    server: Literal["answered", "failed"] = "failed" if isinstance(answer, Away) else "answered"
    if isinstance(answer, Never) or attempt > len(RETRY_AFTER):
        return Result(status="given_up", attempts=attempt, server=server, error=error)
    next_at = now + RETRY_AFTER[attempt - 1]
    return Result(status="waiting", attempts=attempt, server=server, error=error, next_at=next_at)


def one_line(text: str, longest: int) -> str:
    """Return `text` on one line, cut after `longest` characters: what may stand in a header (RFC 5322, section 2.2)."""
    plain = "".join(" " if unicodedata.category(character) in _LINE_BREAKERS else character for character in text)
    joined = " ".join(plain.split())
    return joined if len(joined) <= longest else joined[: longest - 1].rstrip() + "…"
