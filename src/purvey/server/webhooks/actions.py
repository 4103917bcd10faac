"""Looking at deliveries."""

import msgspec

from purvey.server.errors import unknown
from purvey.server.kit.paging import Position, Slice, slice_of
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import store
from purvey.server.webhooks.model import Delivery, DeliveryStatus, DeliveryWithAttempts


async def page_of_deliveries(
    tools: Tools,
    account_id: str,
    endpoint_id: str,
    status: DeliveryStatus | None,
    *,
    after: Position | None,
    limit: int,
) -> Slice[Delivery]:
    """Return deliveries of an endpoint, the newest first, or raise NotFound when the account has no such endpoint."""
    if not await store.has_endpoint(tools.database, account_id, endpoint_id):
        raise unknown("webhook endpoint", endpoint_id)
    found = await store.deliveries_page(tools.database, account_id, endpoint_id, status, after=after, limit=limit + 1)
    return slice_of(found, limit, lambda delivery: Position(delivery.created_at, delivery.id))


async def read_delivery(tools: Tools, account_id: str, delivery_id: str) -> DeliveryWithAttempts:
    """Return one delivery with its attempts, or raise NotFound."""
    found = await store.delivery(tools.database, account_id, delivery_id)
    if found is None:
        raise unknown("delivery", delivery_id)
    tried = await store.attempts(tools.database, account_id, delivery_id)
    return DeliveryWithAttempts(**msgspec.structs.asdict(found), attempts=tried)
