"""A seller's program in a process of its own: the loop that catches up, with a file for what it must not lose.

Its arguments are the folder of that file and, if it is to die, the sequence of an event: it is killed when it has handled that one
and has not saved the cursor yet.
"""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from purvey import Purvey
from purvey.client.objects import Event
from story import seed_reconciling


class Book:
    """The file: the cursor, what was handled, in order, and which events came again."""

    def __init__(self, folder: Path) -> None:
        self._file = sqlite3.connect(folder / "receiver.db", isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS cursors (id TEXT)")
        self._file.execute("CREATE TABLE IF NOT EXISTS handled (sequence INTEGER, id TEXT UNIQUE)")
        self._file.execute("CREATE TABLE IF NOT EXISTS again (sequence INTEGER)")

    def load_cursor(self) -> str | None:
        """Return the last cursor that was saved."""
        row = self._file.execute("SELECT id FROM cursors ORDER BY rowid DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def save_cursor(self, cursor: str) -> None:
        """Keep the cursor."""
        self._file.execute("INSERT INTO cursors VALUES (?)", [cursor])

    def handle(self, event: Event) -> None:
        """Do what is to be done once for each event, and note one that was done before."""
        try:
            self._file.execute("INSERT INTO handled VALUES (?, ?)", [event.sequence, event.id])
        except sqlite3.IntegrityError:
            self._file.execute("INSERT INTO again VALUES (?)", [event.sequence])

    def sequences(self, table: str) -> list[int]:
        """Return what is in `handled` or `again`, in the order in which it came."""
        return [row[0] for row in self._file.execute(f"SELECT sequence FROM {table} ORDER BY rowid")]


class Hasty:
    """The loop sleeps for half a minute; in this program that takes a moment."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep for a moment."""
        assert seconds == 30
        time.sleep(0.1)


def main(folder: str, dies_at: str = "0") -> None:
    """Run the loop for ever."""
    book = Book(Path(folder))

    def handle(event: Event) -> None:
        book.handle(event)
        if event.sequence == int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    seed_reconciling.run(Purvey(), Hasty(), book.load_cursor, book.save_cursor, handle)


if __name__ == "__main__":
    main(*sys.argv[1:])
