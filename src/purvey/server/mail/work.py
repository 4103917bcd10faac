"""What the queue does for mail: render a message, hand it over, record what came of it."""

from collections.abc import Sequence
from email.headerregistry import Address

import structlog

from purvey.server.jobs.model import Job, Outcome, Recorded
from purvey.server.jobs.model import Result as Ended
from purvey.server.jobs.recording import insist
from purvey.server.kit import metrics
from purvey.server.kit.tools import Tools
from purvey.server.mail import store
from purvey.server.mail.model import FOR_SELLERS, LEADS_TO, Answer, Message, Never, Result
from purvey.server.mail.render import UnaddressableError, render
from purvey.server.mail.rules import decide
from purvey.server.mail.transports import Transport

log = structlog.get_logger()


class SendMail:
    """Sends a message until it is taken, refused for good, or given up. In `test_mode` each says that no money moved."""

    name = "mail.send"

    def __init__(self, tools: Tools, transport: Transport, sender: Address, *, test_mode: bool = False) -> None:
        self._tools = tools
        self._transport = transport
        self._sender = sender
        self._test_mode = test_mode

    async def load(self, jobs: Sequence[Job]) -> Sequence[Message | None]:
        """Return the messages that the jobs are about; None for one that does not wait any more."""
        keys = [(job.account_id or "", job.ref) for job in jobs]
        found = await store.waiting(self._tools.database, keys)
        return [found.get(key) for key in keys]

    async def run(self, job: Job, message: Message) -> Outcome:
        """Make one attempt, and record it with the end of the job; who lost the lease meanwhile records nothing."""
        answer = await self._attempt(message)
        now = self._tools.clock.now()
        result = decide(job.attempt, answer, now)
        ended = Ended(job.id, job.lease_token, result.next_at, job.attempt + 1, target=result.server)
        held = await insist(self._tools.clock, lambda: store.record(self._tools.database, message, result, ended, now))
        _tell(message, result, held=held)
        return Recorded()

    async def _attempt(self, message: Message) -> Answer:
        now = self._tools.clock.now()
        if message.good_until is not None and now >= message.good_until:
            return Never("its link would have opened nothing any more")
        try:
            mail = render(message, self._link(message), self._sender, now, test_mode=self._test_mode)
        except UnaddressableError as error:
            return Never(str(error))
        return await self._transport.send(message.id, mail)

    def _link(self, message: Message) -> str | None:
        if message.sealed is None or message.template in FOR_SELLERS:
            return None
        return f"{self._tools.base_url}{LEADS_TO[message.template]}{self._tools.keyring.open(message.sealed)}"


def _tell(message: Message, result: Result, *, held: bool) -> None:
    status = result.status if held else "lease_lost"
    metrics.ATTEMPTS.labels("mail", status).inc()
    write = log.warning if result.status == "given_up" else log.info
    write(
        "mail.attempt",
        message_id=message.id,
        order_id=message.order_id,
        template=message.template,
        attempt=result.attempts,
        status=status,
        error=result.error,
    )
