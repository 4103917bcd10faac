"""Natural batching: commands that arrive while the previous batch is being written make up the next one.

An idle system waits for nothing: the first command runs at once, alone. Under load a batch is whatever arrived meanwhile.
A batch that fails is run again one by one, so that one poisoned command harms only itself; an absent database fails it whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar, cast

from purvey.server.kit.problem import Unavailable

C = TypeVar("C")
R = TypeVar("R")


class Batcher(Generic[C, R]):
    """Gathers commands into calls of `run`, which returns one result per command, in order.

    Two commands with the same `key` are never under way together, so that `run` may assume that each touches its own rows. A batch
    has at most `largest` commands; `at_once` of them may be under way, so that one is made ready while another is being written.
    A batch that would follow another at once waits `moment` seconds (0) for more to join it; one after a pause waits for nothing.
    """

    def __init__(
        self,
        run: Callable[[Sequence[C]], Awaitable[Sequence[R]]],
        key: Callable[[C], Hashable],
        *,
        largest: int = 64,
        at_once: int = 1,
        moment: float = 0.0,
    ) -> None:
        self._run = run
        self._key = key
        self._largest = largest
        self._at_once = at_once
        self._moment = moment
        self._waiting: list[tuple[C, asyncio.Future[R]]] = []
        self._under_way: set[Hashable] = set()
        self._drains: set[asyncio.Task[None]] = set()

    async def submit(self, command: C) -> R:
        """Run `command` in the next batch and return its result, or raise its own error."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if len(self._drains) < self._at_once:
            self._drains.add(asyncio.create_task(self._drain()))
        # A caller that goes away must not take the others' batch with it.
        return await future

    async def _drain(self) -> None:
        try:
            while batch := self._take():
                keys = {self._key(command) for command, _ in batch}
                self._under_way |= keys
                try:
                    await self._write(batch)
                finally:
                    self._under_way -= keys
                if self._moment:
                    await asyncio.sleep(self._moment)
        finally:
            # In the very step that saw nothing to take: who is woken by this batch and submits again must start a new drain.
            self._drains.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> list[tuple[C, asyncio.Future[R]]]:
        batch: list[tuple[C, asyncio.Future[R]]] = []
        left: list[tuple[C, asyncio.Future[R]]] = []
        keys = set(self._under_way)
        # An even share: else one batch would grow to hold nearly all, and the others nearly none.
        share = -(-(len(self._waiting) + len(keys)) // self._at_once)
        for entry in self._waiting:
            key = self._key(entry[0])
            if len(batch) < min(share, self._largest) and key not in keys:
                keys.add(key)
                batch.append(entry)
            else:
                left.append(entry)
        self._waiting = left
        return batch

    async def _write(self, batch: list[tuple[C, asyncio.Future[R]]]) -> None:
        try:
            results = await self._run([command for command, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results came back for {len(batch)} commands")  # noqa: TRY301  # as if `run` had raised
        except Unavailable as error:
            # No command is to blame, and 64 of them would each wait for the database in turn.
            _fail(batch, error)
            return
        except Exception as error:  # noqa: BLE001  # handed to the callers, one by one
            await self._write_singly(batch, error)
            return
        except BaseException:
            # Cut short from outside: nobody will answer these callers, nor those who wait behind them.
            for _, future in [*batch, *self._waiting]:
                future.cancel()
            self._waiting = []
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _write_singly(self, batch: list[tuple[C, asyncio.Future[R]]], error: Exception) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        for entry in batch:
            await self._write([entry])


def _fail(batch: Sequence[tuple[C, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
