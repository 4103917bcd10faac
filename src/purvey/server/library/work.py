"""What the queue does for the library: it finds out whether an address is known, and then mails a link to it."""

from collections.abc import Callable, Sequence

import structlog

from purvey.server.jobs.model import Job, Outcome, Recorded, Result
from purvey.server.kit.crypto import sha256
from purvey.server.kit.tools import Tools
from purvey.server.library import rules, store
from purvey.server.library.model import Ask

FORGOTTEN = 100
"""Links, and sessions, that are cleared away with each ask: more than an ask can make."""

log = structlog.get_logger()


class Invite:
    """Answers an ask: by mail, or not at all. `wake` is called when a mail was queued."""

    name = store.JOB

    def __init__(self, tools: Tools, wake: Callable[[], None]) -> None:
        self._tools = tools
        self._wake = wake

    async def load(self, jobs: Sequence[Job]) -> Sequence[Ask | None]:
        """Return the asks that the jobs are about; None for one that was answered."""
        found = await store.asks(self._tools.database, [job.ref for job in jobs])
        return [found.get(job.ref) for job in jobs]

    async def run(self, job: Job, ask: Ask) -> Outcome:
        """Answer one ask."""
        tools = self._tools
        now = tools.clock.now()
        await store.forget(tools.database, now - rules.COUNTED_FOR, FORGOTTEN, now)
        token = tools.ids.secret()
        link = rules.new_link(ask, sha256(token), now)
        message = rules.new_message(ask, tools.ids.new("msg_"), tools.keyring.seal(token), now)
        since, ended = now - rules.COUNTED_FOR, Result(job.id, job.lease_token)
        came = await store.invite(tools.database, ask.id, link, message, since, rules.MOST_LINKS, ended)
        self._wake()
        log.info("library.invited", came=came or "lease_lost")
        return Recorded()
