"""What the queue does for orders that wait."""

from collections.abc import Sequence

from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import RESTOCK
from purvey.server.jobs.model import Done, Job, Outcome


class Restock:
    """Gives the licence keys of a listing to the orders that wait for them. Again finds those that still wait."""

    name = RESTOCK

    def __init__(self, fulfillment: Fulfillment) -> None:
        self._fulfillment = fulfillment

    async def load(self, jobs: Sequence[Job]) -> Sequence[str | None]:
        """Return the listings."""
        return [job.ref for job in jobs]

    async def run(self, job: Job, listing_id: str) -> Outcome:
        """Give out the keys of one listing."""
        await self._fulfillment.restock(job.account_id or "", listing_id)
        return Done()
