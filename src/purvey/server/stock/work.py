"""What the queue does for stock: it gives back what nobody paid."""

from collections.abc import Sequence

from purvey.server.jobs.model import Done, Job, Outcome
from purvey.server.kit.tools import Tools
from purvey.server.stock import store


class GiveBack:
    """Gives back what a listing's checkouts hold whose time is over. Again finds nothing more to give back."""

    name = store.GIVE_BACK

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def load(self, jobs: Sequence[Job]) -> Sequence[str | None]:
        """Return the listings."""
        return [job.ref for job in jobs]

    async def run(self, job: Job, listing_id: str) -> Outcome:
        """Give back what one listing's checkouts hold."""
        await store.give_back(self._tools.database, job.account_id or "", listing_id, self._tools.clock.now())
        return Done()
