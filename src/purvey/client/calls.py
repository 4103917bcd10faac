"""What is sent and what comes of it, without sending anything: one implementation for programs that wait and for those that await.

A `Call` is one operation. `steps` is what is to be done for it, step by step: send this, pause so long; whoever drives it hands in
what came back.
"""

import json
import random
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO, Any, Generic, TypeVar
from urllib.parse import quote

from purvey.client.errors import NoAnswer, UnreadableAnswer, error_of, retry_after

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FIRST_PAUSE = 0.5
"""Seconds before the first retry; each further one waits twice as long, times 0.75 to 1.25."""
LONGEST_PAUSE = 15.0
"""Seconds between two tries at most, unless the server asks for more."""
LONGEST_OBEYED = 65.0
"""Seconds that the server may ask to wait; if it asks for more, the caller is told instead."""
PASSING = frozenset({429, 502, 503, 504})
"""Answers after which the same request is sent again."""
KEYED = frozenset({"POST", "PUT", "PATCH"})
"""Methods that are sent with an Idempotency-Key, the same one in each try."""
LONGEST_KEY = 255
"""Characters that an Idempotency-Key may have."""


@dataclass(frozen=True)
class Upload:
    """A file to send: a path, or an object to read from. One that cannot be rewound is sent once."""

    source: Any
    filename: str
    content_type: str | None = None


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent. `timeout` is what it takes longer than others, in seconds."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    upload: Upload | None = None
    timeout: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What the server answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Lost:
    """No answer came, and why; `passes` says whether trying again may help."""

    reason: str
    passes: bool = True


@dataclass(frozen=True)
class Send:
    """Send this request, and hand in what comes of it."""

    request: Request


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Step = Send | Pause
Outcome = Answer | Lost | None


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One operation: what to ask, and how to read the answer. `path` has the names of `values` in braces."""

    method: str
    path: str
    read: Callable[[Any], T_co]
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    upload: Upload | None = None
    idempotency_key: str | None = None
    timeout: float = 0.0

    def request(self) -> Request:
        """Return the request of every try."""
        headers = {"Accept": "application/json"}
        if self.method in KEYED:
            headers["Idempotency-Key"] = _key(self.idempotency_key)
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            self.method,
            self.path.format(**{name: _segment(name, value) for name, value in self.values.items()}),
            tuple((name, _text(value)) for name, value in self.query.items() if value is not None),
            headers,
            None if self.body is None else json.dumps(self.body, default=_instant, allow_nan=False).encode(),
            self.upload,
            self.timeout,
        )


@dataclass(frozen=True)
class Listed(Generic[T]):
    """One page, and the call that brings the next."""

    data: list[T]
    has_more: bool
    cursor: str | None
    next: "ListCall[T] | None"


@dataclass(frozen=True)
class ListCall(Generic[T]):
    """The operation that reads a page of `kind`."""

    path: str
    kind: Callable[[dict[str, Any]], T]
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 0.0
    method: str = "GET"

    def call(self) -> Call[Listed[T]]:
        """Return the call for this page."""
        return Call("GET", self.path, self._read, self.values, self.query, timeout=self.timeout)

    def _read(self, document: Any) -> Listed[T]:
        more, cursor = bool(document["has_more"]), document["cursor"]
        query = {name: value for name, value in self.query.items() if name not in {"after", "wait"}}
        following = replace(self, query=query | {"cursor": cursor}, timeout=0.0) if more else None
        return Listed([self.kind(one) for one in document["data"]], more, cursor, following)


def steps(call: Call[T], retries: int) -> Generator[Step, Outcome, T]:
    """Carry out a call, with so many further tries as long as what is in the way may pass."""
    request, lost = call.request(), False
    for tried in range(retries + 1):
        outcome = yield Send(request)
        pause = pause_after(outcome, tried)
        if pause is None or tried == retries or not rewound(call.upload):
            if call.method == "DELETE" and lost and isinstance(outcome, Answer) and outcome.status == 404:
                return call.read(None)  # an earlier try had done it
            return read(call, outcome)
        lost = lost or isinstance(outcome, Lost)
        yield Pause(pause)
    raise AssertionError("unreachable")


def pause_after(outcome: Outcome, tried: int) -> float | None:
    """Return the seconds to wait before the request is sent again; None when that would not help."""
    if isinstance(outcome, Lost):
        return backoff(tried) if outcome.passes else None
    if outcome is None or not passes(outcome):
        return None
    asked = retry_after(outcome.headers, {})
    if asked is not None and asked > LONGEST_OBEYED:
        return None
    return backoff(tried) if asked is None else asked + random.uniform(0, 0.25)  # noqa: S311  # jitter, no secret


def passes(answer: Answer) -> bool:
    """Return whether what is in the way may have gone by the next try."""
    if answer.status == 409:
        return _problem(answer).get("code") == "idempotency_request_in_progress"
    return answer.status in PASSING


def backoff(tried: int) -> float:
    """Return the seconds to wait after try number `tried` (from 0)."""
    return min(FIRST_PAUSE * (1 << min(tried, 10)), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311  # jitter


def read(call: Call[T], outcome: Outcome) -> T:
    """Return what the answer says, or raise the error that it stands for."""
    if not isinstance(outcome, Answer):
        raise NoAnswer(outcome.reason if outcome else "There was no answer.")
    if outcome.status >= 400:
        raise error_of(outcome.status, _problem(outcome), outcome.headers)
    try:
        return call.read(json.loads(outcome.body) if outcome.body else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableAnswer(
            f"{call.method} {call.path}: the answer (status {outcome.status}) is none of a Purvey server: {outcome.body[:100]!r}"
        ) from error


def rewound(upload: Upload | None) -> bool:
    """Return whether what was read for one try can be read for another, and make it so."""
    if upload is None or not hasattr(upload.source, "read"):
        return True
    source: IO[bytes] = upload.source
    if not (hasattr(source, "seekable") and source.seekable()):
        return False
    source.seek(0)
    return True


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _key(given: str | None) -> str:
    """Return the key that was given, or a new one. An empty one would be none, which whoever gave it did not mean."""
    if given is None:
        return str(uuid.uuid4())
    if not 1 <= len(given) <= LONGEST_KEY or any(not " " <= character <= "~" for character in given):
        raise ValueError(f"idempotency_key must be 1 to {LONGEST_KEY} characters of ASCII, not {given[:50]!r}")
    return given


def _instant(value: Any) -> str:
    """Return an instant as the server reads it; raise ValueError for one without a zone, TypeError for what is none."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} cannot be sent as JSON")
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; use datetime.now(UTC), for example")
    return value.isoformat()


def _segment(name: str, value: str) -> str:
    if not value or not isinstance(value, str):
        raise ValueError(f"{name} must be an id, not {value!r}")
    return quote(value, safe="")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return _instant(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
