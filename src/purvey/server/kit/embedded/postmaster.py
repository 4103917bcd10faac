"""Finding out whether a server runs from this data directory, and where it listens.

A process id alone proves nothing: it may belong to another process by now, or live in another container. Proof is a
socket of ours that accepts a connection; the process is looked at only where nothing accepts.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from purvey.server.kit.embedded.layout import Layout
from purvey.server.kit.embedded.server_user import ServerUser

ROLE = "purvey"
DATABASE = "purvey"
SOCKET_PORT = 5432
READY = "ready"

# The shortest limit of the supported systems (macOS: 104 bytes with the final zero byte).
_LONGEST_SOCKET_PATH = 103
_SOCKET_NAME = f".s.PGSQL.{SOCKET_PORT}"
# A comma or a quote would have to survive a shell, PostgreSQL's list syntax and every driver's URL parser.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+=~-]+")
_TEMPORARY_PREFIX = "purvey-pg-"
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Address:
    """Where a server listens: `host` is a socket directory (or 127.0.0.1 where there are no such sockets)."""

    host: str
    port: int

    def dsn(self, password: str) -> str:
        """Return the libpq URI of the database `purvey`."""
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(self.host, safe='/')}&port={self.port}"

    def accepts(self) -> bool:
        """Return whether a server accepts connections here."""
        try:
            with self._connect():
                return True
        except BlockingIOError:
            return True  # the queue of waiting connections is full: somebody listens
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        if sys.platform == "win32":
            return socket.create_connection((self.host, self.port), _PATIENCE_SECONDS)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE_SECONDS)
        try:
            connection.connect(f"{self.host}/.s.PGSQL.{self.port}")
        except OSError:
            connection.close()
            raise
        return connection


@dataclass(frozen=True)
class PidFile:
    """What the server wrote into `postmaster.pid` so far; later lines appear while it starts."""

    pid: int
    cluster: str
    address: Address | None
    status: str

    def is_about(self, cluster: Path) -> bool:
        """Return whether the file was written for this cluster, not copied along from another."""
        try:
            return Path(self.cluster).samefile(cluster)
        except OSError:
            return False


def read_pid_file(layout: Layout) -> PidFile | None:
    """Return the content of `postmaster.pid`, or None when there is none or it is not written yet."""
    try:
        lines = (layout.cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    lines = [line.strip() for line in lines] + [""] * 8
    if not lines[0].lstrip("-").isdigit():
        return None
    host = lines[4] or lines[5]
    address = Address(host, int(lines[3])) if host and lines[3].isdigit() else None
    # A single-user server writes its process id with a minus sign.
    return PidFile(abs(int(lines[0])), lines[1], address, lines[7])


def listening(layout: Layout) -> Address | None:
    """Return where a server of this data directory accepts connections, or None."""
    written = read_pid_file(layout)
    if written is None:
        return None
    own = Address(str(layout.socket_dir), SOCKET_PORT)
    if sys.platform != "win32" and own.accepts():
        return own
    if written.address and written.is_about(layout.cluster) and written.address.accepts():
        return written.address
    return None


def choose_address(layout: Layout, user: ServerUser, before: Address | None) -> Address:
    """Prepare a place to listen at: the socket directory in the data directory, or a short temporary one.

    A server that died is found again where it was `before`, so that whoever is connected to it need not be told.
    """
    if sys.platform == "win32":
        return Address("127.0.0.1", before.port if before and _is_free(before.port) else _free_port())
    if _fits(layout.socket_dir):
        layout.socket_dir.mkdir(mode=0o700, exist_ok=True)
        folder = layout.socket_dir
    elif before and _is_ours(Path(before.host), user):
        folder = Path(before.host)
        _remove_socket(folder)
    else:
        folder = _temporary_folder(user)
    user.give(folder)
    return Address(str(folder), SOCKET_PORT)


def forget_address(layout: Layout, address: Address | None) -> None:
    """Remove the temporary socket directory of a server that is gone."""
    if address is None or address.host == str(layout.socket_dir):
        return
    folder = Path(address.host)
    if folder.name.startswith(_TEMPORARY_PREFIX):
        _remove_socket(folder)
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove_stale_files(layout: Layout) -> None:
    """Remove the lock files of a server that is gone.

    PostgreSQL does so by itself, unless the process id written in them has been given to another process of its user.
    """
    for path in (layout.cluster / "postmaster.pid", layout.socket_dir / f"{_SOCKET_NAME}.lock"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = abs(int(path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]))
            if not runs_cluster(pid, layout.cluster):
                path.unlink()


def runs_cluster(pid: int, cluster: Path) -> bool:
    """Return whether this process is a living PostgreSQL that works in this cluster.

    Where the system does not tell in which folder a process works, every living PostgreSQL counts.
    """
    if Path("/proc/self/cwd").exists():
        return _works_in(Path(f"/proc/{pid}"), cluster)
    listing = ["tasklist", "/FI", f"PID eq {pid}"] if sys.platform == "win32" else ["ps", "-o", "comm=", "-p", str(pid)]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, fixed words
    return "postgres" in done.stdout


def quit_orphans(cluster: Path) -> None:
    """Tell server processes whose parent was killed to quit at once, where the system tells which they are."""
    for process in Path("/proc").glob("[0-9]*"):
        if _works_in(process, cluster):
            with contextlib.suppress(OSError):
                os.kill(int(process.name), signal.SIGQUIT)


def _works_in(process: Path, cluster: Path) -> bool:
    # A dead process that nobody has collected works nowhere.
    try:
        return (process / "comm").read_text().startswith("postgres") and (process / "cwd").samefile(cluster)
    except OSError:
        return False


def _fits(folder: Path) -> bool:
    path = str(folder / _SOCKET_NAME)
    return len(path) <= _LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(path) is not None


def _temporary_folder(user: ServerUser) -> Path:
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - mkdtemp makes a private folder in it
    typical = f"{_TEMPORARY_PREFIX}12345678"
    parent = next((each for each in parents if _fits(each / typical) and user.can_enter(each)), parents[-1])
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=parent))


def _is_ours(folder: Path, user: ServerUser) -> bool:
    """Return whether this is a temporary folder that nobody but the server's user can have changed."""
    if not folder.name.startswith(_TEMPORARY_PREFIX) or folder.is_symlink() or not folder.is_dir():
        return False
    found = folder.stat()
    return found.st_mode & 0o777 == 0o700 and found.st_uid == (os.geteuid() if user.uid is None else user.uid)


def _remove_socket(folder: Path) -> None:
    for leftover in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
        (folder / leftover).unlink(missing_ok=True)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
