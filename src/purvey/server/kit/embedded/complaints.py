"""What goes wrong around the embedded server, said in a sentence or two."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_FULL = ("No space left on device", "Disk quota exceeded")
_TELLING = re.compile(r"\b(FATAL|PANIC|ERROR|DETAIL|HINT|error|fatal|detail|hint):\s+(?P<said>.+)")
_QUOTED_LINES = 3
_NEXT_TO_NOTHING_BYTES = 2**20


class EmbeddedError(Exception):
    """The embedded PostgreSQL could not do what was asked; the message says what happened and what to do."""


@contextlib.contextmanager
def in_plain_words(data_dir: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into an `EmbeddedError` that names the disk or the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(data_dir) from error
        where = error.filename or data_dir
        raise EmbeddedError(
            f"The embedded PostgreSQL cannot use {where}: {error.strerror or error}. "
            "Check who owns it and whether it may be written, or choose another directory with --data."
        ) from error


def disk_full(data_dir: Path) -> EmbeddedError:
    """Say which disk is full; it is the one that holds the data directory."""
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    free_mib = shutil.disk_usage(existing).free // 2**20
    return EmbeddedError(
        f"The disk mounted at {_mount_point(existing)} is full ({free_mib} MiB free), and the embedded PostgreSQL in "
        f"{data_dir} needs room to start. Free some space there, or choose a directory on another disk with --data."
    )


def from_output(what: str, output: str, data_dir: Path, log: Path | None = None) -> EmbeddedError:
    """Explain the failure of a PostgreSQL program by what it printed; `what` opens the sentence."""
    if any(text in output for text in _FULL):
        return _no_room(output, data_dir)
    # On a full disk the program's own complaint may not have reached the log.
    if shutil.disk_usage(data_dir).free < _NEXT_TO_NOTHING_BYTES:
        return disk_full(data_dir)
    tail = f" The whole log is {log}." if log else ""
    return EmbeddedError(f"{what}: {_said(output)}{tail}")


def _no_room(output: str, data_dir: Path) -> EmbeddedError:
    line = next(line for line in output.splitlines() if any(text in line for text in _FULL))
    if "shared memory" in line:
        return EmbeddedError(
            "The embedded PostgreSQL found no room in shared memory (/dev/shm). "
            "Give the machine or container more of it, for example `docker run --shm-size=256m`."
        )
    return disk_full(data_dir)


def _said(output: str) -> str:
    telling = [match["said"].strip() for match in map(_TELLING.search, output.splitlines()) if match]
    lines = telling or [line.strip() for line in output.splitlines() if line.strip()]
    return (" / ".join(lines[-_QUOTED_LINES:]) or "it printed nothing").rstrip(".") + "."


def _mount_point(path: Path) -> Path:
    here = path.resolve()
    while not os.path.ismount(here) and here != here.parent:
        here = here.parent
    return here
