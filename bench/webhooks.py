"""Webhooks a second from a stored backlog to a local receiver: signed, each attempt recorded with status, timing and answer.

The rate limit of a URL is off for it (PURVEY_WEBHOOK_RATE=0), and the receivers are so many URLs of one process, because a URL has
32 requests in flight at most. The limit is a bare loop in one process: aiohttp, 64 in flight, signs, and records nothing.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil

from bench import ground
from purvey import signing
from purvey.server.accounts.actions import create_account
from purvey.server.app import App, build
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.settings import Settings
from purvey.server.webhooks import actions as webhooks
from purvey.server.webhooks.wire import NewEndpoint

DELIVERIES = 20_000
ENDPOINTS = 4
IN_FLIGHT = 64
WAITING = 1_000_000

RECEIVER = """
import asyncio
import sys

class Receiver(asyncio.Protocol):
    count = 0
    def connection_made(self, transport):
        self.transport, self.received = transport, b""
    def data_received(self, data):
        self.received += data
        head, end, body = self.received.partition(b"\\r\\n\\r\\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\\r\\n")[0]):
            self.received = b""
            if head.startswith(b"GET"):
                answer = b"%d" % Receiver.count
                self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(answer), answer))
                return
            Receiver.count += 1
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
"""Costs little, so that what is measured is the sender. A GET is told how many others there were."""

DATA = (
    '{"object":"order","id":"ord_%1$s","order_id":"ord_%1$s","status":"paid","buyer_email":"ada@example.com","amount":4900,'
    '"currency":"USD","checkout_data":{"birth_date":"1990-05-15"},"listing":{"id":"lst_1","name":"A book","metadata":{}},'
    '"metadata":{},"deliverables":[],"created_at":"2026-04-17T10:23:00Z","text":"' + "x" * 600 + '"}'
)


async def measure() -> None:
    """Measure and print: the bare loop, one worker process and two, and what a claim costs with ten and with a million waiting."""
    with receiver() as port:
        print(f"webhooks, {DELIVERIES:,} from a backlog of {ENDPOINTS} URLs, PURVEY_WEBHOOK_RATE=0:")
        bare, bare_cpu = await bare_loop(port)
        print(
            f"  limit: {bare:,.0f}/s by a bare aiohttp loop that signs and records nothing, {bare_cpu:.2f} ms CPU each"
        )
        for processes in (1, 2):
            async with ground.fresh_postgres() as (url, folder):
                database = await Database.open(url)
                app = await application(database)
                await backlog(app, port)
                print(
                    f"  {processes} worker{'s' * (processes > 1)}: " + await run(url, folder, database, processes, bare)
                )
                await app.close()
                await database.close()
        await claiming()


@contextlib.contextmanager
def receiver() -> Iterator[int]:
    """Run the receiver, and give its port."""
    process = subprocess.Popen((sys.executable, "-c", RECEIVER), stdout=subprocess.PIPE)  # noqa: S603  # ours
    assert process.stdout  # noqa: S101  # for the type checker
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def application(database: Database) -> App:
    """Return the application on this database, for making what is measured."""
    clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
    await clock.measure()
    return build(Settings(allow_private_urls=True), database, clock, Keyring([ground.SECRET_KEY]))


async def bare_loop(port: int) -> tuple[float, float]:
    """Return the requests a second of the bare loop, and its milliseconds of CPU each."""
    body = DATA.encode()
    numbers = iter(range(DELIVERIES))
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # a sample
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def send() -> None:
            for number in numbers:
                headers = signing.headers(
                    event_id=f"evt_{number}",
                    event_type="order.paid",
                    body=body,
                    secrets=[secret],
                    timestamp=int(time.time()),
                )
                async with session.post(
                    f"http://127.0.0.1:{port}/{number % ENDPOINTS}", data=body, headers=headers
                ) as answer:
                    await answer.read()

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        took, used = time.perf_counter() - began, time.process_time() - cpu
    return DELIVERIES / took, used / DELIVERIES * 1000


async def backlog(app: App, port: int, deliveries: int = DELIVERIES) -> str:
    """Store events for as many deliveries, and return the account's id."""
    account, _ = await create_account(app.tools, "seller@example.com", "Seller")
    for number in range(ENDPOINTS):
        await webhooks.create_endpoint(app.tools, account.id, NewEndpoint(url=f"http://127.0.0.1:{port}/{number}"))
    events = deliveries // ENDPOINTS
    for batch in _batches(events):
        await app.tools.database.write(
            "SELECT events_append(array_agg(($1, 'evt_' || n, 'order.disputed', NULL, 'ord_' || n, format($2, n))::event_new), $3)"
            " FROM unnest($4::int[]) n",
            account.id,
            DATA,
            app.tools.clock.now(),
            list(batch),
        )
    await app.tools.database.write("ANALYZE")
    return account.id


def _batches(count: int) -> list[range]:
    return [range(start, min(start + 1000, count)) for start in range(0, count, 1000)]


async def run(url: str, folder: Path, database: Database, processes: int, bare: float) -> str:
    """Have so many workers deliver the backlog, and say how it went."""
    postgres = ground.postgres(folder)
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(url)) for _ in range(processes)]
        first, began = await until(database, DELIVERIES // 10), time.perf_counter()
        cpu, database_cpu = sum(map(ground.cpu, workers)), ground.cpu(postgres)
        last, took = await until(database, int(DELIVERIES * 0.95)), time.perf_counter() - began
        spent = [(sum(map(ground.cpu, workers)) - cpu), (ground.cpu(postgres) - database_cpu)]
    each, each_database = (seconds / (last - first) * 1000 for seconds in spent)
    rate = (last - first) / took
    recorded = await database.value("SELECT count(*) FROM attempts WHERE status_code = 200 AND answer = 'ok'")
    return (
        f"{rate:,.0f}/s, {rate / bare:.2f} of the limit; CPU per delivery: {each + each_database:.2f} ms"
        f" ({each:.2f} worker, {each_database:.2f} database); {recorded:,} attempts on record"
    )


async def until(database: Database, count: int) -> int:
    """Return how many attempts are on record, once there are `count`."""
    found = 0
    while found < count:
        await asyncio.sleep(0.1)
        found = await database.value("SELECT count(*) FROM attempts")
    return found


@contextlib.asynccontextmanager
async def worker(url: str) -> AsyncIterator[psutil.Process]:
    """Run `purvey worker`; give its process."""
    environment = {
        **os.environ,
        "PURVEY_DATABASE_URL": url,
        "PURVEY_SECRET_KEY": ground.SECRET_KEY,
        "PURVEY_LOG_FORMAT": "json",
        "PURVEY_WEBHOOK_RATE": "0",
        "PURVEY_ALLOW_PRIVATE_URLS": "1",
    }
    command = (sys.executable, "-m", "purvey", "worker")
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=nowhere, stderr=nowhere, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def claiming() -> None:
    """Print what a claim costs with ten jobs waiting and with a million."""
    async with ground.fresh_postgres() as (url, _):
        database = await Database.open(url)
        await database.write("SELECT lane_ensure('webhook:b', 'webhook', NULL, 'bench', 32, clock_timestamp())")
        for waiting in (10, WAITING):
            await database.write(
                "INSERT INTO jobs (id, lane_id, kind, ref, due_at, created_at)"
                " SELECT 'job_' || $1 || '_' || n, 'webhook:b', 'bench', 'x', clock_timestamp() - interval '1 hour',"
                " clock_timestamp() FROM generate_series(1, $1::int) n",
                waiting,
            )
            await database.write("VACUUM ANALYZE jobs")
            took = [await _claim(database) for _ in range(20)]
            print(f"  a claim of 8 with {waiting:,} waiting: {sorted(took)[10] * 1000:.2f} ms")
        await database.close()


async def _claim(database: Database) -> float:
    await database.write(
        "UPDATE lanes SET first_at = clock_timestamp() - interval '2 hours', in_flight = 0, served_at = NULL, held_until = NULL"
    )
    began = time.perf_counter()
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        claimed = await connection.fetch(
            "SELECT id FROM jobs_claim('{webhook}', '{8}', '{NULL}', 8, gen_random_uuid(), clock_timestamp(),"
            " clock_timestamp() + interval '45 seconds')"
        )
        took = time.perf_counter() - began
        await transaction.rollback()
    assert len(claimed) == 8  # noqa: S101  # else nothing was measured
    return took
