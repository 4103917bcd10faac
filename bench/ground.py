"""The ground that measurements stand on: an embedded PostgreSQL with fsync on, a server of several processes, and what they use."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import psutil

from purvey.server.installation import bring_up_to_date
from purvey.server.kit.embedded import EmbeddedPostgres, binaries

SECRET_KEY = "a key that only measurements use and nobody else"  # noqa: S105  # protects nothing


@contextlib.asynccontextmanager
async def fresh_postgres() -> AsyncIterator[tuple[str, Path]]:
    """Give the URL of a migrated database on a cluster of its own, and the cluster's folder."""
    folder = Path(tempfile.mkdtemp(prefix="purvey-bench-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder)
    try:
        url = await asyncio.to_thread(server.start)
        await bring_up_to_date(url)
        yield url, folder
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def serving(url: str, processes: int) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Run `purvey serve` with so many processes that answer requests, and none that works; give its port and itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PURVEY_DATABASE_URL": url,
        "PURVEY_SECRET_KEY": SECRET_KEY,
        "PURVEY_LOG_FORMAT": "json",
        "PURVEY_RATE_LIMITS": "off",
    }
    command = (sys.executable, "-m", "purvey", "serve", "--port", str(port), "--role", "api")
    said = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    server = await asyncio.create_subprocess_exec(
        *command, "--processes", str(processes), stdout=asyncio.subprocess.PIPE, stderr=said, env=environment
    )
    try:
        assert server.stdout  # noqa: S101  # for the type checker
        if b"ready" not in await server.stdout.readline():
            said.seek(0)
            raise RuntimeError(f"the server did not start: {said.read().decode()}")
        yield port, psutil.Process(server.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await server.wait()
        said.close()


def postgres(folder: Path) -> psutil.Process:
    """Return the cluster's first process."""
    return psutil.Process(int((folder / "pg" / "postmaster.pid").read_text().split()[0]))


def cpu(process: psutil.Process) -> float:
    """Return the seconds of CPU that a process and its children have used; those of children that are gone are not counted."""
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


async def pgbench(url: str, script: Iterable[str], clients: int, seconds: int) -> float:
    """Return how many transactions a second pgbench makes of a script, each statement prepared."""
    file = Path(tempfile.mkstemp(suffix=".sql")[1])
    file.write_text("\n".join(script))
    options = ("-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(file))
    output = await _run("pgbench", *options, url)
    file.unlink()
    [line] = [line for line in output.splitlines() if line.startswith("tps")]
    return float(line.split()[2])


async def _run(tool: str, *args: str) -> str:
    child = await asyncio.create_subprocess_exec(
        binaries() / tool, *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaint = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{tool}: {complaint.decode()}")
    return output.decode()
