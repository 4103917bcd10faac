"""The agent itself: what it is told to do, and how it hears of events: by webhooks, by reading the log, or both.

Dynamic callbacks are no events: they are answered while the caller waits, and need no key of the API.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

from purvey.agent.answers import Answers
from purvey.agent.dynamic import Dynamic, DynamicHandler, Place
from purvey.agent.ledger import Ledger
from purvey.agent.listening import App
from purvey.agent.work import Handler, Wanted, Work
from purvey.client.clients import AsyncPurvey
from purvey.client.errors import (
    CursorExpired,
    NoAnswer,
    NotFound,
    PurveyError,
    RateLimited,
    ServerError,
    UnreadableAnswer,
)
from purvey.client.objects import Event
from purvey.webhooks import MalformedHeader, verify

log = logging.getLogger("purvey.agent")
H = TypeVar("H", bound=Handler)
D = TypeVar("D", bound=DynamicHandler)

CATCH_UP_EVERY = 900.0
"""Seconds between two looks into the log for what no webhook told."""
MOST_UNDER_WAY = 200
"""Events of the log that are under way at once; then reading waits."""
TRY_AGAIN_AFTER = 15.0
"""Seconds until the log is looked into again when it could not be read."""
STOP_WITHIN = 10.0
"""Seconds that what is under way may take to end at a stop."""


class Agent:
    """Runs your functions for events, and delivers what they return.

    `api_key` and `base_url` are as for `AsyncPurvey`. `secret`, one or several, is what webhooks are checked with; polling needs
    none.
    `state` is a file in which the agent keeps what it has done, so that a restart misses nothing and repeats nothing; one process
    writes to one file. Without it, a start takes up the orders that wait for their content, and what happens from then on. What
    dynamic callbacks were answered is kept beside it, in a file whose name ends in `.answers`.
    `at_once` is how many events are worked on at the same time.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        secret: str | Sequence[str] | None = None,
        *,
        state: "str | PathLike[str] | None" = None,
        at_once: int = 8,
    ) -> None:
        self.app = App(self)
        self._account = (api_key, base_url)
        self._secret = secret
        self._state = Path(state) if state is not None else None
        self._at_once = at_once
        self._wanted: list[Wanted] = []
        self.serving = Dynamic(Answers(self._state.with_name(f"{self._state.name}.answers") if self._state else None))
        self._client: AsyncPurvey | None = None
        self._ledger = Ledger(None)
        self.work: Work | None = None
        self.clock: Callable[[], float] = time.time
        self._catching_up: asyncio.Task[None] | None = None

    def on(self, type: str, *, listing_id: str | None = None) -> Callable[[H], H]:  # noqa: A002  # as on the wire
        """Have a function called for each event of a type, of one listing if you say so.

        It is given the event and returns Text, Url, File, a str (a text), a list of up to three of these, or None for nothing. It
        may be asynchronous. If it raises, it is called again, later each time. For `order.paid` of an order that is made to order,
        it is called as long as the order waits for its content.
        """

        def register(handler: H) -> H:
            self._wanted.append(Wanted(type, listing_id, handler))
            return handler

        return register

    def dynamic(self, path: str = "/dynamic", *, secret: str | Sequence[str]) -> Callable[[D], D]:
        """Have a function answer the dynamic callbacks that come to a path of `agent.app`.

        `secret` is the listing's `dynamic_webhook_secret`, or several. The function is given a DynamicOrder and has 15 seconds. It
        returns a dict, which is stored as it is (`service_text`, `dynamic_response`), a str, which is stored as `dynamic_response`,
        or None when the goods follow on another way. It may be asynchronous. It runs once for an order: whoever calls again gets
        the same answer, after a restart too if there is a `state`. Where it raises, the answer is 500, and the server calls again;
        what it does elsewhere should bear that.
        """

        def register(handler: D) -> D:
            self.serving.serve(path, Place(handler, secret))
            return handler

        return register

    def receive(self, body: bytes, headers: dict[str, str]) -> bool:
        """Take a webhook: check it and begin with its event. Returns whether it was new; raises SignatureError."""
        if self._secret is None and self.serving.paths:
            raise MalformedHeader(
                f"This agent takes dynamic callbacks, at {' and '.join(self.serving.paths)}, and no webhooks."
            )
        if self._secret is None:
            raise ValueError(
                "Agent(secret=...) is needed to listen: the signing secret of the listing or the endpoint."
            )
        if self.work is None:
            raise RuntimeError("The agent was not started.")
        return self.work.accept(verify(body, headers, self._secret, now=self.clock()))

    def poll(self) -> None:
        """Work on events as the log has them, until interrupted; no address of your own is needed."""
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self.polling())

    async def polling(self) -> None:
        """Do as `poll`, within an event loop that is there already, until cancelled."""
        client, work = self._open()
        try:
            await self._begin_patiently(client, work)
            while True:
                try:
                    async for event in client.events.follow(after=self._ledger.position):
                        self._walk(work, event)
                        await work.until_fewer(MOST_UNDER_WAY)
                except CursorExpired as error:
                    self._begin_anew(error)
        finally:
            await self._close()

    async def start(self) -> None:
        """Begin to listen: what was missed is caught up with now, and again from time to time.

        An agent that answers dynamic callbacks, and nothing else, reads no log.
        """
        if self.work is None and (self._wanted or self._secret is not None or not self.serving.paths):
            self._catching_up = asyncio.create_task(self._keep_catching_up(*self._open()))

    async def stop(self) -> None:
        """Stop; what is under way may end, and what does not is done after the next start."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.gather(self._catching_up, return_exceptions=True)
        await self.serving.stop(STOP_WITHIN)
        await self._close()

    def _open(self) -> tuple[AsyncPurvey, Work]:
        client = AsyncPurvey(*self._account)
        self._ledger = Ledger(self._state)
        self._client = client
        self.work = Work(self._client, self._wanted, self._ledger, self._at_once)
        return self._client, self.work

    async def _begin_patiently(self, client: AsyncPurvey, work: Work) -> None:
        while True:
            try:
                return await self._begin(client, work)
            except (NoAnswer, UnreadableAnswer, ServerError, RateLimited) as error:
                log.warning("the server is away, and will be asked again: %s", error)
                await work.sleep(TRY_AGAIN_AFTER)

    async def _begin(self, client: AsyncPurvey, work: Work) -> None:
        """Take up what is owed; the first time, that is what the orders wait for, and the log is read from its end on."""
        if self._ledger.is_new:
            newest = (await client.events.list(order="desc", limit=1)).data
            waiting = await client.orders.list(status="processing", limit=100)
            paid = [
                event.id
                async for order in waiting.auto_paging_iter()
                for event in await client.events.list(order_id=order.id, type="order.paid")
            ]
            self._ledger.begin(newest[0] if newest else None, set(paid))
        for event_id in sorted(self._ledger.owed):
            try:
                work.accept(await client.events.get(event_id))
            except NotFound:
                log.exception("the order of %s waited so long that its event has fallen off the log", event_id)
                self._ledger.forgo(event_id)
            await work.until_fewer(MOST_UNDER_WAY)

    async def _close(self) -> None:
        work, client, self.work, self._client = self.work, self._client, None, None
        if work is not None:
            await work.stop(STOP_WITHIN)
        if client is not None:
            await client.close()
        self._ledger.close()

    async def _keep_catching_up(self, client: AsyncPurvey, work: Work) -> None:
        while True:
            pause = CATCH_UP_EVERY
            try:
                await self._catch_up(client, work)
            except CursorExpired as error:
                self._begin_anew(error)
                pause = 0.0
            except (PurveyError, OSError) as error:
                log.warning("could not read the log, and will try again: %s", error)
                pause = TRY_AGAIN_AFTER
            await asyncio.sleep(pause)

    async def _catch_up(self, client: AsyncPurvey, work: Work) -> None:
        """Begin with whatever is in the log and was not begun with yet."""
        await self._begin(client, work)
        page = await client.events.list(after=self._ledger.position, limit=100)
        async for event in page.auto_paging_iter():
            self._walk(work, event)
            await work.until_fewer(MOST_UNDER_WAY)

    def _walk(self, work: Work, event: Event) -> None:
        self._ledger.walk(event)
        if not work.accept(event) and self._ledger.is_done(event):
            self._ledger.finish(event)

    def _begin_anew(self, error: CursorExpired) -> None:
        log.error("some events have fallen off the log before they were read: %s", error)
        self._ledger.begin_anew()
