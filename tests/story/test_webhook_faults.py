"""Receivers that misbehave in every way we know, the whole way through the queue.

Each costs one attempt within its deadline and delays nobody else, and every event ends delivered, parked or given up.
"""

import asyncio
import contextlib
import gzip
import resource
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
from aiohttp import web

from fakes import START, FakeClock
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.webhooks.rules import SCHEDULE
from purvey.server.webhooks.work import Deliver
from queueing import PATIENCE, lane_of, working
from receivers import Handler, dripping, endless, once
from receivers import receiving as misbehaving
from served import reserved_port
from telling import Receiver, append, attempts, receiving, set_callback, statuses

SLOTS = {"webhook": 64}
DEADLINE = 1.2
"""Seconds that an attempt may take here; the real deadline is the same code with another number. A busy machine may need longer."""
HEAD = b"HTTP/1.1 200 OK\r\n"


def saying(status: str, more: bytes = b"") -> Handler:
    return once(f"HTTP/1.1 {status}\r\n".encode() + more + b"Content-Length: 0\r\nConnection: close\r\n\r\n")


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"\r\n")
    await reader.read(-1)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def resetting_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"Content-Length: 100\r\n\r\nthe beg")
    await writer.drain()
    writer.transport.abort()


BOMB = gzip.compress(bytes(10_000_000))


@dataclass(frozen=True)
class Fault:
    """A way to misbehave, where its attempts end, and what becomes of the event."""

    handler: Handler | None
    stages: frozenset[str | int]
    end: str = "given_up"
    scheme: str = "http"
    host: str = "127.0.0.1"


FAULTS: Mapping[str, Fault] = {
    "no name": Fault(None, frozenset({"dns"}), host="gone.example.com"),
    "refused": Fault(None, frozenset({"connect"})),
    "reset": Fault(resetting, frozenset({"headers", "send"})),
    "no tls": Fault(plain, frozenset({"tls"}), scheme="https"),
    "stall": Fault(silent, frozenset({"timeout"})),
    "drip": Fault(dripping(HEAD, b"x"), frozenset({"timeout"})),
    "drip of a body": Fault(dripping(HEAD + b"Content-Length: 9999\r\n\r\n", b"x"), frozenset({"timeout"})),
    "headers": Fault(endless(HEAD, b"X-More: " + b"x" * 1000 + b"\r\n"), frozenset({"headers"})),
    "1xx": Fault(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), frozenset({"headers"})),
    "3xx": Fault(saying("302 Found", b"Location: http://127.0.0.1:1/\r\n"), frozenset({302})),
    "4xx": Fault(saying("404 Not Found"), frozenset({404})),
    "5xx": Fault(saying("503 Away", b"Retry-After: soon\r\n"), frozenset({503})),
    "gone": Fault(saying("410 Gone"), frozenset({410}), end="parked"),
    "broken body": Fault(resetting_later, frozenset({"body"})),
    "endless body": Fault(
        endless(HEAD + b"Content-Length: 10000000000\r\n\r\n", b"x" * 65536), frozenset({200}), end="delivered"
    ),
    "bomb": Fault(
        once(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        frozenset({200}),
        end="delivered",
    ),
}


class Nowhere:
    """Knows no name."""

    async def lookup(self, host: str) -> list[str]:
        raise OSError(-2, f"{host} is not known")


@pytest.fixture
async def deliver(tools: Tools) -> AsyncIterator[Deliver]:
    http = SafeHttp(allow_private=True, resolver=Nowhere())
    yield Deliver(tools, http, chance=lambda: 0.5, deadline=DEADLINE)
    await http.close()


async def until(tools: Tools, sql: str) -> None:
    """Wait until the query says true."""
    async with asyncio.timeout(PATIENCE):
        while not await tools.database.value(sql):
            pass


async def open_faults(tools: Tools, stack: contextlib.AsyncExitStack) -> None:
    """Open a receiver for each fault and make it the callback of a listing of that name."""
    for name, fault in FAULTS.items():
        port = stack.enter_context(reserved_port())
        if fault.handler is not None:
            port = (await stack.enter_async_context(misbehaving(fault.handler))).port
        await set_callback(tools.database, tools.keyring, f"{fault.scheme}://{fault.host}:{port}/", listing=name)
        await append(tools.database, f"evt_{name}", listing=name)


async def test_every_fault_costs_one_attempt_at_a_time_and_delays_nobody(
    tools: Tools, clock: FakeClock, deliver: Deliver
) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with contextlib.AsyncExitStack() as stack:
        healthy: Receiver = await stack.enter_async_context(receiving())
        await set_callback(tools.database, tools.keyring, healthy.url, listing="healthy")
        await open_faults(tools, stack)
        wake = await stack.enter_async_context(working(tools, [deliver], SLOTS))
        for number in range(1, len(SCHEDULE) + 1):
            await append(tools.database, f"evt_healthy_{number}", listing="healthy", at=clock.now())
            wake.poke()
            assert (await healthy.next()).body
            await until(
                tools,
                f"SELECT count(*) = 0 FROM deliveries WHERE status = 'waiting' AND attempts < {number}"
                " AND event_id NOT LIKE '%healthy%'",
            )
            if number < len(SCHEDULE):
                clock.advance(seconds=(START + SCHEDULE[number] - clock.now()).total_seconds())
        # What a busy machine was too slow for in time is tried once more.
        async with asyncio.timeout(PATIENCE):
            while await tools.database.value("SELECT count(*) FROM deliveries WHERE status = 'waiting'"):
                if not await tools.database.value("SELECT sum(in_flight) FROM lanes"):
                    clock.advance(minutes=10)
                    wake.poke()
    ended = {name.rpartition(" whk_")[0]: status for name, status in (await statuses(tools.database)).items()}
    assert {name: ended[f"evt_{name}"] for name in FAULTS} == {name: fault.end for name, fault in FAULTS.items()}
    assert {status for name, status in ended.items() if "healthy" in name} == {"delivered"}
    rows = await tools.database.rows(
        "SELECT event_id, status_code, stage, duration_ms, number FROM attempts JOIN deliveries ON deliveries.id = delivery_id"
    )
    for name, fault in FAULTS.items():
        made = [row for row in rows if row["event_id"] == f"evt_{name}"]
        numbers = sorted(row["number"] for row in made)
        assert numbers == list(range(1, 8 if fault.end == "given_up" else len(numbers) + 1))
        assert {row["stage"] or row["status_code"] for row in made} <= fault.stages | {"timeout"}, name
        assert fault.stages & {row["stage"] or row["status_code"] for row in made}, name
    assert await tools.database.value("SELECT count(*) FROM jobs") == 0
    assert await tools.database.value("SELECT max(in_flight) FROM lanes") == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 * 1024  # KiB


async def test_a_breaker_opens_lets_one_probe_through_and_closes_when_it_is_answered(
    tools: Tools, clock: FakeClock, deliver: Deliver
) -> None:
    async with receiving() as receiver, working(tools, [deliver], SLOTS) as wake:
        await set_callback(tools.database, tools.keyring, receiver.url)
        lane: str = await tools.database.value("SELECT lane_id FROM endpoints")
        receiver.answering = lambda _: web.Response(status=500)
        await append(tools.database, *(f"evt_{n:02}" for n in range(70)))
        wake.poke()
        await until(tools, "SELECT breaker = 'open' FROM lanes WHERE kind = 'webhook'")
        await until(tools, "SELECT in_flight = 0 FROM lanes WHERE kind = 'webhook'")
        failed = len(await attempts(tools.database))
        assert 51 <= failed < 70
        # The first attempt of a delivery that is held back is used up by nobody.
        assert await tools.database.value("SELECT count(*) FROM deliveries WHERE attempts = 0") == 70 - failed

        for probes in (1, 2):
            clock.advance(minutes=15)
            wake.poke()
            await until(tools, f"SELECT count(*) = {failed + probes} FROM attempts")
            assert (await lane_of(tools.database, lane))["breaker"] == "open"
        receiver.answering = lambda _: web.Response(status=200)
        clock.advance(minutes=15)
        wake.poke()
        await until(tools, "SELECT count(*) > 0 FROM deliveries WHERE status = 'delivered'")
        async with asyncio.timeout(PATIENCE):
            while set((await statuses(tools.database)).values()) != {"delivered"}:
                clock.advance(seconds=20)
                wake.poke()
        assert (await lane_of(tools.database, lane))["breaker"] == "closed"
