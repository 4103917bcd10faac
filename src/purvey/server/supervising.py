"""`purvey serve` with several processes: this one keeps the database and starts the others, and starts again whoever dies.

Those that answer requests share one port, over which the kernel spreads the connections; one more does the queued work. Each holds
the other end of a pipe to this process, and stops when that closes: however this one ends, none is left behind.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import structlog

from purvey.server import installation, serving
from purvey.server.installation import StartError
from purvey.server.kit.metrics import is_alive
from purvey.server.settings import Settings

log = structlog.get_logger()

STOP_WITHIN = 60.0
"""Seconds that a process may take to finish what it has begun, before it is killed."""
AGAIN_AFTER = 1.0
"""Seconds between the death of a process and its next start."""
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes put their counters together; the name is prometheus_client's."""


async def supervise(settings: Settings, role: Literal["all", "api"], ready: Callable[[str], None]) -> None:
    """Run `settings.processes` processes until SIGTERM or SIGINT. `ready` is called once all of them answer."""
    stop = serving.until_told()
    serving.check_port(settings)
    with _port_held(settings), _metrics_folder() as metrics:
        async with serving.database_url(settings, role) as url:
            installation.keyring(settings)
            await installation.bring_up_to_date(url)
            commands = [_serve(settings)] * settings.processes + ([_work(settings)] if role == "all" else [])
            told = {**_as_environment(settings), METRICS_FOLDER: metrics}
            children = [Child(command, told) for command in commands]
            await _keep(children, stop, lambda: ready(settings.url))


class Child:
    """One process, started again when it dies."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._process: Process | None = None
        self.answering = asyncio.Event()

    async def keep(self, stop: asyncio.Event) -> None:
        """Run it until told to stop; raise StartError when it cannot start at all."""
        while not stop.is_set():
            process = await self._start()
            over = asyncio.create_task(process.wait())
            told = asyncio.create_task(stop.wait())
            await asyncio.wait({over, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if stop.is_set():
                await _end(process)
            elif not self.answering.is_set():
                raise StartError("A process of the server could not start; what it said is above.")
            else:
                log.error("process.died", pid=process.pid, code=process.returncode, action="starting another one")
                await asyncio.sleep(AGAIN_AFTER)

    async def _start(self) -> Process:
        # In a session of its own: Ctrl-C in a terminal reaches this process alone, which then ends the others in order.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=self._environment, start_new_session=True
        )
        assert process.stdout  # noqa: S101  # for the type checker
        if await process.stdout.readline():
            self.answering.set()
        return process


async def _keep(children: Sequence[Child], stop: asyncio.Event, ready: Callable[[], None]) -> None:
    keeping = [asyncio.create_task(child.keep(stop)) for child in children]
    saying = asyncio.create_task(_say_when_all_answer(children, ready))
    await asyncio.wait(keeping, return_when=asyncio.FIRST_EXCEPTION)
    saying.cancel()
    stop.set()
    await asyncio.gather(*keeping)


async def _say_when_all_answer(children: Sequence[Child], ready: Callable[[], None]) -> None:
    for child in children:
        await child.answering.wait()
    ready()


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN)
    except TimeoutError:
        log.warning("process.killed", pid=process.pid, reason=f"it did not stop within {STOP_WITHIN:.0f} s")
        process.kill()
        await process.wait()


@contextlib.contextmanager
def _port_held(settings: Settings) -> Iterator[None]:
    """Keep the port from others while no process listens; nobody connects to this socket, since it does not listen."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((settings.host, settings.port))
        yield


@contextlib.contextmanager
def _metrics_folder() -> Iterator[str]:
    """Make a folder for the counters, and remove those that killed servers have left."""
    for left in Path(tempfile.gettempdir()).glob("purvey-metrics-*-*"):
        pid = left.name.split("-")[2]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"purvey-metrics-{os.getpid()}-") as folder:
        yield folder


def _as_environment(settings: Settings) -> dict[str, str]:
    """Return what the command line may have said, as the other processes are told it."""
    return {"PURVEY_HOST": settings.host, "PURVEY_PORT": str(settings.port), "PURVEY_BASE_URL": settings.url}


def _serve(settings: Settings) -> list[str]:
    return [*_program("serve", settings.data_dir), "--role", "api", "--processes", "1", "--child"]


def _work(settings: Settings) -> list[str]:
    return [*_program("worker", settings.data_dir), "--child"]


def _program(command: str, data_dir: Path) -> list[str]:
    return [sys.executable, "-m", "purvey", command, "--data", str(data_dir)]
