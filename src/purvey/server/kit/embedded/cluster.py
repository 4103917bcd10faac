"""The cluster on disk: made once, completely or not at all."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from purvey.server.kit.embedded.complaints import EmbeddedError, from_output
from purvey.server.kit.embedded.installation import MAJOR
from purvey.server.kit.embedded.layout import Layout, open_private
from purvey.server.kit.embedded.postmaster import DATABASE, ROLE
from purvey.server.kit.embedded.server_user import ServerUser

_UNFINISHED = "pg.new."
_SUPERUSER = "postgres"
_REMOVALS = 100
_REMOVAL_SECONDS = 0.02

# Written into postgresql.conf when the cluster is made, and the operator's to change from then on.
_SETTINGS = {
    "max_connections": "100",  # a serve process takes a few tens, workers beside it the rest
    "shared_buffers": "128MB",  # fits a laptop and a container of 512 MB
    "wal_compression": "on",  # the queue rewrites the same pages often; half the log for little CPU
    "jit": "off",  # compiling costs more than any of the short statements
    "log_error_verbosity": "terse",  # not the row that an error is about: it has addresses and goods in it
    "log_checkpoints": "off",  # a line every five minutes says nothing in a log that is read when something fails
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Nobody but the application's role may log in; the superuser is reached in single-user mode only.
_HOST_BASED_ACCESS = f"""\
local all         {ROLE}              scram-sha-256
local replication {ROLE}              scram-sha-256
host  all         {ROLE} 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Programs:
    """The PostgreSQL programs, run as the user who owns the cluster."""

    folder: Path
    user: ServerUser

    def run(self, name: str, *arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
        """Run one and wait for it; it works in its own folder, because ours may be closed to the user."""
        program = self.folder / (f"{name}.exe" if sys.platform == "win32" else name)
        return self.user.run([program, *arguments], cwd=self.folder, **more)

    def run_sql(self, cluster: Path, statements: list[str], *options: str) -> subprocess.CompletedProcess[str]:
        """Execute statements, each on one line, as the superuser in a cluster that no server runs on.

        Through standard input, and without quoting them in the log, because they may contain a password.
        """
        quiet = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off")
        script = "".join(f"{statement}\n" for statement in statements)
        return self.run(
            "postgres", "--single", *quiet, *options, "-D", cluster, _SUPERUSER,
            input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def ensure_cluster(layout: Layout, programs: Programs, options: Mapping[str, str]) -> None:
    """Make the cluster when there is none; else see that it is one of our version.

    It is made beside its place and moved there when complete, so that a death half-way leaves nothing but a folder
    that the next start removes.

    Raises:
        EmbeddedError: `initdb` failed, or the folder holds something else.

    """
    _remove_unfinished(layout)
    if layout.cluster.exists() and any(layout.cluster.iterdir()):
        _check_version(layout)
        return
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=layout.data_dir))
    try:
        _make(unfinished, layout, programs, options)
        unfinished.replace(layout.cluster)
        _sync_folder(layout.data_dir)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def ensure_password(layout: Layout, programs: Programs) -> str:
    """Return the password; when its file is lost, give the role of a stopped cluster a new one."""
    known = layout.read_password()
    if known is not None:
        return known
    password = layout.make_password()
    done = programs.run_sql(layout.cluster, [f"ALTER ROLE {ROLE} PASSWORD '{password}'"])
    if done.returncode:
        layout.password.unlink()
        raise from_output("A new database password could not be set", done.stdout, layout.data_dir)
    return password


def _make(unfinished: Path, layout: Layout, programs: Programs, options: Mapping[str, str]) -> None:
    programs.user.give(unfinished)
    careless = options.get("fsync") == "off"
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    done = programs.run(
        "initdb", "-D", unfinished, "-U", _SUPERUSER, "--auth=reject", "--locale=C", "--encoding=UTF8",
        "--no-instructions", *(["--no-sync"] if careless else []), *settings,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise from_output("The embedded PostgreSQL could not be set up", done.stdout, layout.data_dir)
    _write_access_rules(unfinished / "pg_hba.conf")
    _make_database(unfinished, layout, programs, ["-F"] if careless else [])


def _write_access_rules(path: Path) -> None:
    # Made anew rather than overwritten: as root we follow no link that lies in another user's folder.
    path.unlink()
    with open_private(path, os.O_WRONLY | os.O_EXCL) as descriptor:
        os.write(descriptor, _HOST_BASED_ACCESS.encode())
        os.fsync(descriptor)


def _make_database(unfinished: Path, layout: Layout, programs: Programs, options: list[str]) -> None:
    password = layout.make_password()
    statements = [
        f"CREATE ROLE {ROLE} LOGIN CREATEDB REPLICATION PASSWORD '{password}'",
        f"GRANT pg_monitor, pg_checkpoint TO {ROLE}",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
    ]
    done = programs.run_sql(unfinished, statements, *options)
    if done.returncode:
        raise from_output("The database could not be made", done.stdout, layout.data_dir)


def _check_version(layout: Layout) -> None:
    try:
        found = (layout.cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise EmbeddedError(
            f"{layout.cluster} holds files but no PostgreSQL cluster (there is no PG_VERSION in it). "
            "Move it away, or choose another directory with --data."
        ) from None
    if found != str(MAJOR):
        raise EmbeddedError(
            f"{layout.cluster} was made by PostgreSQL {found}, and this Purvey brings PostgreSQL {MAJOR}, which cannot "
            f"read it. Dump it with the programs of version {found} and restore the dump into a new directory (--data), "
            f"or run a PostgreSQL {found} on it yourself and name it in PURVEY_DATABASE_URL."
        )


def _remove_unfinished(layout: Layout) -> None:
    for _ in range(_REMOVALS):
        leftovers = list(layout.data_dir.glob(f"{_UNFINISHED}*"))
        if not leftovers:
            return
        for leftover in leftovers:
            shutil.rmtree(leftover, ignore_errors=True)
        # An `initdb` that outlived its starter may be writing there still; it gives up when it finds its files gone.
        time.sleep(_REMOVAL_SECONDS)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
