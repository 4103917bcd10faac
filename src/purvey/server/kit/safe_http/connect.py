"""Connections that lead only to vetted addresses.

An attempt on its way is a `Trip`. It knows which addresses were vetted a moment ago; a connection is opened to one of them, never
to a name, and the socket is asked for its peer before a byte is sent, TLS included.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from purvey.server.kit.safe_http.addresses import plain
from purvey.server.kit.safe_http.exchange import GuardedHandler
from purvey.server.kit.safe_http.outcome import Stage
from purvey.server.kit.safe_http.url import Target

Dial = Callable[[str, int], Awaitable[socket.socket]]

MAX_ADDRESSES_TRIED = 4
NEXT_ADDRESS_AFTER = 2.0  # seconds of silence until the next address of the name is tried


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
    connection: GuardedHandler | None = None
    spent: dict[Stage, float] = field(default_factory=dict)
    since: float = field(default_factory=perf_counter)

    def enter(self, stage: Stage) -> None:
        """Book the time since the last call to the stage that ends, and begin the next."""
        now = perf_counter()
        self.spent[self.stage] = self.spent.get(self.stage, 0.0) + now - self.since
        self.stage, self.since = stage, now

    @property
    def reached(self) -> Stage:
        """The stage, where "send" has become "headers" once the whole request has left, or all but what a buffer holds."""
        sent = self.connection is not None and not self.connection.writing_paused
        return "headers" if self.stage == "send" and sent else self.stage


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


async def connected(trip: Trip, dial: Dial, tls: ssl.SSLContext) -> GuardedHandler:
    """Return a new connection to one of the trip's vetted addresses, or raise Stopped."""
    trip.enter("connect")
    sock = await _first_that_answers(trip, dial)
    https = trip.target.scheme == "https"
    if https:
        trip.enter("tls")
    loop = asyncio.get_running_loop()
    try:
        _, handler = await loop.create_connection(
            partial(GuardedHandler, loop),
            sock=sock,
            ssl=tls if https else None,
            server_hostname=trip.target.host if https else None,
        )
    except (OSError, ValueError) as error:
        raise Stopped(trip.stage, _handshake_sentence(trip.target.host, error)) from error
    handler.peer = trip.address
    return handler


async def _first_that_answers(trip: Trip, dial: Dial) -> socket.socket:
    addresses = trip.vetted[:MAX_ADDRESSES_TRIED]
    complaints: list[str] = []
    for address in addresses:
        trip.address = address
        patience = None if address == addresses[-1] else NEXT_ADDRESS_AFTER
        try:
            async with asyncio.timeout(patience):
                sock = await dial(address, trip.target.port)
        except OSError as error:
            complaints.append(f"{address}: {words(error)}")
        else:
            return _with_checked_peer(sock, address)
    raise Stopped("connect", f"Could not connect to port {trip.target.port} of {'; '.join(complaints)}.")


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
