"""Connections that lead only to vetted addresses.

aiohttp asks a connector for a connection; this one never resolves a name. It is told by the running attempt, its
`Trip`, which addresses were vetted a moment ago, connects to one of them, asks the socket for its peer before a byte
is sent (TLS included), and hands a kept connection out again only if its peer is among them. `BaseConnector` is
aiohttp's documented base for connectors of one's own: it pools by scheme, host and port, and `_create_connection` is
the method to supply.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from aiohttp import BaseConnector, ClientPayloadError, ClientRequest, ClientResponse, ClientTimeout, UploadTracker
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace

from purvey.server.kit.safe_http.addresses import plain
from purvey.server.kit.safe_http.outcome import Stage
from purvey.server.kit.safe_http.url import Target

Dial = Callable[[str, int], Awaitable[socket.socket]]

MAX_ADDRESSES_TRIED = 4
NEXT_ADDRESS_AFTER = 2.0  # seconds of silence until the next address of the name is tried
MAX_INTERIM_ANSWERS = 16
FRAMING_ALLOWANCE = 32_768  # bytes around a body, beyond as many as the body itself has
_SLICE = 16_384


class Stopped(Exception):
    """The attempt ends here, with the stage and the sentence of its Failure."""

    def __init__(self, stage: Stage, reason: str) -> None:
        super().__init__(reason)
        self.stage: Stage = stage
        self.reason = reason


@dataclass(slots=True)
class Trip:
    """One attempt on its way: where it goes, what was vetted, which stage it is in, seconds spent in each."""

    target: Target
    vetted: tuple[str, ...] = ()
    stage: Stage = "dns"
    address: str | None = None
    transport: asyncio.Transport | None = None
    response: ClientResponse | None = None
    upload: UploadTracker | None = None
    spent: dict[Stage, float] = field(default_factory=dict)
    since: float = field(default_factory=perf_counter)

    def enter(self, stage: Stage) -> None:
        """Book the time since the last call to the stage that ends, and begin the next."""
        now = perf_counter()
        self.spent[self.stage] = self.spent.get(self.stage, 0.0) + now - self.since
        self.stage, self.since = stage, now

    @property
    def reached(self) -> Stage:
        """The stage, where "send" has become "headers" once the whole request has left."""
        return "headers" if self.stage == "send" and self._is_sent() else self.stage

    def _is_sent(self) -> bool:
        done = self.upload.upload_complete if self.upload is not None else None
        return done is not None and done.done() and done.exception() is None

    def drop(self) -> None:
        """Cut the connection unless the answer was read to its end and the pool has it again.

        A plain close would wait until unsent bytes are taken, which a receiver that never reads can put off forever.
        """
        held = self.response is None or self.response.connection is not None
        if self.response is not None and held:
            self.response.close()
        if self.transport is not None and (held or self.transport.is_closing()):
            self.transport.abort()


TRIP: ContextVar[Trip] = ContextVar("purvey_safe_http_trip")


async def dial(address: str, port: int) -> socket.socket:
    """Open a TCP connection to an address in plain notation; the only place where a socket is connected."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class PinnedConnector(BaseConnector):
    """A pool of at most `connections` connections, each to an address that its attempt had vetted."""

    def __init__(self, *, dial: Dial, tls: ssl.SSLContext, connections: int, keep_alive: float) -> None:
        super().__init__(limit=connections, keepalive_timeout=keep_alive)
        self._new_handler = partial(GuardedHandler, loop=self._loop)
        self._dial = dial
        self._tls = tls

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection whose peer is vetted: a kept one if there is any, otherwise a new one.

        aiohttp asks a second time when a GET found its connection closed; here an attempt is one try.
        """
        trip = TRIP.get()
        if trip.transport is not None:
            raise Stopped("headers", "The receiver closed the connection without an answer.")
        while True:
            connection = await super().connect(req, traces, timeout)
            if _may_be_used(connection, trip):
                break
            connection.close()
        trip.transport = connection.transport
        trip.enter("send")
        return connection

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        del req, traces, timeout  # the trip knows the target; the deadline surrounds the whole attempt
        trip = TRIP.get()
        trip.enter("connect")
        sock = await self._first_that_answers(trip)
        https = trip.target.scheme == "https"
        if https:
            trip.enter("tls")
        try:
            _, handler = await self._loop.create_connection(
                self._new_handler,
                sock=sock,
                ssl=self._tls if https else None,
                server_hostname=trip.target.host if https else None,
            )
        except (OSError, ValueError) as error:
            raise Stopped(trip.stage, _handshake_sentence(trip.target.host, error)) from error
        handler.new = True
        handler.peer = trip.address
        return handler

    async def _first_that_answers(self, trip: Trip) -> socket.socket:
        addresses = trip.vetted[:MAX_ADDRESSES_TRIED]
        complaints: list[str] = []
        for address in addresses:
            trip.address = address
            patience = None if address == addresses[-1] else NEXT_ADDRESS_AFTER
            try:
                async with asyncio.timeout(patience):
                    sock = await self._dial(address, trip.target.port)
            except OSError as error:
                complaints.append(f"{address}: {words(error)}")
            else:
                return _with_checked_peer(sock, address)
        raise Stopped("connect", f"Could not connect to port {trip.target.port} of {'; '.join(complaints)}.")


class GuardedHandler(ResponseHandler):
    """aiohttp's protocol of a client connection, which also ends two floods that cost us far more than the sender.

    Interim answers (1xx, RFC 9110 15.2) cost a parsed message for a few bytes on the wire, and chunks of one byte
    (RFC 9112 7.1) a call for each: measured, 64 KiB of them cost 140 ms. So interim answers are counted, and what
    frames a body may be no larger than the body itself and some allowance. Large reads are parsed slice by slice, so
    that a flood is noticed before more than a slice of it is parsed.
    """

    new = False
    peer: str | None = None
    interim = 0
    wire_bytes = 0
    body: StreamReader | None = None

    def expect_answer(self) -> None:
        """Begin to count anew, for the next request on this connection."""
        self.new = False
        self.interim = 0
        self.body = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser slice by slice, until it or one of the bounds has had enough."""
        for start in range(0, len(data) or 1, _SLICE):
            if self.exception() is not None:
                return
            part = data[start : start + _SLICE]
            super().data_received(part)
            self._bound_framing(len(part))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take a parsed message: an interim answer is counted, anything else is the answer."""
        if self.interim > MAX_INTERIM_ANSWERS:
            return
        if 100 <= data[0].code <= 199 and data[0].code != 101:
            self.interim += 1
        else:
            self.body, self.wire_bytes = data[1], 0
        super().feed_data(data, size)
        if self.interim > MAX_INTERIM_ANSWERS:
            self._give_up(HttpProcessingError(message=f"more than {MAX_INTERIM_ANSWERS} interim answers"))

    def _bound_framing(self, received: int) -> None:
        self.wire_bytes += received
        body = self.body
        if body is None or body.is_eof() or self.wire_bytes <= 2 * body.total_bytes + FRAMING_ALLOWANCE:
            return
        error = ClientPayloadError("its chunks are mostly framing, with little or nothing in them")
        body.set_exception(error)
        self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


def _may_be_used(connection: Connection, trip: Trip) -> bool:
    handler = connection.protocol
    if not isinstance(handler, GuardedHandler):
        return False
    new = handler.new
    handler.expect_answer()
    if new:
        return True
    # A kept connection must still be silent, and lead where the name leads now.
    if handler.should_close or handler.peer not in trip.vetted:
        return False
    trip.address = handler.peer
    return True


def _with_checked_peer(sock: socket.socket, address: str) -> socket.socket:
    try:
        peer = plain(sock.getpeername()[0])
    except OSError as error:
        sock.close()
        raise Stopped("connect", f"The connection to {address} ended at once: {words(error)}.") from error
    if peer != address:
        sock.close()
        raise Stopped("address", f"The connection meant for {address} reached {peer}; nothing was sent.")
    return sock


def _handshake_sentence(host: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {host} is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"The TLS handshake with {host} failed: {error.reason or error}."
    return f"The connection to {host} broke during the handshake: {words(error)}."


def words(error: Exception) -> str:
    """Say what went wrong with a socket; never with the URL in it, whose path may be a secret."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer within {NEXT_ADDRESS_AFTER:g} s"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
