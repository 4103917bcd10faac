"""What the queue does for payments: send the sandbox's notices, and try again what the inbox kept."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools
from purvey.server.payments import store
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.model import Notice
from purvey.server.payments.sandbox import store as sandbox_store
from purvey.server.payments.sandbox.model import Owed
from purvey.server.payments.sandbox.provider import Sandbox

LONGEST_WAIT = timedelta(hours=1)
"""The waits double from 5 seconds up to this; a notice is money, and one that we fail to act on is never given up."""
LAST_TRY = 32
"""At this try, a day after the notice came, what it is about is known or never will be: then it is refused."""


def next_try(job: Job) -> timedelta:
    """Return how long to wait after the job's present attempt failed."""
    doublings = min(job.attempt - 1, 20)
    return min(timedelta(seconds=5 * 2.0**doublings), LONGEST_WAIT)


class SendSandboxNotice:
    """Sends a notice of the sandbox to the inbox, signed anew each time, until it is taken."""

    name = sandbox_store.JOB

    def __init__(self, tools: Tools, sandbox: Sandbox, inbox: Inbox) -> None:
        self._tools = tools
        self._sandbox = sandbox
        self._inbox = inbox

    async def load(self, jobs: Sequence[Job]) -> Sequence[Owed | None]:
        """Return the notices that the jobs are about."""
        found = await sandbox_store.owed(self._tools.database, [job.ref for job in jobs])
        return [found.get(job.ref) for job in jobs]

    async def run(self, job: Job, notice: Owed) -> Outcome:  # noqa: ARG002  # every kind is given its job
        """Send one notice."""
        headers, body = self._sandbox.sign(notice)
        await self._inbox.receive(self._sandbox.name, headers, body)
        return Done()


class HandOnNotice:
    """Hands on a notice that could not be handed on when it came."""

    name = store.JOB

    def __init__(self, tools: Tools, inbox: Inbox) -> None:
        self._tools = tools
        self._inbox = inbox

    async def load(self, jobs: Sequence[Job]) -> Sequence[Notice | None]:
        """Return the notices that are still not settled."""
        found = await store.waiting(self._tools.database, [job.ref for job in jobs])
        return [found.get(job.ref) for job in jobs]

    async def run(self, job: Job, notice: Notice) -> Outcome:
        """Hand on one notice, or wait longer."""
        verdict = await self._inbox.hand_on(notice, last=job.attempt >= LAST_TRY)
        return Done() if verdict is not None else RetryAt(self._tools.clock.now() + next_try(job))
