"""The product as its users run it: the command `purvey` in processes of its own, on data directories of their own."""

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest

from purvey.server.demo.processes import free_port

PATIENCE = 120.0
"""Real seconds after which what does not happen has failed; a busy machine takes a quarter of it to start a server."""

PURVEY = (sys.executable, "-m", "purvey")
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
SECRET_KEY = "a secret key for tests that is long enough"


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Yield an empty folder that PostgreSQL's user can reach; leave neither it nor a process in it behind."""
    folder = Path(tempfile.mkdtemp(prefix="pv-", dir="/tmp"))  # pytest's own is closed to that user
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        for pid in processes_about(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """Yield a folder on a memory disk of this size; skip where nothing may be mounted."""
    with open_folder() as folder:
        size = f"size={mebibytes}m,mode=0711"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "purvey", str(folder)], check=False).returncode:
            pytest.skip("this machine does not let us mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def processes_about(folder: Path) -> list[int]:
    """Return the processes that work in `folder` or name it in their command line, this one aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = str(folder).encode() in (process / "cmdline").read_bytes()
            if named or (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def names_in(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def postmaster(data: Path) -> int:
    """Return the process id of the PostgreSQL that runs in a data directory."""
    return int((data / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with `given`, and without any setting of the server that we happen to have."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PURVEY_")}
    return inherited | {"PURVEY_LOG_FORMAT": "json"} | dict(given)


async def until(look: Callable[[], Any], what: str) -> Any:
    """Look again and again, with a short pause between, until something true is seen, and return it. `look` may be asynchronous."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = look()
                if seen := await seen if inspect.isawaitable(seen) else seen:
                    return seen
                await asyncio.sleep(0.05)
    pytest.fail(f"this did not happen within {PATIENCE} s: {what}")


@dataclass(frozen=True)
class Ended:
    """A command that has come to its end."""

    status: int
    output: str
    errors: str


def assert_told(ended: Ended, *words: str) -> None:
    """A command ended with status 1 and an error that has these words, and without a traceback."""
    assert ended.status == 1, ended
    assert ended.errors.startswith("Error: "), ended.errors
    assert "Traceback" not in ended.errors
    assert "[Errno" not in ended.errors
    for word in words:
        assert word in ended.errors, ended.errors


async def run(*command: str, settings: Mapping[str, str] = NO_SETTINGS) -> Ended:
    """Run a command to its end."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env=environment(settings),
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await child.communicate()
    finally:
        await _kill(child)
    assert child.returncode is not None
    return Ended(child.returncode, output.decode(), errors.decode())


async def purvey(*arguments: str, settings: Mapping[str, str] = NO_SETTINGS) -> Ended:
    """Run `purvey` with these arguments to its end, in an environment with only these settings."""
    return await run(*PURVEY, *arguments, settings=settings)


async def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
    await child.wait()


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Process:
    """A process that goes on until it is told to stop; what it prints is in `log`."""

    child: asyncio.subprocess.Process
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind."""
        logged = [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]
        return [line for line in logged if line["event"] == event]

    async def until_said(self, text: str) -> None:
        """Wait until the process has printed `text`; fail at once when it ends without."""
        await until(lambda: text in self.said or self.child.returncode is not None, f"{self.log} says {text!r}")
        assert text in self.said, self.said

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        self.child.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self.child.wait()


@contextlib.asynccontextmanager
async def process(*command: str, log: Path, settings: Mapping[str, str] = NO_SETTINGS) -> AsyncIterator[Process]:
    """Run a command in the background; it is killed at the end if it is still there."""
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL, env=environment(settings)
        )
    try:
        yield Process(child, log)
    finally:
        await _kill(child)


@dataclass(frozen=True)
class Serve(Process):
    """A running `purvey serve`."""

    url: str
    data: Path
    settings: Mapping[str, str]
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, key: str | None = None, body: object = None) -> Answer:
        """Send a request, as JSON if it has a body, and follow no redirect."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.session.request(
            method, self.url + path, headers=headers, json=body, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def account(self, email: str = "stella@example.com") -> dict[str, str]:
        """Make an account on the command line, beside the server; returns its id and API key."""
        arguments = ("accounts", "create", "--email", email, "--name", "Stella Stars", "--json")
        made = await purvey(*arguments, "--data", str(self.data), settings=self.settings)
        assert made.status == 0, made.errors
        found: dict[str, str] = json.loads(made.output)
        return found

    async def list_kit(self, key: str, **fields: object) -> dict[str, Any]:
        """Create and publish a listing, a static text unless told otherwise; returns it as created, with its secret."""
        told = {"name": "Kit", "price": 500, **fields}
        if told.get("fulfillment") != "external":
            told.setdefault("deliverables", [{"type": "text", "value": "the goods"}])
        made = await self.ask("POST", "/v1/listings", key=key, body=told)
        assert made.status == 201, made.text
        published = await self.ask("POST", f"/v1/listings/{made.json['id']}/publish", key=key)
        assert published.status == 200, published.text
        return {**made.json, "url": published.json["url"]}


@contextlib.asynccontextmanager
async def serving(
    data: Path, *arguments: str, settings: Mapping[str, str] = NO_SETTINGS, port: int = 0
) -> AsyncIterator[Serve]:
    """Run `purvey serve` on a free port, or the one given, and wait until it is ready; at the end it is killed if it is there."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = (*PURVEY, "serve", "--port", str(port), "--data", str(data), *arguments)
    log = data.parent / f"{data.name}-{port}.log"
    async with process(*command, log=log, settings=settings) as begun, aiohttp.ClientSession() as session:
        server = Serve(begun.child, log, url, data, settings, session)
        await server.until_said(f"ready at {url}")
        assert (await server.ask("GET", "/readyz")).status == 200
        yield server
