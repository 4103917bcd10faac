"""One process of the server, from start to stop: the database, the schema, the web application, the worker.

What can go wrong at the start is said in a sentence that tells what to do. At the stop, what is in flight is finished and nothing
new is begun; what is left over is in the database, and the next start goes on with it.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Literal

import structlog
from granian.constants import Interfaces
from granian.server.embed import Server
from granian.utils.proxies import wrap_asgi_with_proxy_headers

from purvey.server import installation
from purvey.server.app import App, build
from purvey.server.installation import StartError
from purvey.server.kit.clock import MEASURE_EVERY, DatabaseClock
from purvey.server.kit.directory_lock import DirectoryLock
from purvey.server.kit.embedded import EmbeddedPostgres, attach
from purvey.server.kit.problem import Unavailable
from purvey.server.metrics.exposing import Address, exposed
from purvey.server.settings import Settings

log = structlog.get_logger()

Role = Literal["all", "api", "worker"]
STOP_WITHIN = 25.0
"""Seconds that requests under way have to end when the process stops. A download that is cut off goes on elsewhere, uncounted."""
WATCH_EVERY = 1.0
"""Seconds between two looks at whether the embedded PostgreSQL still runs."""


async def serve(
    settings: Settings,
    role: Role = "all",
    ready: Callable[[str], None] = print,
    *,
    child: bool = False,
    metrics_at: Address | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. `ready` is called with the base URL once requests are answered, or work is done.

    A `child` shares port and database with others, whom their parent keeps, and stops when its standard input closes.
    `metrics_at` is where a process answers /metrics that answers nothing else.
    """
    stop = until_told()
    if child:
        await _stop_with_parent(stop)
    elif role != "worker":
        check_port(settings)
    async with (
        database_url(settings, "worker" if child else role) as url,
        _running_app(settings, url, role) as app,
        exposed(app.measures, app.watched, metrics_at),
    ):
        await _run(app, settings, role, ready, stop)


def until_told() -> asyncio.Event:
    """Return what is set at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class _Lifeline(asyncio.Protocol):
    """Sees the other end of a pipe close."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio gives it
        self._stop.set()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    await asyncio.get_running_loop().connect_read_pipe(lambda: _Lifeline(stop), sys.stdin)


async def _run(app: App, settings: Settings, role: Role, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    if role != "api":
        await app.begin_work()
    try:
        await _serve_until(stop, app, settings, role, ready)
    finally:
        if role != "api":
            await app.worker.stop()


async def _serve_until(
    stop: asyncio.Event, app: App, settings: Settings, role: Role, ready: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(stop.wait() if role == "worker" else _answer(app, settings, stop))
    if role != "worker":
        await _until_answering(settings, serving)
    if not serving.done():
        ready(app.tools.base_url)
    log.info("serving", url=app.tools.base_url, role=role)
    await asyncio.wait({serving, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    app.health.stop()
    app.watch.stop()
    log.info("stopping")
    stop.set()
    await serving


async def _answer(app: App, settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until told to stop; then let those under way end, but for who takes longer than `STOP_WITHIN`."""
    web = wrap_asgi_with_proxy_headers(app.web, settings.proxies)
    server = Server(web, settings.host, settings.port, interface=Interfaces.ASGI, log_enabled=False, backlog=1024)
    answering = asyncio.create_task(server.serve())
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({answering, told}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            server.stop()  # type: ignore[no-untyped-call]  # Granian's is not annotated
            await asyncio.wait({answering}, timeout=STOP_WITHIN)
        if not answering.done():
            log.warning("stopping.cut_off", seconds=STOP_WITHIN)
            return
        await answering
    finally:
        told.cancel()
        answering.cancel()


async def _until_answering(settings: Settings, serving: "asyncio.Task[object]") -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(settings.host, settings.port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    serving.result()


@contextlib.asynccontextmanager
async def _running_app(settings: Settings, url: str, role: Role) -> AsyncIterator[App]:
    keys = installation.keyring(settings)
    await installation.bring_up_to_date(url)
    database = await installation.open_database(url, connections=settings.database_connections)
    clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
    await clock.measure()
    await installation.check_secret_key(database, keys)
    settings = await installation.agree_on_url(database, settings, answers=role != "worker")
    if settings.allow_private_urls:
        log.warning(
            "PURVEY_ALLOW_PRIVATE_URLS is on: webhooks may reach private addresses. For local development only."
        )
    app = build(settings, database, clock, keys)
    measuring = asyncio.create_task(_keep_measuring(clock))
    try:
        yield app
    finally:
        measuring.cancel()
        await app.close()
        await database.close()


async def _keep_measuring(clock: DatabaseClock) -> None:
    while True:
        await asyncio.sleep(MEASURE_EVERY)
        with contextlib.suppress(Unavailable):
            await clock.measure()


@contextlib.asynccontextmanager
async def database_url(settings: Settings, role: Role) -> AsyncIterator[str]:
    """Give the URL that is set, or run the embedded PostgreSQL for as long as this process lives."""
    if settings.database_url:
        yield settings.database_url
    elif role == "worker":
        yield attach(settings.data_dir)
    else:
        with _holding(settings.data_dir):
            embedded = EmbeddedPostgres(settings.data_dir)
            url = await asyncio.to_thread(embedded.start)
            watching = asyncio.create_task(_keep_running(embedded))
            try:
                yield url
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await asyncio.to_thread(embedded.stop)


@contextlib.contextmanager
def _holding(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process; raise StartError when it cannot be made or written."""
    lock = DirectoryLock(data_dir)
    try:
        lock.acquire()
    except OSError as error:
        raise StartError(
            f"The data directory {data_dir} cannot be used: {error.strerror or error}. "
            "Check who owns it and whether it may be written, or choose another with --data."
        ) from None
    try:
        yield
    finally:
        lock.release()


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start PostgreSQL again whenever it is found dead; requests meanwhile are told 503 and may come again."""
    while True:
        await asyncio.sleep(WATCH_EVERY)
        if not embedded.is_running():
            log.error("database.died", action="starting it again")
            try:
                await asyncio.to_thread(embedded.start)
            except Exception:
                log.exception("database.not_started")


def check_port(settings: Settings) -> None:
    """Raise StartError when the address is taken; better now than after the database was started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartError(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. "
                "Stop what uses it, or choose another with --port."
            ) from None
