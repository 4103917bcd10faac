"""What a link shows, and the one door for what is counted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import msgspec

from purvey.server.access import rules, store
from purvey.server.access.model import Door, Grant, Lease, Link, Opening, Target, Visit, Wish
from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Deliverable
from purvey.server.errors import Gone, GrantExhausted, GrantExpired, GrantRevoked, NotFound
from purvey.server.files import actions as files
from purvey.server.files.model import File
from purvey.server.kit.tools import Tools
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order

LEASE = timedelta(hours=6)
"""How long one opening lasts."""

BACK = "The page that the mail about the order leads to says how to go on."
CLOSED: dict[Door, tuple[type[Gone], str]] = {
    Door.EXPIRED: (GrantExpired, f"This link's time is over. {BACK}"),
    Door.EXHAUSTED: (GrantExhausted, f"All downloads of this order are used up. {BACK}"),
    Door.HELD: (GrantRevoked, "This order is on hold until its seller has looked at the payment."),
    Door.REVOKED: (GrantRevoked, "Access to this order was withdrawn."),
}


class Look(msgspec.Struct, frozen=True):
    """What an access link shows: the order, its door, and, when it is open, the content and a signed link to each of it.

    `files` has what there is to say of those that are files, by their tokens.
    """

    order: Order
    door: Door
    grant: Grant | None
    content: tuple[Deliverable, ...] = ()
    links: tuple[str, ...] = ()
    files: Mapping[str, File] = MappingProxyType({})


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
    links = tuple(link(tools, grant, one.id) for one in content)
    return Look(order, door, grant, content, links, await _files(tools, order.account_id, content))


async def find(tools: Tools, token: str) -> Order | None:
    """Return the order whose link carries `token` now, or None."""
    return await orders.by_token(tools, token)


async def doors(tools: Tools, found: Sequence[Order]) -> list[tuple[Door, Grant | None]]:
    """Return what the link of each order shows now, and its live grant; the grants are read in one query."""
    grants = await store.live_of(tools.database, [(order.account_id, order.id) for order in found])
    now = tools.clock.now()
    each = [(order, grants.get((order.account_id, order.id))) for order in found]
    return [(rules.look(order, grant, now), grant) for order, grant in each]


async def live_grant(tools: Tools, order: Order) -> Grant | None:
    """Return the order's live grant: one that nobody has ended, though its time or its downloads may be over."""
    return await store.live(tools.database, order.account_id, order.id)


def link(tools: Tools, grant: Grant, deliverable_id: str) -> str:
    """Return the signed path that opens one deliverable until the grant ends."""
    expires = int(grant.expires_at.timestamp())
    signature = tools.keyring.sign(rules.PURPOSE, rules.link_message(grant.id, deliverable_id, expires))
    return f"/download/{grant.id}/{deliverable_id}/{expires}/{signature}"


async def follow(tools: Tools, link: Link) -> Target:
    """Return what a link leads to; whether it is open is decided later. Raises NotFound for a link that was not made here."""
    message = rules.link_message(link.grant_id, link.deliverable_id, link.expires)
    if not tools.keyring.verify(rules.PURPOSE, message, link.signature):
        raise NotFound("This link is not known here.")
    grant = await store.by_id(tools.database, link.grant_id)
    if grant is None:
        raise closed(Door.REVOKED)
    order = await orders.read(tools, grant.account_id, grant.order_id)
    found = await deliverables.load(tools, [(grant.account_id, link.deliverable_id)])
    if link.deliverable_id not in order.deliverables or link.deliverable_id not in found:
        raise NotFound("This link is not known here.")
    deliverable = found[link.deliverable_id]
    file = (await _files(tools, grant.account_id, [deliverable])).get(deliverable.token or "")
    return Target(grant, order, deliverable, file, datetime.fromtimestamp(link.expires, UTC))


async def peek(tools: Tools, target: Target) -> None:
    """Raise what a GET of the same link would be refused with; counts nothing, and is what HEAD asks."""
    now = tools.clock.now()
    grant = target.grant
    opens = grant.revoked_at is None and rules.look(target.order, grant, now) is Door.OPEN and now < target.until
    if not opens and not (_is_live(target) and await store.leased(tools.database, target, now)):
        raise await _why_closed(tools, target)


async def open_lease(tools: Tools, target: Target, wish: Wish) -> Lease:
    """Join a lease, or count a download and open one (FU-11); everything that is sent is sent under one.

    Raises GrantExpired, GrantExhausted or GrantRevoked when nothing more may be opened.
    """
    now = tools.clock.now()
    found = await store.open_lease(tools.database, target, tools.ids.new("dwn_"), wish, now, now + LEASE)
    if found is None:
        raise await _why_closed(tools, target)
    return Lease(target.grant.account_id, found, wish.first or 0)


async def charge(tools: Tools, lease: Lease, length: int) -> bool:
    """Charge the next bytes to a lease, and return whether they may be sent: not after a refund, nor when it has none left."""
    return await store.charge(tools.database, lease, length)


async def give_back(tools: Tools, lease: Lease, length: int) -> None:
    """Return bytes to a lease that were charged and that nobody was sent."""
    await store.give_back(tools.database, lease, length)


def closed(door: Door) -> Gone:
    """Return the error for a door that is shut for good."""
    kind, sentence = CLOSED[door]
    return kind(sentence)


def _is_live(target: Target) -> bool:
    """Return whether the grant may still be used to finish what was begun: its time and count do not matter for that."""
    order = target.order
    return target.grant.revoked_at is None and not rules.is_barred(order)


async def _files(tools: Tools, account_id: str, content: Iterable[Deliverable]) -> dict[str, File]:
    return await files.load(tools, [(account_id, one.token) for one in content if one.token is not None])


async def _why_closed(tools: Tools, target: Target) -> Gone:
    """Return the reason, read anew: others may have used it up, or the money been given back, a moment ago."""
    now = tools.clock.now()
    grant = await store.by_id(tools.database, target.grant.id)
    if grant is None or grant.revoked_at is not None:
        return closed(Door.REVOKED)
    door = rules.look(await orders.read(tools, grant.account_id, grant.order_id), grant, now)
    if door in CLOSED:
        return closed(door)
    return closed(Door.EXPIRED if now >= target.until else Door.EXHAUSTED)


async def note(tools: Tools, order: Order, visit: Visit) -> None:
    """Note from where an order's page was opened."""
    await store.note(tools.database, order.account_id, order.id, visit, tools.clock.now())


async def note_opening(tools: Tools, target: Target, visit: Visit) -> None:
    """Note from where a deliverable was opened."""
    grant = target.grant
    await store.note(tools.database, grant.account_id, grant.order_id, visit, tools.clock.now())


async def note_buying(tools: Tools, account_id: str, checkout_id: str, visit: Visit) -> None:
    """Note from where an order form was sent off, or a buyer came back from paying."""
    await store.note(tools.database, account_id, checkout_id, visit, tools.clock.now())


async def openings(tools: Tools, order: Order) -> list[Opening]:
    """Return when, and as far as it is known from where, an order was bought, looked at and opened, oldest first."""
    return await store.openings(tools.database, order)
