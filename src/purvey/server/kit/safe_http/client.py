"""The client itself: one attempt, from the URL to an outcome."""

import asyncio
import io
import re
import ssl
from collections.abc import Mapping, Sequence
from time import perf_counter

from aiohttp import (
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    StreamReader,
    UploadTracker,
)
from yarl import URL

from purvey.server.kit.safe_http.addresses import plain, refusal
from purvey.server.kit.safe_http.connect import TRIP, Dial, PinnedConnector, Stopped, Trip, dial, words
from purvey.server.kit.safe_http.outcome import Answer, Failure, Stage, Timings
from purvey.server.kit.safe_http.resolve import Resolver, SystemResolver
from purvey.server.kit.safe_http.url import Target, UnsafeUrl, parse, private_host

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What frames the message is decided here; a caller who could set it could speak past the framing.
_OURS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "expect", "te", "trailer"}
    | {"upgrade", "keep-alive", "proxy-connection", "proxy-authorization"}
)
_LARGE = 1_048_576
_MAX_HEADERS = 100
_MAX_HEADER_BYTES = 8_190
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
    client; an attempt that finds none free waits within its deadline. `keep_alive` is the number of seconds an idle
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
        self._own_resolver = SystemResolver()
        self._resolver: Resolver = resolver or self._own_resolver
        self._connections = connections
        self._keep_alive = keep_alive
        self._tls = tls or _system_trust()
        self._dial = dial
        self._session: ClientSession | None = None

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
        try:
            async with asyncio.timeout(deadline) as limit:
                await self._vet(trip)
                response = await self._request(trip, method, headers, body)
                return await _read(trip, response, max_response)
        except Stopped as stop:
            return _failure(trip, stop.stage, stop.reason)
        except (ClientError, OSError, ValueError) as error:
            if limit.expired():
                return _failure(trip, "timeout", f"The deadline of {deadline:g} s passed while {_WHILE[trip.reached]}.")
            return _failure(trip, trip.reached, _sentence(error))
        finally:
            trip.drop()

    async def close(self) -> None:
        """Drop every connection; attempts under way end as failures."""
        self._own_resolver.close()
        if self._session is not None:
            await self._session.close()

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
        for address in found:
            what = refusal(address, allow_private=self._allow_private)
            if what is not None:
                raise Stopped(
                    "address", f"{host} leads to {address}, which is {what}; all its addresses must be public."
                )
        trip.vetted = tuple(dict.fromkeys(plain(address) for address in found))
        if not trip.vetted:
            raise Stopped("dns", f"The name {host} has no address.")

    async def _look_up(self, host: str) -> Sequence[str]:
        try:
            return await self._resolver.lookup(host)
        except OSError as error:
            raise Stopped("dns", f"The name {host} could not be resolved: {error.strerror or error}.") from error

    async def _request(self, trip: Trip, method: str, headers: Mapping[str, str], body: bytes) -> ClientResponse:
        session = self._session = self._session or self._new_session()
        trip.upload = UploadTracker()
        token = TRIP.set(trip)
        try:
            response = await session.request(
                method,
                URL(trip.target.url, encoded=True),
                headers={**headers, "Accept-Encoding": "identity"},
                data=_payload(body),
                allow_redirects=False,
                upload_tracker=trip.upload,
            )
        finally:
            TRIP.reset(token)
        trip.response = response
        return response

    def _new_session(self) -> ClientSession:
        return ClientSession(
            connector=PinnedConnector(
                dial=self._dial, tls=self._tls, connections=self._connections, keep_alive=self._keep_alive
            ),
            timeout=ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Content-Type", "User-Agent"),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )


def as_sent(url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return every header that goes over the wire when `SafeHttp.send` is given these, for whoever shows what was sent.

    `url` is one that `check_url` has returned.
    """
    first = {"Host": URL(url, encoded=True).host_port_subcomponent or "", "Accept": "*/*"}
    return first | dict(headers) | {"Accept-Encoding": "identity", "Content-Length": str(len(body))}


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """Let aiohttp write a large body piece by piece, as it asks for; a small one goes out with the headers."""
    return io.BytesIO(body) if len(body) > _LARGE else body or None


async def _read(trip: Trip, response: ClientResponse, max_response: int) -> Answer:
    trip.enter("body")
    body, truncated = b"", False
    if response.status != 101:
        body, truncated = await _read_at_most(response.content, max_response)
    trip.enter("body")
    return Answer(
        status=response.status,
        headers=tuple((_text(name), _text(value)) for name, value in response.raw_headers),
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
        case ClientResponseError():
            return f"What came is not a valid HTTP answer: {error.message}"
        case ClientPayloadError():
            return f"The body of the answer broke off: {error}"
        case OSError():
            return f"The connection broke: {words(error)}."
        case _:
            return f"The exchange failed: {str(error) or type(error).__name__}."


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
    if _TOKEN.fullmatch(method) is None or method.upper() == "CONNECT":
        raise ValueError(f"{method!r} is not a method of an ordinary request; use POST or GET.")
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
            raise ValueError(f"The header {name!r} cannot be set here; the client frames the message itself.")
        if _FORBIDDEN_IN_VALUES.search(value) is not None:
            raise ValueError(f"The value of the header {name!r} contains a control character.")


def _system_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
