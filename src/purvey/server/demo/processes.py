"""The processes of the demonstration: the server and the seller's agent, each of its own, both gone at the end."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

PATIENCE = 60.0
"""Seconds that a process may take to answer."""


class DemoError(OSError):
    """Something in the demonstration did not happen; the message says what, and where the log is."""


def free_port() -> int:
    """Return a port on loopback that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give an empty directory that the embedded database's user can reach; it goes at the end."""
    path = Path(tempfile.mkdtemp(prefix="purvey-demo-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.asynccontextmanager
async def process(
    module: str, *args: str, log: Path, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m module args` and end it with SIGTERM."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PURVEY_")}
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *args, stdout=output, stderr=output, env=inherited | environment
        )
    try:
        yield child
    finally:
        await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    await child.wait()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM cancel the task that runs the body; later ones change nothing, so that it can tidy up.

    Raises DemoError when the body was ended so.
    """
    loop, task, told = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

    def stop() -> None:
        if task and not told.is_set():
            told.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    except asyncio.CancelledError:
        if told.is_set():
            raise DemoError("Stopped before the end. Nothing is left behind.") from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def until_answering(url: str, child: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until `url` answers at all; raise DemoError with the end of the log when the process ends or stays silent."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while child.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url):
                        return
                await asyncio.sleep(0.05)
    raise DemoError(f"{url} does not answer. The end of its log:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def create_account(data: Path, environment: dict[str, str]) -> dict[str, str]:
    """Run `purvey accounts create` beside the server, and return what it printed."""
    command = (
        "-m",
        "purvey",
        "accounts",
        "create",
        "--email",
        "stella@example.com",
        "--name",
        "Stella Stars",
        "--json",
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        "--data",
        str(data),
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ) | environment,
    )
    try:
        output, _ = await child.communicate()
    finally:
        await _end(child)
    if child.returncode:
        raise DemoError("`purvey accounts create` failed.")
    made: dict[str, str] = json.loads(output)
    return made
