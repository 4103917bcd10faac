"""The two ways to carry out steps: waiting for each, and awaiting it. Nothing is decided here."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

from purvey.client.calls import Answer, Call, Lost, Outcome, Pause, Request, Send, Step, steps
from purvey.version import __version__

T = TypeVar("T")


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

    def arguments(self, request: Request, opened: contextlib.ExitStack) -> dict[str, Any]:
        """Return what the HTTP client is told of one request; a file to send stays open as long as `opened`."""
        told: dict[str, Any] = {
            "method": request.method,
            "url": request.path,
            "params": request.query or None,
            "headers": dict(request.headers),
            "content": request.body,
            "timeout": httpx.Timeout(self.timeout, read=self.timeout + request.timeout),
        }
        if upload := request.upload:
            source: IO[bytes] = upload.source
            if isinstance(upload.source, str | Path):
                source = opened.enter_context(open(upload.source, "rb"))  # noqa: SIM115, PTH123  # closed with `opened`
            told["files"] = {"file": (upload.filename, source, upload.content_type)}
        return told


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
                with contextlib.ExitStack() as opened:
                    arguments = self.account.arguments(request, opened)
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
                with contextlib.ExitStack() as opened:
                    arguments = self.account.arguments(request, opened)
                    try:
                        return _answer(await self._http.request(**arguments))
                    except (httpx.TransportError, httpx.InvalidURL) as error:
                        return _lost(error, self.account.base_url)


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, dict(response.headers), response.content)


def _lost(error: Exception, base_url: str) -> Lost:
    passes = not isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError)
    said = str(error) or "it took too long" if isinstance(error, httpx.TimeoutException) else str(error)
    return Lost(f"{base_url} did not answer: {said or type(error).__name__}", passes)
