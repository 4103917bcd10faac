"""The two ways to carry out steps: waiting for each, and awaiting it. Nothing is decided here."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

from purvey.client.calls import Answer, Call, Lost, Outcome, Pause, Request, Send, Step, Upload, steps
from purvey.version import __version__

T = TypeVar("T")

AT_ONCE = 16
"""Parts of a file, of 64 KiB each, that are read before some are sent."""


@dataclass(frozen=True)
class Give:
    """Hand this on to whoever iterates."""

    value: Any


Walk = Generator[Step | Give, Outcome, None]


@dataclass(frozen=True)
class Account:
    """Whom to ask, and how: `timeout` in seconds for each try, and how often a request is tried again."""

    base_url: str
    api_key: str
    timeout: float
    retries: int

    def options(self) -> dict[str, Any]:
        """Return the options of the HTTP client."""
        headers = {"Authorization": f"Bearer {self.api_key}", "User-Agent": f"purvey-python/{__version__}"}
        return {"base_url": self.base_url, "headers": headers, "follow_redirects": False, "timeout": self.timeout}

    def arguments(self, request: Request, source: IO[bytes] | None) -> dict[str, Any]:
        """Return what the HTTP client is told of one request, which sends what is read from `source`, if there is any."""
        told: dict[str, Any] = {
            "method": request.method,
            "url": request.path,
            "params": request.query or None,
            "headers": dict(request.headers),
            "content": request.body,
            "timeout": httpx.Timeout(self.timeout, read=self.timeout + request.timeout),
        }
        if upload := request.upload:
            told["files"] = {"file": (upload.filename, source, upload.content_type)}
        return told


@contextlib.contextmanager
def opened(upload: Upload | None) -> Iterator[IO[bytes] | None]:
    """Yield what to read the file to send from, open as long as this lasts; None when there is none."""
    if upload is not None and isinstance(upload.source, str | Path):
        with Path(upload.source).open("rb") as source:
            yield source
    else:
        yield upload.source if upload else None


class Unhurried(httpx.AsyncByteStream):
    """A body whose parts are read in a thread, some at a time: the disk may take its time, and nobody else waits for it."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self._body)
        while chunk := await asyncio.to_thread(lambda: b"".join(itertools.islice(parts, AT_ONCE))):
            yield chunk


class Transport:
    """Waits for each step. `sleep` is what pauses."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sleep: Callable[[float], None] = time.sleep
        self._http = httpx.Client(**account.options())

    def run(self, call: Call[T]) -> T:
        """Carry out a call."""
        doing = steps(call, self.account.retries)
        outcome: Outcome = None
        while True:
            try:
                step = doing.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = self._step(step)

    def iterate(self, walk: Walk) -> Iterator[Any]:
        """Carry out steps that give something on the way."""
        outcome: Outcome = None
        with contextlib.suppress(StopIteration):
            while True:
                step = walk.send(outcome)
                outcome = None
                if isinstance(step, Give):
                    yield step.value
                else:
                    outcome = self._step(step)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _step(self, step: Step) -> Outcome:
        match step:
            case Pause(seconds=seconds):
                self.sleep(seconds)
                return None
            case Send(request=request):
                with opened(request.upload) as source:
                    arguments = self.account.arguments(request, source)
                    try:
                        return _answer(self._http.request(**arguments))
                    except (httpx.TransportError, httpx.InvalidURL) as error:
                        return _lost(error, self.account.base_url)


class AsyncTransport:
    """Awaits each step. `sleep` is what pauses."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._http = httpx.AsyncClient(**account.options())

    async def run(self, call: Call[T]) -> T:
        """Carry out a call."""
        doing = steps(call, self.account.retries)
        outcome: Outcome = None
        while True:
            try:
                step = doing.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = await self._step(step)

    async def iterate(self, walk: Walk) -> AsyncIterator[Any]:
        """Carry out steps that give something on the way."""
        outcome: Outcome = None
        with contextlib.suppress(StopIteration):
            while True:
                step = walk.send(outcome)
                outcome = None
                if isinstance(step, Give):
                    yield step.value
                else:
                    outcome = await self._step(step)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _step(self, step: Step) -> Outcome:
        match step:
            case Pause(seconds=seconds):
                await self.sleep(seconds)
                return None
            case Send(request=request):
                with contextlib.ExitStack() as until_sent:
                    opening = partial(until_sent.enter_context, opened(request.upload))
                    source = await asyncio.to_thread(opening) if request.upload else None
                    try:
                        return _answer(await self._http.send(self._asked(request, source)))
                    except (httpx.TransportError, httpx.InvalidURL) as error:
                        return _lost(error, self.account.base_url)

    def _asked(self, request: Request, source: IO[bytes] | None) -> httpx.Request:
        asked = self._http.build_request(**self.account.arguments(request, source))
        if isinstance(asked.stream, Iterable) and source is not None:
            asked.stream = Unhurried(asked.stream)
        return asked


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, dict(response.headers), response.content)


def _lost(error: Exception, base_url: str) -> Lost:
    passes = not isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError)
    said = str(error) or "it took too long" if isinstance(error, httpx.TimeoutException) else str(error)
    return Lost(f"{base_url} did not answer: {said or type(error).__name__}", passes)
