"""Where the embedded server keeps what in the data directory."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOG_LIMIT_BYTES = 5 * 2**20


@dataclass(frozen=True)
class Layout:
    """The paths below one data directory, which must be absolute."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """The PostgreSQL data directory itself; it exists only when it is complete."""
        return self.data_dir / "pg"

    @property
    def socket_dir(self) -> Path:
        """Where the server listens, unless the path is too long for a socket."""
        return self.data_dir / "pg-socket"

    @property
    def log(self) -> Path:
        """What the server and `pg_ctl` print."""
        return self.data_dir / "pg.log"

    @property
    def start_lock(self) -> Path:
        """Locked while somebody starts or stops the server."""
        return self.data_dir / "pg.start.lock"

    @property
    def installation(self) -> Path:
        """Copies of the PostgreSQL programs, for a server user who cannot reach the original."""
        return self.data_dir / "pg-install"

    @property
    def password(self) -> Path:
        """The password of the role `purvey`, readable by the owner only."""
        return self.data_dir / "pg-password"

    def read_password(self) -> str | None:
        """Return the password, or None when there is none."""
        try:
            return self.password.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def make_password(self) -> str:
        """Write a new random password (256 bits, safe in a URL) and return it."""
        password = secrets.token_urlsafe(32)
        fresh = self.password.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open_private(fresh, os.O_WRONLY | os.O_EXCL) as descriptor:
            os.write(descriptor, password.encode())
            os.fsync(descriptor)
        fresh.replace(self.password)
        return password

    def rotate_log(self) -> None:
        """Set a log of more than 5 MiB aside as `pg.log.1`, in place of the one set aside before."""
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))


@contextlib.contextmanager
def open_private(path: Path, flags: int) -> Iterator[int]:
    """Open a file that only its owner may read, made when missing; yields the descriptor and closes it.

    What root makes belongs to the owner of the folder, so that the owner can do without root the next time.
    """
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32" and os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        yield descriptor
    finally:
        os.close(descriptor)
