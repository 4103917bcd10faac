"""What a link shows, and the one door for what is counted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from purvey.server.access import rules, store
from purvey.server.access.model import Door, Grant
from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Deliverable
from purvey.server.errors import Gone, GrantExhausted, GrantExpired, GrantRevoked, NotFound
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order

LEASE = timedelta(hours=6)
"""How long one opening lasts."""

CLOSED: dict[Door, tuple[type[Gone], str]] = {
    Door.EXPIRED: (GrantExpired, "This link's time is over."),
    Door.EXHAUSTED: (GrantExhausted, "All downloads of this order are used up."),
    Door.REVOKED: (GrantRevoked, "Access to this order was withdrawn."),
}


class Look(msgspec.Struct, frozen=True):
    """What an access link shows: the order, its door, and, when it is open, the content and a signed link to each of it."""

    order: Order
    door: Door
    grant: Grant | None
    content: tuple[Deliverable, ...] = ()
    links: tuple[str, ...] = ()


async def look(tools: Tools, token: str) -> Look:
    """Return what the link with `token` shows now; raise NotFound for an unknown token. Looking counts nothing."""
    order = await orders.by_token(tools, token)
    if order is None:
        raise NotFound("This link is not known here.")
    grant = await store.live(tools.database, order.account_id, order.id)
    door = rules.look(order, grant, tools.clock.now())
    if grant is None or door is not Door.OPEN:
        return Look(order, door, grant)
    found = await deliverables.load(tools, [(order.account_id, one) for one in order.deliverables])
    content = tuple(found[one] for one in order.deliverables)
    return Look(order, door, grant, content, tuple(link(tools, grant, one.id) for one in content))


async def doors(tools: Tools, found: Sequence[Order]) -> list[tuple[Door, Grant | None]]:
    """Return what the link of each order shows now, and its live grant; the grants are read in one query."""
    grants = await store.live_of(tools.database, [(order.account_id, order.id) for order in found])
    now = tools.clock.now()
    each = [(order, grants.get((order.account_id, order.id))) for order in found]
    return [(rules.look(order, grant, now), grant) for order, grant in each]


def link(tools: Tools, grant: Grant, deliverable_id: str) -> str:
    """Return the signed path that opens one deliverable until the grant ends."""
    expires = int(grant.expires_at.timestamp())
    signature = tools.keyring.sign(rules.PURPOSE, rules.link_message(grant.id, deliverable_id, expires))
    return f"/download/{grant.id}/{deliverable_id}/{expires}/{signature}"


async def open_link(
    tools: Tools, grant_id: str, deliverable_id: str, expires: int, signature: str, *, counts: bool
) -> Deliverable:
    """Check a download link, count the opening if it `counts` (HEAD does not) and return what it opens.

    Raises NotFound for a link that was not made here, GrantExpired, GrantExhausted or GrantRevoked when it opens nothing more.
    """
    if not tools.keyring.verify(rules.PURPOSE, rules.link_message(grant_id, deliverable_id, expires), signature):
        raise NotFound("This link is not known here.")
    now = tools.clock.now()
    if now >= datetime.fromtimestamp(expires, UTC):
        raise closed(Door.EXPIRED)
    grant, deliverable = await _behind(tools, grant_id, deliverable_id)
    download_id = tools.ids.new("dwn_")
    if counts and not await store.count(tools.database, grant, download_id, deliverable.id, now, now + LEASE):
        raise await _why_closed(tools, grant)
    return deliverable


def closed(door: Door) -> Gone:
    """Return the error for a door that is shut for good."""
    kind, sentence = CLOSED[door]
    return kind(sentence)


async def _behind(tools: Tools, grant_id: str, deliverable_id: str) -> tuple[Grant, Deliverable]:
    grant = await store.by_id(tools.database, grant_id)
    if grant is None or grant.revoked_at is not None:
        raise closed(Door.REVOKED)
    order = await orders.read(tools, grant.account_id, grant.order_id)
    door = rules.look(order, grant, tools.clock.now())
    if door in CLOSED:
        raise closed(door)
    found = await deliverables.load(tools, [(grant.account_id, deliverable_id)])
    if deliverable_id not in order.deliverables or deliverable_id not in found:
        raise NotFound("This link is not known here.")
    return grant, found[deliverable_id]


async def _why_closed(tools: Tools, grant: Grant) -> Gone:
    """Return the reason of a grant that closed between the look and the count: others used it up."""
    order = await orders.read(tools, grant.account_id, grant.order_id)
    door = rules.look(order, await store.live(tools.database, grant.account_id, grant.order_id), tools.clock.now())
    return closed(door if door in CLOSED else Door.EXHAUSTED)
