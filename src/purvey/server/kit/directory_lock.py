"""Locks on files, so that one process at a time owns a data directory.

The operating system drops such a lock when its holder dies, however it dies: nothing has to be cleaned up after a
kill -9, and a lock file that lies around means nothing by itself.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt
    import time

    # Windows forbids others to read locked bytes, so the locked byte lies far behind the holder's process id.
    _FAR_BYTE = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_for_lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            time.sleep(0.05)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


LOCK_NAME = "serve.lock"
"""Name of the file in the data directory that the serving process keeps locked."""


class DirectoryInUse(Exception):
    """Another process serves from this data directory.

    `data_dir` is the directory, `pid` the process that holds it, or None when the holder has not written it down yet.
    """

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.data_dir = data_dir
        self.pid = pid
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"The data directory {data_dir} is in use by {holder}: "
            "stop that one first, or give this one a directory of its own with --data."
        )


class DirectoryLock:
    """Holds a data directory for one serving process, from `acquire` to `release` or as a context manager.

    The directory is made (0700) when it does not exist. The lock ends with the process that took it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write down who holds it.

        Raises:
            DirectoryInUse: another process, or another lock of this process, holds the directory.
            OSError: the directory cannot be made or written.

        """
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _open(self._data_dir / LOCK_NAME)
        if not _try_lock(descriptor):
            pid = _holder(descriptor)
            os.close(descriptor)
            raise DirectoryInUse(self._data_dir, pid)
        _write_holder(descriptor, f"{os.getpid()}\n")
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the directory back. Without effect when this lock does not hold it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _write_holder(descriptor, "")
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


@contextlib.contextmanager
def waiting_turn(path: Path) -> Iterator[None]:
    """Run the body while nobody else, in this process or another, runs a body with the same file; wait for that."""
    descriptor = _open(path)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _holder(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 32).strip()
    return int(text) if text.isdigit() else None


def _write_holder(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text.encode())
