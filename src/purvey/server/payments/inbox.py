"""The inbox: a provider's notice is verified, stored once, and handed on.

The usual way is one transaction: what the notice brings about (an order, with all that follows) is written together with the
notice. When handing on fails for any reason but an absent database, the notice alone is stored with a job that tries again, and the
provider is thanked; with the database away it is told to come again (503), which it will.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from purvey.server.errors import BadSignature, NotFound, Unavailable
from purvey.server.kit.tools import Tools
from purvey.server.payments import store
from purvey.server.payments.model import Accepted, Noted, Notice, NoticeType, NotYet, Payment, Unsettled, Verdict
from purvey.server.payments.provider import BadSignatureError, Provider

log = structlog.get_logger()

Handler = Callable[[Any, Notice | None], Awaitable[Verdict]]
"""What acts on what was said: idempotent. That of payments is called by the buyer's return and by free checkouts too."""

AGAIN_AFTER = timedelta(seconds=5)
"""How long a notice that could not be handed on waits for the next try."""


class Inbox:
    """Takes notices from `providers` (new payments go to the first) and hands them on by `handlers` (notice type -> action)."""

    def __init__(
        self,
        tools: Tools,
        providers: Sequence[Provider],
        handlers: Mapping[NoticeType, Handler],
        wake: Callable[[], None],
    ) -> None:
        self._tools = tools
        self._providers = {provider.name: provider for provider in providers}
        self._handlers = handlers
        self._wake = wake
        self.in_use = providers[0]

    def provider(self, name: str) -> Provider:
        """Return the provider called `name`; raise NotFound."""
        if name not in self._providers:
            raise NotFound(f"No payment provider called {name!r} is in use here.")
        return self._providers[name]

    async def receive(
        self, provider: str, headers: Mapping[str, str], body: bytes, account_id: str | None = None
    ) -> None:
        """Verify, store and hand on one notice. When this returns, the notice is safe; raises BadSignature, Unavailable."""
        try:
            notice = await self.provider(provider).verify(headers, body, account_id)
        except BadSignatureError as error:
            raise BadSignature(str(error)) from None
        await self.take(notice)

    async def take(self, notice: Notice) -> None:
        """Act on a verified notice, or, if that is not to be done at once, store it for the queue."""
        if notice.at_once:
            await self.hand_on(notice)
        else:
            now = self._tools.clock.now()
            await store.keep(self._tools.database, notice, "it waits for its turn", now, now)
            self._wake()

    async def hand_on(self, notice: Notice, *, last: bool = False) -> Verdict | None:
        """Act on a verified notice; return None when it was kept for another try, because that failed, or came too early.

        At the `last` try a notice of something unknown is refused.
        """
        try:
            verdict = await self._handlers[notice.type](notice.said, notice)
        except Unavailable:
            raise
        except Exception as error:
            log.exception("notice.failed", provider=notice.provider, notice=notice.id)
            await self._keep(notice, f"{type(error).__name__}: {error}")
            return None
        if isinstance(verdict, NotYet) and not last:
            await self._keep(notice, verdict.reason)
            return None
        await self._settle(notice, verdict)
        return verdict

    async def unsettled(self, since: datetime) -> list[Unsettled]:
        """Return the notices since an instant that wait or were refused, the newest first: what a person should look at."""
        return await store.unsettled(self._tools.database, since)

    async def confirm(self, payment: Payment) -> Verdict:
        """Act on a payment that we know of without a notice: the buyer's return, or a free checkout."""
        return await self._handlers["payment.succeeded"](payment, None)

    async def _settle(self, notice: Notice, verdict: Verdict) -> None:
        if isinstance(verdict, Accepted):
            if not verdict.stored:
                await store.settle(self._tools.database, notice, "handled", None, self._tools.clock.now())
            return
        if isinstance(verdict, Noted):
            await store.settle(self._tools.database, notice, "handled", verdict.reason, self._tools.clock.now())
            return
        log.warning("notice.refused", provider=notice.provider, notice=notice.id, reason=verdict.reason)
        await store.settle(self._tools.database, notice, "refused", verdict.reason, self._tools.clock.now())

    async def _keep(self, notice: Notice, reason: str) -> None:
        now = self._tools.clock.now()
        await store.keep(self._tools.database, notice, reason, now, now + AGAIN_AFTER)
        self._wake()
