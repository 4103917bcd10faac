"""Asking the name server, off the event loop, once per attempt.

`getaddrinfo` blocks for as long as it likes and cannot be cancelled. A stranger can make it hang at will with a dead
name server, so it gets threads of its own: never the loop's shared executor, whose other work would wait, and daemons,
so that a hung lookup does not hold up the end of the process.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Protocol

# An error travels as a value: a future that nobody waits for any longer must not complain about it.
Found = list[str] | OSError
_Question = tuple[str, asyncio.AbstractEventLoop, asyncio.Future[Found]]


class Resolver(Protocol):
    """Turns a host name into addresses; whoever implements it decides nothing about safety."""

    async def lookup(self, host: str) -> Sequence[str]:
        """Return every address of `host` in plain notation, the preferred one first; raise OSError if there is none."""
        ...


class SystemResolver:
    """The resolver of the operating system, `getaddrinfo`, in at most `threads` (64) threads, started as needed.

    Attempts that ask for one host at the same moment share one lookup; nothing is remembered after it ends. A caller
    that gives up leaves the lookup running, and its thread counts as taken until it really ends.
    """

    def __init__(self, *, threads: int = 64) -> None:
        self._free = asyncio.Semaphore(threads)
        self._running: dict[str, asyncio.Future[Found]] = {}
        self._questions: SimpleQueue[_Question | None] = SimpleQueue()
        self._started = 0

    async def lookup(self, host: str) -> Sequence[str]:
        """Return the addresses of `host`, or raise OSError (socket.gaierror) with the resolver's own words."""
        running = self._running.get(host) or await self._ask(host)
        found = await asyncio.shield(running)
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        """Let the threads end, each after the lookup it is in."""
        for _ in range(self._started):
            self._questions.put(None)
        self._started = 0

    async def _ask(self, host: str) -> asyncio.Future[Found]:
        await self._free.acquire()
        if (running := self._running.get(host)) is not None:
            self._free.release()
            return running
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        answer.add_done_callback(partial(self._ended, host))
        self._running[host] = answer
        try:
            self._start_thread_if_needed()
        except RuntimeError as error:
            answer.set_result(OSError(f"no thread for the lookup ({error})"))
        else:
            self._questions.put((host, loop, answer))
        return answer

    def _start_thread_if_needed(self) -> None:
        if len(self._running) > self._started:
            threading.Thread(target=_work, args=(self._questions,), name="safe-http-dns", daemon=True).start()
            self._started += 1

    def _ended(self, host: str, _answer: asyncio.Future[Found]) -> None:
        del self._running[host]
        self._free.release()


def _work(questions: SimpleQueue[_Question | None]) -> None:
    while (question := questions.get()) is not None:
        host, loop, answer = question
        found = _look_up(host)
        with suppress(RuntimeError):  # the loop has closed; nobody waits any longer
            loop.call_soon_threadsafe(answer.set_result, found)


def _look_up(host: str) -> Found:
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError as error:
        return error
    except UnicodeError as error:
        return OSError(f"the name cannot be asked for ({error})")
