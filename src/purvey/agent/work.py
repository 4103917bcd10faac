"""Doing what events ask for, in the background: one handler's run after another until it succeeds."""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from purvey.agent.ending import end
from purvey.agent.goods import Good, Goods, listed, prepared
from purvey.agent.ledger import Ledger
from purvey.client.clients import AsyncPurvey
from purvey.client.errors import AlreadyFulfilled, InvalidTransition, NotFound
from purvey.client.objects import Event

log = logging.getLogger("purvey.agent")

Handler = Callable[[Event], Goods | Awaitable[Goods]]

FIRST_PAUSE = 1.0
"""Seconds until a handler that failed is run again; each further time twice as many."""
LONGEST_PAUSE = 300.0
"""Seconds between two runs at most. An event is never given up: its buyer has paid."""
WAITING = frozenset({"paid", "processing"})
"""Statuses of an order that waits for its content."""


@dataclass(frozen=True)
class Wanted:
    """Which events a handler is for."""

    type: str
    listing_id: str | None
    handler: Handler

    def fits(self, event: Event) -> bool:
        """Return whether the handler is for this event."""
        return event.type == self.type and self.listing_id in {None, event.listing_id}


class Work:
    """What is under way. `sleep` is what pauses."""

    def __init__(self, client: AsyncPurvey, wanted: Sequence[Wanted], ledger: Ledger, at_once: int) -> None:
        self._client = client
        self._wanted = wanted
        self._ledger = ledger
        self._slots = asyncio.Semaphore(at_once)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._pausing: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._ended = asyncio.Event()
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def until_fewer(self, than: int) -> None:
        """Wait until fewer events than this are under way."""
        while len(self._under_way) >= than:
            self._ended.clear()
            await self._ended.wait()

    def accept(self, event: Event) -> bool:
        """Begin with an event, unless it is done or under way; return whether it was begun."""
        if self._ledger.is_done(event) or event.id in self._under_way:
            return False
        handlers = [one.handler for one in self._wanted if one.fits(event)]
        if not handlers:
            self._ledger.finish(event)
            return False
        task = asyncio.create_task(self._do(event, handlers))
        self._under_way[event.id] = task
        return True

    async def stop(self, within: float) -> None:
        """Let what runs end for so many seconds; the rest, and what waits to be run again, is found by the next start."""
        self._stopping = True
        for task in self._pausing:
            task.cancel()
        await end(list(self._under_way.values()), within)

    async def _do(self, event: Event, handlers: Sequence[Handler]) -> None:
        failures = 0
        try:
            for handler in handlers:
                while not await self._succeeds(event, handler):
                    await self._pause(failures)
                    failures += 1
            self._ledger.finish(event)
        finally:
            del self._under_way[event.id]
            self._ended.set()

    async def _pause(self, failures: int) -> None:
        """Wait until a handler that failed is run again; a stop does not wait for that."""
        task = asyncio.current_task()
        if self._stopping or task is None:
            raise asyncio.CancelledError
        self._pausing.add(task)
        try:
            pause = min(FIRST_PAUSE * (1 << min(failures, 10)), LONGEST_PAUSE)
            await self.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter, no secret
        finally:
            self._pausing.discard(task)

    async def _succeeds(self, event: Event, handler: Handler) -> bool:
        try:
            async with self._slots:
                if await self._is_wanted(event):
                    await self._deliver(event, listed(await _returned(handler, event)))
        except Exception:
            log.exception("%s of %s failed, and will be tried again", event.type, event.order_id)
            return False
        return True

    async def _deliver(self, event: Event, goods: Sequence[Good]) -> None:
        """Give the buyer what was made, unless the order does not wait for it any more."""
        if not goods or not event.order_id:
            return
        deliverables = [await prepared(self._client, one) for one in goods]
        try:
            await self._client.orders.fulfill(event.order_id, deliverables=deliverables)
        except (AlreadyFulfilled, InvalidTransition, NotFound) as error:
            log.info("%s of %s: nothing to do any more: %s", event.type, event.order_id, error)

    async def _is_wanted(self, event: Event) -> bool:
        """Return whether a paid order still waits for its content; every other event is always wanted."""
        if event.type != "order.paid" or not event.order_id or event.data.get("content_type") != "generated":
            return True
        try:
            order = await self._client.orders.get(event.order_id)
        except NotFound as error:
            log.info("%s of %s: nothing to do any more: %s", event.type, event.order_id, error)
            return False
        return order.status in WAITING and order.payment_status != "refunded"


async def _returned(handler: Handler, event: Event) -> Any:
    """Run a handler: one that is not asynchronous in a thread."""
    if inspect.iscoroutinefunction(handler):
        return await handler(event)
    returned = await asyncio.to_thread(handler, event)
    return await returned if inspect.isawaitable(returned) else returned
