"""`python -m bench.peers FOLDER`: install the peers into a folder that may be thrown away, and measure them like our deliveries.

The same receiver, the same body, signed; a stored backlog, counted between a tenth and 95 % of it; the CPU time of the workers and
of their store. Unlike ours, they keep no record of an attempt beyond what they keep anyway.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import ground, webhooks
from purvey.server.kit.database import Database

HERE = Path(__file__).parent
PYTHON_PEERS = ("celery[redis]", "requests", "pgqueuer[asyncpg]", "aiohttp", "asyncpg")
NODE_PEERS = ("bullmq", "ioredis", "undici")
NEEDED = {"node": "nodejs", "npm": "npm", "redis-server": "redis-server"}
"""Program -> the package of Debian that has it."""

LONGEST = 300
"""Seconds after which a peer is taken not to work at all."""

Store = Callable[[], AbstractAsyncContextManager[tuple[str, psutil.Process]]]


@dataclass(frozen=True)
class Peer:
    """One of them: how it is queued for and how it works, where its store's URL goes, and how many deliveries it gets."""

    name: str
    queue: Sequence[str]
    work: Sequence[str]
    store: Store
    variable: str
    deliveries: int


async def measure(folder: Path) -> None:
    """Install what is missing, then measure and print."""
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"the peers need {', '.join(missing)}; on Debian: apt-get install {' '.join(missing)}")
    install(folder)
    with webhooks.receiver() as port:
        bare, cpu = await webhooks.bare_loop(port)
        print(
            f"peers, from a backlog of 4 URLs; the bare aiohttp loop: {bare:,.0f}/s, {cpu:.2f} ms CPU each", flush=True
        )
        for peer in peers(folder):
            print(f"  {peer.name}: {await run(peer, folder, port)}", flush=True)
        print(f"  Purvey, one worker: {await ours(port, bare)}")


async def ours(port: int, bare: float) -> str:
    """Have one worker of ours deliver its backlog, and say how it went."""
    async with ground.fresh_postgres() as (url, folder):
        database = await Database.open(url)
        app = await webhooks.application(database)
        await webhooks.backlog(app, port)
        said = await webhooks.run(url, folder, database, 1, bare)
        await app.close()
        await database.close()
    return said


def install(folder: Path) -> None:
    """Install the peers, once."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in HERE.glob("*_peer.*"):
        shutil.copy(program, folder)
    if all((folder / "node_modules" / name).exists() for name in NODE_PEERS):
        return
    subprocess.run((sys.executable, "-m", "venv", folder / "venv"), check=True)  # noqa: S603  # ours
    subprocess.run((folder / "venv/bin/pip", "install", "-qq", *PYTHON_PEERS), check=True)  # noqa: S603
    (folder / "package.json").write_text("{}")
    subprocess.run(("npm", "install", "--silent", *NODE_PEERS), cwd=folder, check=True)  # noqa: S603, S607


def peers(folder: Path) -> list[Peer]:
    """Return the peers, as they are started from the folder."""
    python, node = str(folder / "venv/bin/python"), shutil.which("node") or "node"
    celery = (python, "-m", "celery", "-A", "celery_peer", "worker", "--concurrency", "2", "--loglevel", "ERROR")
    return [
        Peer("Celery, Redis, requests", (python, "celery_peer.py"), celery, redis, "PEER_REDIS", 4_000),
        Peer(
            *("pgqueuer, PostgreSQL, aiohttp", (python, "pgqueuer_peer.py"), (python, "pgqueuer_peer.py")),
            *(postgres, "PEER_POSTGRES", 20_000),
        ),
        Peer(
            *("BullMQ, Redis, undici", (node, "bullmq_peer.mjs"), (node, "bullmq_peer.mjs")),
            *(redis, "PEER_REDIS", 20_000),
        ),
    ]


async def run(peer: Peer, folder: Path, port: int) -> str:
    """Have a peer deliver a backlog, and say how it went."""
    async with peer.store() as (url, store):
        environment = {
            **os.environ,
            peer.variable: url,
            "PEER_URL": f"http://127.0.0.1:{port}",
            "PEER_BODY": webhooks.DATA.replace("%1$s", "1"),
        }
        queueing = await asyncio.create_subprocess_exec(*peer.queue, str(peer.deliveries), cwd=folder, env=environment)
        if await queueing.wait():
            return "could not be queued for"
        before = await received(port)
        async with working(peer, folder, environment) as worker:
            first, began = await until(port, before + peer.deliveries // 10), time.perf_counter()
            cpu = [ground.cpu(worker), ground.cpu(store)]
            last, took = await until(port, before + int(peer.deliveries * 0.95)), time.perf_counter() - began
            spent = [ground.cpu(worker) - cpu[0], ground.cpu(store) - cpu[1]]
    each, each_store = (seconds / (last - first) * 1000 for seconds in spent)
    return (
        f"{(last - first) / took:,.0f}/s; CPU per delivery: {each + each_store:.2f} ms"
        f" ({each:.2f} worker, {each_store:.2f} store)"
    )


@contextlib.asynccontextmanager
async def working(peer: Peer, folder: Path, environment: Mapping[str, str]) -> AsyncIterator[psutil.Process]:
    """Run a peer's worker."""
    nowhere = asyncio.subprocess.DEVNULL
    worker = await asyncio.create_subprocess_exec(
        *peer.work, cwd=folder, env=environment, stdout=nowhere, stderr=nowhere
    )
    try:
        yield psutil.Process(worker.pid)
    finally:
        for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await worker.wait()


@contextlib.asynccontextmanager
async def redis() -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run a Redis of our own that keeps what it is told, as BullMQ asks for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="purvey-redis-"))
    options = ("--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes", "--loglevel", "warning")
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec("redis-server", *options, stdout=nowhere)
    try:
        await _answers(port)
        yield f"redis://127.0.0.1:{port}/0", psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run a PostgreSQL like ours."""
    async with ground.fresh_postgres() as (url, folder):
        yield url, ground.postgres(folder)


async def received(port: int) -> int:
    """Return how many events the receiver has received."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /count HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    count = int(await reader.readexactly(int(head.partition(b"Content-Length: ")[2])))
    writer.close()
    return count


async def until(port: int, count: int) -> int:
    """Return how many events have been received, once it is `count`."""
    found = 0
    async with asyncio.timeout(LONGEST):
        while found < count:
            await asyncio.sleep(0.1)
            found = await received(port)
    return found


async def _answers(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("redis-server does not answer")


if __name__ == "__main__":
    asyncio.run(measure(Path(sys.argv[1]).absolute()))
