"""Reading orders."""

from collections.abc import Sequence

from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Deliverable, NewDeliverable
from purvey.server.errors import unknown
from purvey.server.kit.crypto import sha256
from purvey.server.kit.paging import Position, Slice, slice_of
from purvey.server.kit.tools import Tools
from purvey.server.orders import store
from purvey.server.orders.model import HistoryEntry, Order
from purvey.server.orders.rules import CORRECT
from purvey.server.orders.store import Filters
from purvey.server.orders.wire import DeliverableOut, OrderOut, order_out


async def load(tools: Tools, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Order]:
    """Return those of the (account, order) ids that exist."""
    return await store.by_ids(tools.database, keys)


async def read(tools: Tools, account_id: str, order_id: str) -> Order:
    """Return the account's order, or raise NotFound."""
    found = await store.by_ids(tools.database, [(account_id, order_id)])
    if not found:
        raise unknown("order", order_id)
    return found[account_id, order_id]


async def by_token(tools: Tools, token: str) -> Order | None:
    """Return the order whose access link carries `token`, or None."""
    return await store.by_access_hash(tools.database, sha256(token))


async def by_payment(tools: Tools, provider: str, reference: str) -> Order | None:
    """Return the order that was made of a payment, or None."""
    return await store.by_payment(tools.database, provider, reference)


async def page(tools: Tools, account_id: str, filters: Filters, after: Position | None, limit: int) -> Slice[Order]:
    """Return a page of the account's orders, newest first."""
    found = await store.page(tools.database, account_id, filters, after, limit + 1)
    return slice_of(found, limit, lambda order: Position(order.created_at, order.id))


async def bought_with(tools: Tools, email: str, after: Position | None, limit: int) -> Slice[Order]:
    """Return a page of what was bought with an e-mail address, of whichever seller, newest first; case does not matter."""
    found = await store.bought_with(tools.database, email, after, limit + 1)
    return slice_of(found, limit, lambda order: Position(order.created_at, order.id))


async def of_buyer(tools: Tools, email: str, order_id: str) -> Order:
    """Return the order, or raise NotFound if it was not bought with this e-mail address."""
    found = await store.of_buyer(tools.database, email, order_id)
    if found is None:
        raise unknown("order", order_id)
    return found


async def without_key(tools: Tools, account_id: str, listing_id: str, limit: int) -> list[Order]:
    """Return up to `limit` paid orders of the listing that wait for a licence key, the oldest first."""
    return await store.without_key(tools.database, account_id, listing_id, limit)


async def history(tools: Tools, account_id: str, order_id: str) -> list[HistoryEntry]:
    """Return every change of the order, oldest first; raise NotFound for an order that is not the account's."""
    entries = await store.history(tools.database, account_id, order_id)
    if not entries:
        raise unknown("order", order_id)
    return entries


async def was_corrected(tools: Tools, order: Order) -> bool:
    """Return whether the seller has corrected the buyer's address: what was shown to the first one is then shown no more."""
    return await store.has_step(tools.database, order.account_id, order.id, CORRECT)


def access_url(tools: Tools, order: Order) -> str | None:
    """Return the link that opens the order's page; None for what is delivered elsewhere: there is nothing here to open (FU-5)."""
    if order.content_type == "webhook":
        return None
    return f"{tools.base_url}/access/{tools.keyring.open(order.access_sealed)}"


async def show(tools: Tools, orders: Sequence[Order]) -> list[OrderOut]:
    """Return the orders as the API shows them; their content is read in one query."""
    keys = [(order.account_id, one) for order in orders for one in order.deliverables]
    content = await deliverables.load(tools, keys) if keys else {}
    return [show_with(tools, order, [content[one] for one in order.deliverables]) for order in orders]


def show_with(tools: Tools, order: Order, content: Sequence[Deliverable | NewDeliverable]) -> OrderOut:
    """Return one order as the API shows it, with its content, which the caller has at hand."""
    return order_out(order, [_out(one) for one in content], access_url(tools, order))


def _out(deliverable: Deliverable | NewDeliverable) -> DeliverableOut:
    return DeliverableOut(deliverable.id, deliverable.type, deliverable.value, deliverable.token, deliverable.format)
