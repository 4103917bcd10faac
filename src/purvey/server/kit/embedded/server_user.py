"""As whom PostgreSQL runs: it refuses to run as root, so root lends it an unprivileged user."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purvey.server.kit.embedded.complaints import EmbeddedError
from purvey.server.kit.embedded.layout import Layout

if sys.platform != "win32":
    import pwd

_CANDIDATES = ("postgres", "nobody")

# What a session of its own is elsewhere: Windows would send a Ctrl-C to the whole process group.
_APART: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


@dataclass(frozen=True)
class ServerUser:
    """The user and group that own the cluster; None stands for the user who runs this process."""

    uid: int | None = None
    gid: int | None = None

    def run(self, argv: Sequence[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a program as this user and wait for it; `more` goes to `subprocess.run`.

        The program gets a session of its own, so that a Ctrl-C meant for us does not reach a server it leaves behind,
        the C locale, so that its messages can be recognised, and no variable that steers PostgreSQL from outside.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {"LC_ALL": "C"} | more.pop("environment", {})
        return subprocess.run(  # noqa: S603 - a program of the PostgreSQL installation, without a shell
            [str(part) for part in argv],
            env=environment,
            check=False,
            text=True,
            errors="replace",
            start_new_session=True,
            creationflags=_APART,
            **(self._credentials() | more),
        )

    def give(self, path: Path) -> None:
        """Make the user own this file or folder."""
        if self.uid is not None:
            os.chown(path, self.uid, -1 if self.gid is None else self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Return whether the user can reach what lies in this folder."""
        if self.uid is None:
            return os.access(folder, os.X_OK)
        return self.run(["/bin/sh", "-c", 'cd "$1"', "sh", folder], cwd="/", stderr=subprocess.DEVNULL).returncode == 0

    @property
    def name(self) -> str:
        """How a person knows the user."""
        return "the current user" if self.uid is None else _name(self.uid)

    def _credentials(self) -> dict[str, Any]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}


def server_user(layout: Layout) -> ServerUser:
    """Choose the user: whoever owns the cluster already, else ourselves, or for root `postgres` or `nobody`.

    Raises:
        EmbeddedError: the cluster belongs to somebody else, or root finds no user to lend.

    """
    if sys.platform == "win32":
        return ServerUser()
    owner = layout.cluster.stat() if layout.cluster.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise _not_ours(layout, owner.st_uid)
        return ServerUser()
    if owner and owner.st_uid != 0:
        return ServerUser(owner.st_uid, owner.st_gid)
    return _lent()


def admit(user: ServerUser, layout: Layout) -> None:
    """See to it that the user can reach the data directory.

    A directory closed to everyone but root (0700) is opened for passing through to the user's group alone; a closed
    folder above it is not ours to open.

    Raises:
        EmbeddedError: a folder on the way is closed; the message names it.

    """
    if user.uid is None or user.can_enter(layout.data_dir):
        return
    state = layout.data_dir.stat()
    if state.st_uid == 0 and not state.st_mode & 0o077 and user.can_enter(layout.data_dir.parent):
        os.chown(layout.data_dir, -1, -1 if user.gid is None else user.gid)
        layout.data_dir.chmod(0o710)
        return
    folders = [*reversed(layout.data_dir.parents), layout.data_dir]
    closed = next(folder for folder in folders if not user.can_enter(folder))
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and its user {user.name} may not pass through {closed}. Allow that "
        f"(chmod o+x {closed}), or choose another directory with --data, or run purvey as a normal user."
    )


def _lent() -> ServerUser:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as. "
        "Make one (useradd --system postgres), or run purvey as a normal user."
    )


def _not_ours(layout: Layout, owner: int) -> EmbeddedError:
    return EmbeddedError(
        f"The database in {layout.cluster} belongs to {_name(owner)}, and you are {_name(os.geteuid())}. Run purvey "
        f"as root or as {_name(owner)}, or hand the directory over (chown -R {_name(os.geteuid())} {layout.data_dir})."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
