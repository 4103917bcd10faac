"""Reading what buyers receive."""

from collections.abc import Sequence

from purvey.server.deliverables import store
from purvey.server.deliverables.model import Deliverable
from purvey.server.kit.tools import Tools


async def load(tools: Tools, keys: Sequence[tuple[str, str]]) -> dict[str, Deliverable]:
    """Return the deliverables with these (account, deliverable) ids, by deliverable id."""
    return await store.by_ids(tools.database, keys)
