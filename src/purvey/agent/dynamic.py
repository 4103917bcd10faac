"""Serving dynamic callbacks. A buyer waits: the answer is made now, once for each key, and the same goes to whoever asks again."""

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from purvey.agent.answers import Answers
from purvey.agent.ending import end
from purvey.callbacks import DynamicOrder, verify
from purvey.webhooks import SignatureError

log = logging.getLogger("purvey.agent")

Answer = Mapping[str, Any] | str | None
"""An object is stored as it is (`service_text` for the buyer to read, `dynamic_response` as a table); a text as `dynamic_response`;
None says that the goods follow on another way."""
DynamicHandler = Callable[[DynamicOrder], Answer | Awaitable[Answer]]

LARGEST_ANSWER = 1024 * 1024
"""Bytes that the server reads of an answer."""
THREADS = 64
"""Handlers that are not asynchronous and run at once, at most: as many as the server calls at once for a listing."""


@dataclass(frozen=True)
class Place:
    """What serves a path: a handler, and the secrets of the listings that lead there."""

    handler: DynamicHandler
    secret: str | Sequence[str]


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: int
    body: bytes


class Dynamic:
    """The paths that serve dynamic callbacks, the calls that are under way, and what was answered before."""

    def __init__(self, answers: Answers) -> None:
        self._places: dict[str, Place] = {}
        self._answers = answers
        self._under_way: dict[str, asyncio.Task[Reply]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dynamic")

    @property
    def paths(self) -> Sequence[str]:
        """Return the paths that are served."""
        return list(self._places)

    def serve(self, path: str, place: Place) -> None:
        """Serve a path; raise ValueError where something serves it already."""
        if not path.startswith("/"):
            raise ValueError(f"The path {path!r} must begin with a slash.")
        if _plain(path) in self._places:
            raise ValueError(f"Something serves {path} already.")
        self._places[_plain(path)] = place

    def serves(self, path: str) -> bool:
        """Return whether a path is for dynamic callbacks."""
        return _plain(path) in self._places

    async def take(self, path: str, body: bytes, headers: Mapping[str, str], now: float) -> Reply:
        """Check a call and answer it.

        A call that is not to be believed is answered 401, which is not tried again. A handler that raises is answered 500, which
        is: it runs again then. A call whose caller has gone is finished all the same, and its answer kept for the next one.
        """
        place = self._places[_plain(path)]
        try:
            order = verify(body, headers, place.secret, now=now)
        except SignatureError as error:
            return _refusal(401, str(error))
        task = self._under_way.get(order.key)
        if task is None:
            task = asyncio.create_task(self._answer(order, place.handler))
            self._under_way[order.key] = task
            task.add_done_callback(lambda _: self._under_way.pop(order.key, None))
        return await asyncio.shield(task)

    async def stop(self, within: float) -> None:
        """Let what is under way end for so many seconds. What does not is called for again, by the server."""
        await end(list(self._under_way.values()), within)
        self._answers.close()

    async def _answer(self, order: DynamicOrder, handler: DynamicHandler) -> Reply:
        try:
            kept = await self._answers.find(order.key)
            if kept is None:
                kept = await self._answers.keep(order.key, encoded(await self._run(handler, order)))
        except Exception as error:
            log.exception("the dynamic callback of %s failed; the server may try again", order.id)
            return _refusal(500, f"The agent failed with {type(error).__name__}; its log says more.")
        return Reply(200, kept)

    async def _run(self, handler: DynamicHandler, order: DynamicOrder) -> Answer:
        if inspect.iscoroutinefunction(handler):
            returned: Any = handler(order)
        else:
            returned = await asyncio.get_running_loop().run_in_executor(self._threads, handler, order)
        answer: Answer = await returned if inspect.isawaitable(returned) else returned
        return answer


def encoded(answer: Answer) -> bytes:
    """Return the bytes that say it; raise TypeError or ValueError for what the server would not take."""
    if answer is None:
        return b""
    if not isinstance(answer, str | Mapping):
        raise TypeError(f"A dynamic handler returns a dict, a str or None, not {type(answer).__name__}.")
    if answer == "":
        raise ValueError("An empty text is no answer; return None where the goods follow on another way.")
    body = json.dumps(answer if isinstance(answer, str) else dict(answer), allow_nan=False).encode()
    if len(body) > LARGEST_ANSWER:
        raise ValueError(f"An answer of {len(body)} bytes is too large: the server reads {LARGEST_ANSWER}.")
    return body


def _refusal(status: int, why: str) -> Reply:
    return Reply(status, json.dumps({"error": why}).encode())


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"
