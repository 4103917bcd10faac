"""Which statement it is, and on whose behalf it runs: the public functions of the rooms' actions that are under way."""

import contextlib
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

from purvey import server

SERVER = Path(server.__file__).parent
ACTION_FILES = ("*/actions.py", "*/work.py", "*/inbox.py", "payments/*/provider.py")
"""Where the rooms' actions are, as patterns below the server's folder."""

_IN_BETWEEN = frozenset({"kit/database.py", "kit/batching.py", "kit/held.py"})
_CALLED = re.compile(r"\b(?:FROM|SELECT)\s+(\w+)\s*\(", re.IGNORECASE)
_WRITTEN = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)
_READ = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b", re.IGNORECASE)

_submitters: ContextVar[tuple[str, ...]] = ContextVar("submitters", default=())


@cache
def statement(sql: str) -> str:
    """Return what a statement is called: the function it calls, or what it does to which table."""
    written = _WRITTEN.search(sql)
    if written:
        return f"{' '.join(written[1].lower().split())} {written[2].lower()}"
    called = _CALLED.search(sql)
    if called:
        return called[1].lower()
    read = _READ.search(sql)
    if read is None:
        return " ".join(sql.split()[:2]).lower()
    return f"{'lock' if _LOCKS.search(sql) else 'read'} {read[1].lower()}"


def actions() -> tuple[str, ...]:
    """Return the actions that are being run, such as `listings.actions.publish`, the innermost first.

    A batch runs in a task of its own; whoever gave it its first command counts as its caller.
    """
    own = [name for frame in _frames() if (name := _action(frame.f_code)) is not None]
    return tuple(dict.fromkeys([*own, *_submitters.get()]))


def place() -> str:
    """Return the nearest function of the server that is being run, such as `jobs.store.claim`, whatever its room."""
    return next(name for frame in _frames() if (name := _place(frame.f_code)) is not None)


@contextlib.contextmanager
def on_behalf() -> Iterator[None]:
    """Let the tasks that are begun in this block be begun by the actions that are under way now."""
    token = _submitters.set(actions())
    try:
        yield
    finally:
        _submitters.reset(token)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


@cache
def _action(code: CodeType) -> str | None:
    path = Path(code.co_filename)
    if not path.is_relative_to(SERVER) or not any(path.relative_to(SERVER).match(files) for files in ACTION_FILES):
        return None
    name = code.co_qualname.partition(".<locals>")[0]
    return None if any(part.startswith("_") for part in name.split(".")) else _qualified(path, name)


@cache
def _place(code: CodeType) -> str | None:
    path = Path(code.co_filename)
    if not path.is_relative_to(SERVER) or path.relative_to(SERVER).as_posix() in _IN_BETWEEN:
        return None
    return _qualified(path, code.co_qualname.partition(".<locals>")[0])


def _qualified(path: Path, name: str) -> str:
    return f"{'.'.join(path.relative_to(SERVER).with_suffix('').parts)}.{name}"
