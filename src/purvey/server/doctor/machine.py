"""Checks of the machine: Python, the settings, the data directory, names, the port, open files."""

import asyncio
import os
import platform
import shutil
import socket
import sys
from pathlib import Path

import aiohttp

from purvey import __version__
from purvey.server.doctor.model import Finding, amount, ok, problem, warning
from purvey.server.doctor.patient import Patient, aside
from purvey.server.installation import SECRET_FILE
from purvey.server.settings import Settings, SettingsError

if sys.platform == "win32":

    def most_open_files() -> int | None:
        """Return how many files and sockets this process may have open; None where there is no such limit."""
        return None

else:
    import resource

    def most_open_files() -> int | None:
        """Return how many files and sockets this process may have open; None where there is no such limit."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if soft == resource.RLIM_INFINITY else soft


OLDEST_PYTHON = (3, 11)
GIB = 2**30
LITTLE_ROOM = 2 * GIB
"""Free bytes below which the data directory's disk is soon full."""
NO_ROOM = GIB // 4
"""Free bytes below which PostgreSQL may have to stop at any moment."""
FEW_FILES = 4096
"""Open files and sockets that a public server should be allowed; each buyer's connection is one."""
TOO_FEW_FILES = 256
KNOWN_NAME = "example.com"
"""A name that is always there (RFC 2606)."""
ASK_FOR = aiohttp.ClientTimeout(total=3)


async def python(_: Patient) -> Finding:
    """Check that Python is new enough."""
    if sys.version_info < OLDEST_PYTHON:
        return problem(f"Python {platform.python_version()} is too old.", "Install Python 3.11 or later.")
    return ok(f"Purvey {__version__} on Python {platform.python_version()}.")


async def settings(patient: Patient) -> Finding:
    """Check that every setting can be read, and they go together."""
    if isinstance(patient.asked, SettingsError):
        says, _, remedy = str(patient.asked).partition(". ")
        return problem(f"{says.rstrip('.')}.", remedy or "Mend this setting; the rest was not looked at.")
    return ok("The settings can be read.")


async def data_directory(patient: Patient) -> Finding:
    """Check that the data directory is there, or can be made, belongs to us and has room."""
    folder = patient.settings.data_dir.absolute()
    if folder.exists() and not folder.is_dir():
        return problem(f"{folder} is no directory.", "Choose another place with PURVEY_DATA_DIR.")
    if not folder.exists():
        return _to_be_made(folder)
    owner = folder.stat().st_uid
    if sys.platform != "win32" and os.geteuid() not in {0, owner}:
        return problem(
            f"{folder} belongs to the user with the number {owner}, and this is the user {os.geteuid()}.",
            "Run the server, and the doctor, as the user whom the directory belongs to.",
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return problem(f"{folder} may not be written.", "See how it is mounted and what its mode is: chmod u+rwx.")
    return _room(folder, f"{folder} can be written")


def _to_be_made(folder: Path) -> Finding:
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return problem(
            f"{folder} is not there, and cannot be made in {above}.",
            "Make it, or choose another place with PURVEY_DATA_DIR.",
        )
    return _room(above, f"{folder} is not there yet, and can be made")


def _room(folder: Path, so_far: str) -> Finding:
    free = shutil.disk_usage(folder).free
    says = f"{so_far}; its disk has {free / GIB:.1f} GiB free."
    if free < NO_ROOM:
        return problem(says, "Make room now: PostgreSQL stops when the disk is full.")
    return warning(says, "Make room, or move the data to a larger disk.") if free < LITTLE_ROOM else ok(says)


async def secret_file(patient: Patient) -> Finding | None:
    """Check that nobody else can read the key that was made for the embedded database."""
    path = patient.settings.data_dir / SECRET_FILE
    if patient.settings.secret_keys or not path.is_file():
        return None
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        return problem(f"{path} can be read by others.", f"chmod 600 {path}")
    return ok(f"{path} is for its owner alone. Keep a copy elsewhere: without it, sealed secrets are lost.")


async def port(patient: Patient) -> Finding:
    """Check that the port is free, or answered by a server like this one."""
    host, number = patient.settings.host, patient.settings.port
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        if await _is_purvey(patient.settings):
            return ok(f"A Purvey answers at {host}:{number}.")
        return problem(
            f"{host}:{number} cannot be listened on: {error.strerror or error}.",
            "Stop what uses it, or choose another with PURVEY_HOST and PURVEY_PORT.",
        )
    return ok(f"{host}:{number} is free.")


async def _is_purvey(given: Settings) -> bool:
    """Return whether the port is answered by a Purvey; on all addresses means on loopback too."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given.host, given.host)  # noqa: S104  # compared with, not listened on
    where = f"[{host}]" if ":" in host else host
    try:
        async with (
            aiohttp.ClientSession(timeout=ASK_FOR) as session,
            session.get(f"http://{where}:{given.port}/healthz") as answer,
        ):
            said = await answer.json()
            return "X-Request-Id" in answer.headers and isinstance(said, dict) and said.get("status") == "ok"
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False


async def names(patient: Patient) -> Finding:
    """Check that names of other machines can be looked up: webhooks need that."""
    try:
        async with asyncio.timeout(5):
            await lookup(KNOWN_NAME)
    except (OSError, TimeoutError) as error:
        says = f"The name {KNOWN_NAME} cannot be looked up: {getattr(error, 'strerror', None) or 'no answer'}."
        remedy = "Mend the name servers in /etc/resolv.conf, or the way to them: webhooks and mail cannot be sent."
        return warning(says, remedy) if patient.settings.on_loopback else problem(says, remedy)
    return ok("Names of other machines can be looked up.")


async def lookup(host: str) -> list[str]:
    """Return the addresses of a name; raise OSError when it has none."""
    found = await aside(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    return sorted({str(entry[4][0]) for entry in found})


async def open_files(patient: Patient) -> Finding:
    """Check that the process may have enough files and sockets open."""
    most = most_open_files()
    if most is None:
        return ok("Open files are not limited.")
    says = f"A process may have {amount(most, 'file')} and sockets open."
    remedy = "Raise the limit: LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536 before the start."
    if most < TOO_FEW_FILES:
        return problem(says, remedy)
    return warning(says, remedy) if most < FEW_FILES and not patient.settings.on_loopback else ok(says)
