"""What an agent has done, in a file: an event that is not in it is done again after a restart.

`cursor` is the event up to which everything in the log is done. It only moves past what was read from the log, because webhooks may
be missing; what was done beyond it is listed by id until it does. `owed` are orders that waited when the agent began.
"""

import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import IO

from purvey.client.errors import PurveyError
from purvey.client.objects import Event

if sys.platform != "win32":
    import fcntl


class StateInUse(PurveyError):
    """Another process, or another agent of this one, writes to the file."""


class Ledger:
    """The file, or nothing but memory where there is none. One agent writes to it at a time: raises StateInUse for a second one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held = None if path is None else _held(path)
        self._walked: deque[tuple[str, int]] = deque()
        self._done: dict[str, int] = {}
        self.cursor: str | None = None
        self._sequence = 0
        self.owed: set[str] = set()
        self.is_new = path is None or not path.exists()
        if path is not None and not self.is_new:
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.cursor, self._sequence, self._done = kept["cursor"], kept["sequence"], kept["done"]
            self.owed = set(kept["owed"])

    @property
    def position(self) -> str | None:
        """The last event that was read from the log."""
        return self._walked[-1][0] if self._walked else self.cursor

    def close(self) -> None:
        """Let another agent have the file."""
        if self._held is not None:
            self._held.close()

    def begin(self, newest: Event | None, owed: set[str]) -> None:
        """Begin behind the newest event there is, with some older ones that are yet to be done."""
        self.is_new = False
        self.owed = owed - set(self._done)
        if newest is not None:
            self.cursor, self._sequence = newest.id, newest.sequence
        self._save()

    def begin_anew(self) -> None:
        """Read the log from where it begins: the cursor has fallen off. What was done stays done."""
        self.cursor = None
        self._walked.clear()

    def forgo(self, event_id: str) -> None:
        """Note that an event that was owed cannot be had any more."""
        self.owed.discard(event_id)
        self._save()

    def is_done(self, event: Event) -> bool:
        """Return whether an event was done."""
        return event.id in self._done or (event.sequence <= self._sequence and event.id not in self.owed)

    def walk(self, event: Event) -> None:
        """Note that an event was read from the log, the next one in order."""
        self._walked.append((event.id, event.sequence))

    def finish(self, event: Event) -> None:
        """Note that an event is done."""
        self._done[event.id] = event.sequence
        self.owed.discard(event.id)
        while self._walked and self._walked[0][0] in self._done:
            self.cursor, self._sequence = self._walked.popleft()
        self._done = {one: sequence for one, sequence in self._done.items() if sequence > self._sequence}
        self._save()

    def _save(self) -> None:
        if self._path is None or self.is_new:
            return
        told = {"cursor": self.cursor, "sequence": self._sequence, "done": self._done, "owed": sorted(self.owed)}
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _held(path: Path) -> IO[bytes]:
    """Hold a file beside the ledger until it is closed, or the process dies; on Windows, nobody is kept away."""
    file = path.with_name(f"{path.name}.lock").open("ab")
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise StateInUse(
                f"Another agent writes to {path}: give each process a state file of its own, or run one process."
            ) from None
    return file
