"""The client itself: one attempt, from the URL to an outcome."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter

from aiohttp import ClientError, ClientPayloadError, ServerDisconnectedError, StreamReader
from aiohttp.http import HttpProcessingError, RawResponseMessage

from purvey.server.kit.safe_http.addresses import plain, refusal
from purvey.server.kit.safe_http.connect import Dial, Stopped, Trip, dial, words
from purvey.server.kit.safe_http.outcome import Answer, Failure, Stage, Timings
from purvey.server.kit.safe_http.pool import Pool
from purvey.server.kit.safe_http.resolve import Resolver, SystemResolver
from purvey.server.kit.safe_http.url import Target, UnsafeUrl, parse, private_host

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What frames the message is decided here; a caller who could set it could speak past the framing.
_OURS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "expect", "te", "trailer"}
    | {"upgrade", "keep-alive", "proxy-connection", "proxy-authorization"}
)
# What usually has no body says nothing about one when it has none (RFC 9110, 8.6).
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_MAX_REASON = 400
_WHILE: dict[Stage, str] = {
    "url": "reading the URL",
    "dns": "resolving the name",
    "connect": "connecting",
    "tls": "shaking hands for TLS",
    "send": "sending the request",
    "headers": "waiting for the answer",
    "body": "reading the answer's body",
}


class SafeHttp:
    """An HTTP client for addresses that strangers gave. See the package's docstring for its rules.

    `allow_private` lets the private networks and local names through, for development on one machine; every other
    rule holds. `resolver` defaults to the operating system's. `connections` bounds the open connections of this
    client; an attempt that finds none free waits within its deadline. As many lookups may run at once, so that one whose
    name server hangs is waited for by nobody else. `keep_alive` is the number of seconds an idle
    connection is kept: short, because a receiver that closes it just as we send costs an attempt. `tls` replaces the
    system's trust store and `dial` the function that opens sockets. One client belongs to one event loop; it opens
    nothing until its first attempt.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolver: Resolver | None = None,
        connections: int = 256,
        keep_alive: float = 1.0,
        tls: ssl.SSLContext | None = None,
        dial: Dial = dial,
    ) -> None:
        if connections < 1 or keep_alive <= 0:
            raise ValueError("connections must be at least 1 and keep_alive longer than 0 seconds.")
        self._allow_private = allow_private
        self._own_resolver = SystemResolver(threads=connections)
        self._resolver: Resolver = resolver or self._own_resolver
        self._pool = Pool(dial=dial, tls=tls or _system_trust(), connections=connections, keep_alive=keep_alive)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        deadline: float,
        max_response: int = 65_536,
    ) -> Answer | Failure:
        """Make one attempt and return what it came to; never raises for anything that the far side does.

        `deadline` is in seconds and covers everything from the lookup to the last byte of the answer. Of the answer's
        body at most `max_response` bytes are kept; at more, reading stops and the connection is dropped. Raises
        ValueError for a method or header that is not one, or that frames the message (Host, Content-Length ...): those
        are faults of the caller. Cancellation passes through and drops the connection.
        """
        _check_request(method, headers)
        started = perf_counter()
        try:
            target = self._target(url)
        except Stopped as stop:
            return Failure(stop.stage, _sober(stop.reason), _ms(perf_counter() - started), None)
        trip = Trip(target)
        head = _head(method, target, headers, body)
        try:
            async with asyncio.timeout(deadline) as limit:
                await self._vet(trip)
                trip.connection = connection = await self._pool.take(trip)
                trip.enter("send")
                connection.send(head, body, bodiless_answer=method.upper() == "HEAD")
                return await _read(trip, *await connection.answer(), max_response)
        except Stopped as stop:
            return _failure(trip, stop.stage, stop.reason)
        except (ClientError, HttpProcessingError, OSError, ValueError) as error:
            if limit.expired():
                return _failure(trip, "timeout", f"The deadline of {deadline:g} s passed while {_WHILE[trip.reached]}.")
            return _failure(trip, trip.reached, _sentence(error))
        finally:
            self._pool.give_back(trip)

    async def close(self) -> None:
        """Drop every connection; attempts under way end as failures."""
        self._own_resolver.close()
        self._pool.close()

    def _target(self, url: str) -> Target:
        try:
            target = parse(url)
        except UnsafeUrl as unsafe:
            raise Stopped("url", unsafe.reason) from unsafe
        reason = private_host(target, allow_private=self._allow_private)
        if reason is not None:
            raise Stopped("address" if target.literal else "url", reason)
        return target

    async def _vet(self, trip: Trip) -> None:
        """Find the addresses of the target; every one of them must be allowed, or none is used."""
        host = trip.target.host
        found = [host] if trip.target.literal else await self._look_up(host)
        trip.enter("connect")
        complaint = _complaint(tuple(found), allow_private=self._allow_private)
        if complaint is not None:
            raise Stopped("address", f"{host} leads to {complaint}; all its addresses must be public.")
        trip.vetted = _plain(tuple(found))
        if not trip.vetted:
            raise Stopped("dns", f"The name {host} has no address.")

    async def _look_up(self, host: str) -> Sequence[str]:
        try:
            return await self._resolver.lookup(host)
        except OSError as error:
            raise Stopped("dns", f"The name {host} could not be resolved: {error.strerror or error}.") from error


def as_sent(url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return every header that goes over the wire when `SafeHttp.send` is given these for a POST, for whoever shows what was sent.

    `url` is one that `check_url` has returned.
    """
    return _all_headers("POST", parse(url), headers, body)


async def _read(trip: Trip, message: RawResponseMessage, content: StreamReader, max_response: int) -> Answer:
    trip.enter("body")
    body, truncated = b"", False
    if message.code != 101:
        body, truncated = await _read_at_most(content, max_response)
    trip.enter("body")
    return Answer(
        status=message.code,
        headers=tuple([(_text(name), _text(value)) for name, value in message.raw_headers]),
        body=body,
        truncated=truncated,
        address=trip.address or "",
        duration_ms=_ms(sum(trip.spent.values())),
        timings=_timings(trip),
    )


async def _read_at_most(content: StreamReader, most: int) -> tuple[bytes, bool]:
    parts = bytearray()
    while len(parts) <= most:
        part = await content.read(most + 1 - len(parts))
        if not part:
            return bytes(parts), False
        parts += part
    return bytes(parts[:most]), True


def _failure(trip: Trip, stage: Stage, reason: str) -> Failure:
    trip.enter(trip.stage)
    return Failure(stage, _sober(reason), _ms(sum(trip.spent.values())), trip.address)


def _timings(trip: Trip) -> Timings:
    spent = trip.spent
    return Timings(
        dns_ms=_ms(spent.get("dns", 0.0)),
        connect_ms=_ms(spent.get("connect", 0.0)),
        tls_ms=_ms(spent.get("tls", 0.0)),
        wait_ms=_ms(spent.get("send", 0.0)),
        body_ms=_ms(spent.get("body", 0.0)),
    )


def _sentence(error: Exception) -> str:
    match error:
        case ServerDisconnectedError():
            return "The receiver closed the connection without an answer."
        case HttpProcessingError():
            return f"What came is not a valid HTTP answer: {error.message}"
        case ClientPayloadError():
            return f"The body of the answer broke off: {error}"
        case OSError():
            return f"The connection broke: {words(error)}."
        case _:
            return f"The exchange failed: {str(error) or type(error).__name__}."


@lru_cache(maxsize=4096)
def _complaint(addresses: tuple[str, ...], *, allow_private: bool) -> str | None:
    """Say which of a name's addresses is refused and why, or None: the judgement of these addresses never changes."""
    for address in addresses:
        what = refusal(address, allow_private=allow_private)
        if what is not None:
            return f"{address}, which is {what}"
    return None


@lru_cache(maxsize=4096)
def _plain(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses in their one spelling, each once."""
    return tuple(dict.fromkeys(map(plain, addresses)))


def _sober(reason: str) -> str:
    """Make a sentence safe for logs, databases and pages: one line of printable ASCII, bounded."""
    flat = " ".join(reason.encode("ascii", "backslashreplace").decode("ascii").split())
    printable = "".join(character if character.isprintable() else "?" for character in flat)
    return printable if len(printable) <= _MAX_REASON else printable[: _MAX_REASON - 3] + "..."


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _check_request(method: str, headers: Mapping[str, str]) -> None:
    _check_names(method, tuple(headers))
    if _FORBIDDEN_IN_VALUES.search("".join(headers.values())) is not None:
        name = next(name for name, value in headers.items() if _FORBIDDEN_IN_VALUES.search(value))
        raise ValueError(f"The value of the header {name!r} contains a control character.")


@lru_cache(maxsize=256)
def _check_names(method: str, names: tuple[str, ...]) -> None:
    """Raise ValueError for what may not be sent. Callers send the same few sets of headers again and again."""
    if _TOKEN.fullmatch(method) is None or method.upper() == "CONNECT":
        raise ValueError(f"{method!r} is not a method of an ordinary request; use POST or GET.")
    for name in names:
        if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
            raise ValueError(f"The header {name!r} cannot be set here; the client frames the message itself.")


def _all_headers(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    ours = {"Accept-Encoding": "identity", "Content-Length": str(len(body))}
    if not body and method.upper() in _BODILESS:
        del ours["Content-Length"]
    return {"Host": target.authority, "Accept": "*/*", **headers, **ours}


def _head(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the head of a request whose parts have been checked."""
    lines = [f"{name}: {value}\r\n" for name, value in _all_headers(method, target, headers, body).items()]
    return f"{method} {target.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def _system_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
