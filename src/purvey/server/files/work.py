"""What the queue does for files: it removes those that nobody attached."""

from collections.abc import Sequence

from purvey.server.files import actions, store
from purvey.server.files.storage import Storage
from purvey.server.jobs.model import Done, Job, Outcome
from purvey.server.kit.tools import Tools


class RemoveFile:
    """Removes a file 24 hours after its upload began, unless it was attached."""

    name = store.JOB

    def __init__(self, tools: Tools, storage: Storage) -> None:
        self._tools = tools
        self._storage = storage

    async def load(self, jobs: Sequence[Job]) -> Sequence[Job | None]:
        """Return the jobs whose file is there and was not attached."""
        found = await store.unattached(self._tools.database, [(job.account_id or "", job.ref) for job in jobs])
        return [job if (job.account_id, job.ref) in found else None for job in jobs]

    async def run(self, job: Job, loaded: Job) -> Outcome:
        """Remove one file: first nobody may attach it any more, then its bytes go, and then its row."""
        await actions.remove(self._tools, self._storage, loaded.account_id or "", job.ref)
        return Done()
