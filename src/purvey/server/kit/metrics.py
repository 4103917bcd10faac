"""What a process counts and measures, for Prometheus: in memory, or in a folder that the processes of one machine share.

With PROMETHEUS_MULTIPROC_DIR in the environment when a process starts, each keeps its values in files there, and whichever is
asked answers for all of them: what is counted stays counted when a process dies, and what only a living one has goes with it.
The folder belongs to one run of one group of processes, and is empty before it.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the shared folder; prometheus_client reads it when it is imported, and never again."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated
FOLDER = Path(os.environ[SHARED]) if os.environ.get(SHARED) else None
"""The shared folder, if there is one."""
if FOLDER:
    FOLDER.mkdir(parents=True, exist_ok=True)

REGISTRY = CollectorRegistry()
"""All that this process counts and measures."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The methods told apart; whatever else a client calls its method is `other`, so that nobody can make up new labels."""

REQUESTS = Histogram(
    "purvey_http_request_seconds",
    "How long requests took, by route template, method and class of status.",
    ["route", "method", "status"],
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "purvey_attempts",
    "Tries to reach somebody else, by kind and what came of them.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
CONNECTIONS = Gauge(
    "purvey_database_connections",
    "Connections to the database that are open, by whether they are in use.",
    ["state"],
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
CONNECTIONS_MOST = Gauge(
    "purvey_database_connections_max",
    "Connections to the database that may be open.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
PROCESSES = Gauge(
    "purvey_processes", "Processes that these figures are about.", multiprocess_mode="livesum", registry=REGISTRY
)
CPU = Counter("process_cpu_seconds", "Processor time used, in seconds.", registry=REGISTRY)
_SEEN = {
    "process_resident_memory_bytes": Gauge(
        "process_resident_memory_bytes", "Memory in use, in bytes.", multiprocess_mode="livesum", registry=REGISTRY
    ),
    "process_open_fds": Gauge(
        "process_open_fds", "Files and sockets that are open.", multiprocess_mode="livesum", registry=REGISTRY
    ),
    "process_max_fds": Gauge(
        "process_max_fds",
        "Files and sockets that one process may have open.",
        multiprocess_mode="livemin",
        registry=REGISTRY,
    ),
    "process_start_time_seconds": Gauge(
        "process_start_time_seconds",
        "When the process, or the oldest of them, was started, in seconds since 1970.",
        multiprocess_mode="livemin",
        registry=REGISTRY,
    ),
}
_SYSTEM = ProcessCollector(registry=None)
_requests: dict[tuple[str | None, str, int], Histogram] = {}


def count_request(route: str | None, method: str, status: int | None, seconds: float) -> None:
    """Count a request that has ended. `route` is the template, None where none fits; `status` None: it was not answered."""
    key = (route, method if method in METHODS else "other", (status or 0) // 100)
    found = _requests.get(key)
    if found is None:
        found = _requests[key] = REQUESTS.labels(key[0] or "none", key[1], f"{key[2]}xx" if key[2] else "none")
    found.observe(seconds)


def look_at_process(cpu_before: float = 0.0) -> float:
    """Measure this process, and return the processor seconds that it has used; `cpu_before` were counted already."""
    PROCESSES.set(1)
    used = cpu_before
    for sample in (sample for metric in _SYSTEM.collect() for sample in metric.samples):
        if sample.name == "process_cpu_seconds_total":
            used = max(sample.value, cpu_before)
        elif sample.name in _SEEN:
            _SEEN[sample.name].set(sample.value)
    CPU.inc(used - cpu_before)
    return used


def page(found: Sequence[Metric]) -> bytes:
    """Return everything in Prometheus' text format: what processes keep, and after it what was `found` just now. Reads files."""
    return generate_latest(_kept()) + generate_latest(_Found(found))


def forget_dead() -> None:
    """Drop what only living processes have from the shared folder, for those that died and could not do it themselves."""
    files = FOLDER.glob("gauge_live*.db") if FOLDER else ()
    for pid in {int(path.stem.rpartition("_")[2]) for path in files}:
        if not is_alive(pid):
            with contextlib.suppress(FileNotFoundError):  # another process is at it too
                mark_process_dead(pid)  # type: ignore[no-untyped-call]  # not annotated


def _kept() -> Collector:
    if FOLDER is None:
        return REGISTRY
    forget_dead()
    return MultiProcessCollector(None, str(FOLDER))  # type: ignore[no-untyped-call]  # not annotated


def is_alive(pid: int) -> bool:
    """Return whether there is such a process; one that has ended and waits for its parent to notice is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True  # no such folder on this system


class _Found(Collector):
    """Gives Prometheus' writer the measures that it is made with."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Yield the measures."""
        yield from self._found
