"""What surrounds every request: its ids, HEAD, and one wide log line."""

import asyncio
import contextlib
import re
import time
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

from purvey.server.kit import metrics
from purvey.server.kit.ids import Ids

MOST_DROPPED = 16 * 1024 * 1024
"""Bytes of a body that nobody will read that are read and dropped before the answer is sent."""
DROP_FOR = 5.0
"""Seconds that this may take."""

log = structlog.get_logger()

_SANE = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,126}[\x21-\x7e]|[\x21-\x7e]")
UNKEPT = (b"cache-control", b"no-store")
"""What an answer says that does not say otherwise: most hold what is one caller's own."""
_NOTES = "purvey.notes"
_HEAD = "purvey.head"
_OPTIONS = "purvey.options"
_ASKER = "purvey.asker"
_ADDED = "purvey.added"


def note(scope: Scope, **facts: Any) -> None:
    """Add facts to the request's log line, such as the account's id; never a secret, an address or a path."""
    _notes(scope).update(facts)


def identify(scope: Scope, account_id: str, key_id: str) -> None:
    """Say in whose name and with which API key a request is made; its log line tells."""
    cast("dict[str, Any]", scope)[_ASKER] = (account_id, key_id)
    note(scope, account_id=account_id, key_id=key_id)


def asker(scope: Scope) -> tuple[str, str]:
    """Return the ids of the account and of the API key that `identify` was told."""
    found: tuple[str, str] = cast("dict[str, Any]", scope)[_ASKER]
    return found


def add_header(scope: Scope, name: bytes, value: bytes) -> None:
    """Have the answer carry a header, be it an error or not; `name` is in lower case."""
    added: list[tuple[bytes, bytes]] = cast("dict[str, Any]", scope)[_ADDED]
    added.append((name, value))


def request_id(scope: Scope) -> str:
    """Return the request's id, as the answer's X-Request-Id has it."""
    return str(_notes(scope).get("request_id", ""))


def is_options(scope: Scope) -> bool:
    """Return whether a request asks only which methods there are."""
    return _OPTIONS in scope


def is_head(scope: Scope) -> bool:
    """Return whether the request is a HEAD that is answered by the route's GET, its body left out."""
    return _HEAD in scope


class Record:
    """Wraps the whole application, errors before routing included.

    Every answer gets `X-Request-Id` and `X-Correlation-Id` (the caller's own if it is 1 to 128 printable ASCII characters,
    else the request id). The log line names the route's template, never the path: paths of access and checkout links are
    secrets. HEAD works wherever GET does.
    """

    def __init__(self, app: ASGIApp, ids: Ids) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        ours = self._ids.new("req_")
        theirs = _correlation_id(scope) or ours.encode()
        added = [(b"x-request-id", ours.encode()), (b"x-correlation-id", theirs)]
        notes = {"request_id": ours, "correlation_id": theirs.decode()}
        keys = cast("dict[str, Any]", scope)
        keys[_NOTES] = notes
        keys[_ADDED] = added
        method = str(scope["method"])
        if head := method == "HEAD":
            keys["method"] = "GET"
            keys[_HEAD] = True
        elif method == "OPTIONS":
            # No route has this method, so that the router says which ones it has; `failures` makes the answer of that.
            keys["method"] = keys[_OPTIONS] = "WHICH"
        status: int | None = None
        all_read = _is_held_back(scope)

        async def receive_and_see() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal all_read
            message = await receive()
            all_read = not message.get("more_body", False)
            return message

        async def send_with_ids(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400 and not all_read:
                    await _read_on(receive_and_see)
                kept = any(name == b"cache-control" for name, _ in message["headers"])
                message["headers"] = [*message["headers"], *added, *(() if kept else (UNKEPT,))]
            elif head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive_and_see, send_with_ids)
        finally:
            seconds = time.perf_counter() - started
            route = scope.get("path_template")
            metrics.count_request(route, method, status, seconds)
            log.info(
                "request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 2), **notes
            )


def _is_held_back(scope: Scope) -> bool:
    """Return whether the client waits for the word to send the body: it need not send it to hear that it is not wanted."""
    return (b"expect", b"100-continue") in scope["headers"]


async def _read_on(receive: Receive) -> None:
    """Read and drop what the client is still sending, within limits: it reads the answer only when it has sent its request."""
    left = MOST_DROPPED
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DROP_FOR):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message["more_body"]:
                    return
                left -= len(message["body"])


def _notes(scope: Scope) -> dict[str, Any]:
    notes: dict[str, Any] = cast("dict[str, Any]", scope).get(_NOTES, {})
    return notes


def _correlation_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-correlation-id":
            return value if _SANE.fullmatch(value) else None
    return None
