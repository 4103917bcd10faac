"""The ground that measurements stand on: an embedded PostgreSQL with fsync on, and the CPU time that it uses."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from purvey.server.installation import bring_up_to_date
from purvey.server.kit.embedded import EmbeddedPostgres, binaries


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


def postgres_cpu(folder: Path) -> float:
    """Return the seconds of CPU that the cluster's processes have used; those of connections that are gone are not counted."""
    postmaster = psutil.Process(int((folder / "pg" / "postmaster.pid").read_text().split()[0]))
    return sum(sum(process.cpu_times()[:2]) for process in (postmaster, *postmaster.children()))


async def commits_per_second(url: str, clients: int, seconds: int) -> float:
    """Return how many one-row inserts pgbench commits in a second on the same cluster: what the disk and the server allow."""
    script = Path(tempfile.mkstemp(suffix=".sql")[1])
    script.write_text(
        "INSERT INTO bench_rows (text) VALUES ('a row of about a hundred bytes, to be written and committed');\n"
    )
    await _run("psql", url, "-qc", "CREATE TABLE bench_rows (id bigserial PRIMARY KEY, text text)")
    options = ("-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(script))
    output = await _run("pgbench", *options, url)
    script.unlink()
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
