"""What dynamic callbacks were answered, by key: whoever calls again gets the same bytes.

It is a file of SQLite's, which several processes may share: the first answer to be kept is everybody's.
"""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID"
BUSY_FOR = 10.0
"""Seconds that another process may write before this one gives up."""


class Answers:
    """The file at `path`, or memory where there is none. One thread of its own reads and writes, so that nothing else waits."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._file: sqlite3.Connection | None = None

    async def find(self, key: str) -> bytes | None:
        """Return what a key was answered, or None."""
        return await asyncio.get_running_loop().run_in_executor(self._its_thread(), self._find, key)

    async def keep(self, key: str, answer: bytes) -> bytes:
        """Keep an answer, on disk before this returns, and return the one that counts: the first that was kept for the key."""
        return await asyncio.get_running_loop().run_in_executor(self._its_thread(), self._keep, key, answer)

    def close(self) -> None:
        """Close the file; what is in memory alone stays."""
        if self._thread is not None and self._path is not None:
            self._thread.submit(self._close).result()
            self._thread.shutdown()
            self._thread = None

    def _its_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")
        return self._thread

    def _find(self, key: str) -> bytes | None:
        row = self._open().execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def _keep(self, key: str, answer: bytes) -> bytes:
        with self._open() as file:
            file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, answer))
        return self._find(key) or b""

    def _open(self) -> sqlite3.Connection:
        if self._file is None:
            self._file = sqlite3.connect(self._path or ":memory:", timeout=BUSY_FOR)
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.execute(SCHEMA)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
