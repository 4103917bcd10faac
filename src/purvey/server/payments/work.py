"""What the queue does for payments: report the sandbox's payments, and try again what the inbox kept."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.jobs.model import Done, Job, Outcome, RetryAt
from purvey.server.kit.tools import Tools
from purvey.server.payments import store
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.model import Notice, Payment
from purvey.server.payments.sandbox import store as sandbox_store
from purvey.server.payments.sandbox.provider import Sandbox

LONGEST_WAIT = timedelta(hours=1)
"""The waits double from 5 seconds up to this; a notice is money and is never given up."""


def next_try(job: Job) -> timedelta:
    """Return how long to wait after the job's present attempt failed."""
    doublings = min(job.attempt - 1, 20)
    return min(timedelta(seconds=5 * 2.0**doublings), LONGEST_WAIT)


class ReportSandboxPayment:
    """Sends the sandbox's notice of a payment to the inbox, signed anew each time, until it is taken."""

    name = sandbox_store.JOB

    def __init__(self, tools: Tools, sandbox: Sandbox, inbox: Inbox) -> None:
        self._tools = tools
        self._sandbox = sandbox
        self._inbox = inbox

    async def load(self, jobs: Sequence[Job]) -> Sequence[Payment | None]:
        """Return the payments that the jobs are about."""
        found = await sandbox_store.by_references(self._tools.database, [job.ref for job in jobs])
        return [found.get(job.ref) for job in jobs]

    async def run(self, job: Job, payment: Payment) -> Outcome:  # noqa: ARG002  # every kind is given its job
        """Report one payment."""
        headers, body = self._sandbox.report(payment)
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
        verdict = await self._inbox.hand_on(notice)
        return Done() if verdict is not None else RetryAt(self._tools.clock.now() + next_try(job))
