"""Connections that are kept for a moment, each for its own scheme, host and port."""

import asyncio
import ssl

from purvey.server.kit.safe_http.connect import Dial, Stopped, Trip, connected
from purvey.server.kit.safe_http.exchange import GuardedHandler

_Origin = tuple[str, str, int]


class Pool:
    """At most `connections` at once, in use or kept. One that is given back in order is kept for `keep_alive` seconds.

    A kept connection is handed out again only to its own origin, and only while it is silent and its peer is among the addresses
    that the attempt itself has vetted.
    """

    def __init__(self, *, dial: Dial, tls: ssl.SSLContext, connections: int, keep_alive: float) -> None:
        self._dial = dial
        self._tls = tls
        self._most = connections
        self._keep_alive = keep_alive
        self._free = asyncio.Semaphore(connections)
        self._used: set[GuardedHandler] = set()
        self._kept: dict[_Origin, list[tuple[GuardedHandler, float]]] = {}
        self._keeping = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, trip: Trip) -> GuardedHandler:
        """Return a connection whose peer is vetted, a kept one if there is any; raise Stopped when none can be had."""
        trip.enter("connect")
        await self._free.acquire()
        try:
            handler = self._take_kept(trip)
            if handler is None:  # not by its truth: it is a queue, and an empty one is false
                handler = await self._open(trip)
        except BaseException:
            self._free.release()
            raise
        self._used.add(handler)
        trip.address = handler.peer
        return handler

    def give_back(self, trip: Trip) -> None:
        """Keep the trip's connection for another attempt, or drop it when there is anything about it."""
        handler, trip.connection = trip.connection, None
        if handler is None:
            return
        self._used.discard(handler)
        self._free.release()
        if self._closed or len(self._used) + self._keeping >= self._most or not handler.reusable:
            handler.drop()
            return
        loop = asyncio.get_running_loop()
        self._kept.setdefault(_origin(trip), []).append((handler, loop.time() + self._keep_alive))
        self._keeping += 1
        if self._sweep is None:
            self._sweep = loop.call_later(self._keep_alive, self._drop_the_old)

    def close(self) -> None:
        """Drop every connection; attempts under way end as failures."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for handler in self._used:
            handler.drop()
        self._drop_kept()

    async def _open(self, trip: Trip) -> GuardedHandler:
        self._refuse_when_closed()
        if len(self._used) + self._keeping >= self._most:
            self._drop_kept()
        handler = await connected(trip, self._dial, self._tls)
        try:
            self._refuse_when_closed()
        except Stopped:
            handler.drop()
            raise
        return handler

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise Stopped("connect", "The client was closed.")

    def _drop_kept(self) -> None:
        for kept in self._kept.values():
            for handler, _ in kept:
                handler.drop()
        self._kept.clear()
        self._keeping = 0

    def _take_kept(self, trip: Trip) -> GuardedHandler | None:
        kept = self._kept.get(_origin(trip))
        now = asyncio.get_running_loop().time()
        while kept:
            handler, until = kept.pop()
            self._keeping -= 1
            if until > now and handler.reusable and handler.peer in trip.vetted:
                return handler
            handler.drop()
        return None

    def _drop_the_old(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for kept in self._kept.values():
            for handler, until in kept:
                if until <= now or not handler.reusable:
                    handler.drop()
            kept[:] = [(handler, until) for handler, until in kept if until > now and handler.reusable]
        self._kept = {origin: kept for origin, kept in self._kept.items() if kept}
        self._keeping = sum(map(len, self._kept.values()))
        self._sweep = loop.call_later(self._keep_alive, self._drop_the_old) if self._kept else None


def _origin(trip: Trip) -> _Origin:
    return trip.target.scheme, trip.target.host, trip.target.port
