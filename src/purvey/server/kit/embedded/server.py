"""Start, stop and find the embedded server."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from purvey.server.kit.directory_lock import waiting_turn
from purvey.server.kit.embedded.cluster import Programs, ensure_cluster, ensure_password
from purvey.server.kit.embedded.complaints import EmbeddedError, from_output, in_plain_words
from purvey.server.kit.embedded.installation import binaries_for
from purvey.server.kit.embedded.layout import Layout, open_private
from purvey.server.kit.embedded.postmaster import (
    READY,
    Address,
    PidFile,
    choose_address,
    forget_address,
    listening,
    quit_orphans,
    read_pid_file,
    remove_stale_files,
    runs_cluster,
)
from purvey.server.kit.embedded.server_user import ServerUser, admit, server_user

_START_SECONDS = 300
"""How long a start may take: recovery after a crash reads up to a checkpoint's worth of log."""

_ORPHANS_SECONDS = 30.0
"""How long a start waits for processes of a killed server to leave."""

_ORPHANS_ASKED_AFTER = 2.0
"""When they are told to quit at once; most leave by themselves within milliseconds."""

_POLL_SECONDS = 0.05

# How PostgreSQL says that something of a killed server, or a server that is just stopping, is still there.
_STILL_THERE = re.compile(r'is still in use|lock file ".+" already exists|Address already in use')


class EmbeddedPostgres:
    """The PostgreSQL server of one data directory.

    `data_dir` is made when missing. `options` are PostgreSQL settings for the server's command line, such as
    `{"fsync": "off"}` for tests, except where it listens; a server that runs already keeps the settings it has. The server outlives
    this object and this process; any process may `start` and `stop` it, one at a time.
    """

    def __init__(self, data_dir: Path, *, options: Mapping[str, str] | None = None) -> None:
        self._layout = Layout(data_dir.resolve())
        self._options = dict(options or {})

    def start(self) -> str:
        """Start the server, or adopt the one that runs, and return the URL of the database `purvey`.

        Blocks until the server answers: a second or two for a new directory, a fraction of one for an old one, and up
        to five minutes when much has to be recovered. The URL serves asyncpg as well as `psql` and `pgbench`.

        Raises:
            EmbeddedError: it could not be started; the message says why and what to do.

        """
        with in_plain_words(self._layout.data_dir):
            self._layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            user = server_user(self._layout)
            with waiting_turn(self._layout.start_lock):
                return self._adopt() or self._start(user)

    def stop(self) -> None:
        """Stop the server, cutting its connections off, and wait until it is gone. Does nothing if none runs.

        Raises:
            EmbeddedError: it did not stop within five minutes, or its process is out of reach.

        """
        with in_plain_words(self._layout.data_dir):
            if not self._layout.cluster.exists():
                return
            user = server_user(self._layout)
            with waiting_turn(self._layout.start_lock):
                written = _living(self._layout)
                if written is not None:
                    self._stop(user, written)
                    forget_address(self._layout, written.address)

    def is_running(self) -> bool:
        """Return whether a server of this directory accepts connections, whoever started it."""
        with in_plain_words(self._layout.data_dir):
            return listening(self._layout) is not None

    def _adopt(self) -> str | None:
        address = _until_ready(self._layout)
        return address.dsn(_known_password(self._layout)) if address else None

    def _start(self, user: ServerUser) -> str:
        layout = self._layout
        admit(user, layout)
        programs = Programs(binaries_for(user, layout), user)
        ensure_cluster(layout, programs, self._options)
        stale = read_pid_file(layout)
        before = stale.address if stale and stale.is_about(layout.cluster) else None
        remove_stale_files(layout)
        password = ensure_password(layout, programs)
        address = choose_address(layout, user, before)
        layout.rotate_log()
        try:
            self._launch(programs, address)
        except BaseException:
            if not listening(layout):
                forget_address(layout, address)
            raise
        return address.dsn(password)

    def _launch(self, programs: Programs, address: Address) -> None:
        began = time.monotonic()
        while (output := self._try_launch(programs, address)) is not None:
            waited = time.monotonic() - began
            if waited > _ORPHANS_SECONDS or not _STILL_THERE.search(output):
                raise self._launch_failed(output)
            if waited > _ORPHANS_ASKED_AFTER and _living(self._layout) is None:
                quit_orphans(self._layout.cluster)
            time.sleep(_POLL_SECONDS)

    def _try_launch(self, programs: Programs, address: Address) -> str | None:
        """Return None when the server is up, else what was printed."""
        with open_private(self._layout.log, os.O_RDWR | os.O_APPEND) as log:
            mark = os.fstat(log).st_size
            done = programs.run(
                "pg_ctl", "-s", "-w", "-t", str(_START_SECONDS), "-o", _command_line(address, self._options), "start",
                environment={"PGDATA": str(self._layout.cluster)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            if done.returncode == 0:
                return None
            os.lseek(log, mark, os.SEEK_SET)
            return os.read(log, 2**20).decode(errors="replace")

    def _launch_failed(self, output: str) -> EmbeddedError:
        if "did not start in time" in output:
            return EmbeddedError(
                f"The embedded PostgreSQL in {self._layout.data_dir} is still recovering after {_START_SECONDS} "
                f"seconds. It goes on by itself: start again to wait for it, and see {self._layout.log}."
            )
        return from_output("The embedded PostgreSQL did not start", output, self._layout.data_dir, self._layout.log)

    def _stop(self, user: ServerUser, written: PidFile) -> None:
        if not runs_cluster(written.pid, self._layout.cluster):
            raise EmbeddedError(
                f"The PostgreSQL in {self._layout.data_dir} runs where its process cannot be seen from here, "
                "in another container perhaps: stop it there."
            )
        done = Programs(binaries_for(user, self._layout), user).run(
            "pg_ctl", "-s", "-m", "fast", "-w", "-t", str(_START_SECONDS), "stop",
            environment={"PGDATA": str(self._layout.cluster)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode and _living(self._layout):
            raise from_output("The embedded PostgreSQL did not stop", done.stdout, self._layout.data_dir)


def attach(data_dir: Path) -> str:
    """Return the URL of the server that runs from this directory, for programs beside `purvey serve`.

    Raises:
        EmbeddedError: none runs there, or its password may not be read.

    """
    layout = Layout(data_dir.resolve())
    with in_plain_words(layout.data_dir):
        address = _until_ready(layout)
        if address is None:
            raise EmbeddedError(
                f"No database is running in {layout.data_dir}. Start `purvey serve` with this data directory first, "
                "or name the right one with --data."
            )
        return address.dsn(_known_password(layout))


def _living(layout: Layout) -> PidFile | None:
    """Return what a living server wrote about itself, whether it accepts connections already or not; else None."""
    written = read_pid_file(layout)
    alive = written and (listening(layout) or runs_cluster(written.pid, layout.cluster))
    return written if alive else None


def _until_ready(layout: Layout) -> Address | None:
    """Wait for a server that is starting or recovering; None when there is none or it goes away."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        written = _living(layout)
        if written is None:
            return None
        address = listening(layout)
        if address and written.status == READY:
            return address
        time.sleep(_POLL_SECONDS)
    raise EmbeddedError(
        f"The PostgreSQL in {layout.data_dir} has been starting for more than {_START_SECONDS} seconds. "
        f"See {layout.log}, and start again to go on waiting."
    )


def _known_password(layout: Layout) -> str:
    password = layout.read_password()
    if password is None:
        raise EmbeddedError(
            f"A PostgreSQL runs in {layout.data_dir}, but its password file {layout.password} is gone. "
            "Stop that server; the next `purvey serve` sets a new password."
        )
    return password


def _command_line(address: Address, options: Mapping[str, str]) -> str:
    on_socket = {
        "listen_addresses": "",
        "unix_socket_directories": address.host,
        "unix_socket_permissions": "0700",
    }
    on_loopback = {"listen_addresses": address.host}
    ours = (on_loopback if sys.platform == "win32" else on_socket) | {"port": str(address.port)}
    settings = dict(options) | ours
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
