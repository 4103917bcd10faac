"""Ways back in: a fresh link, access withdrawn, an address put right. Pure: asked again, they decide on the order as it is then.

A fresh link is a new token: whoever had the old one has nothing. With it comes a new grant, whose time and count begin anew. None
of these is an event; each is a row of the order's history.
"""

from typing import Any

import msgspec

from purvey.server.access.model import Door, Grant
from purvey.server.access.rules import is_barred, is_withdrawn, look, new_grant
from purvey.server.errors import InvalidTransition
from purvey.server.fulfillment.model import Draw, Seen, Transition
from purvey.server.fulfillment.rules import message
from purvey.server.mail.model import Template
from purvey.server.orders import rules as orders
from purvey.server.orders.model import Order, Status

MOST_ASKED = 3
"""Fresh links that a buyer may ask for, in an order's life. A seller may send any number."""


def may_ask(order: Order, door: Door) -> bool:
    """Return whether the buyer may have a fresh link: the grant has run out by itself, and not too often."""
    return door in {Door.EXPIRED, Door.EXHAUSTED} and order.fresh_links < MOST_ASKED


def ask(token_hash: bytes | None, seen: Seen, draw: Draw) -> Transition | None:
    """Return the fresh link that a buyer asks for: mailed to whoever has the link with `token_hash`, or shown without one.

    None when there is none to be had: the order opens, was paid back or withdrawn, or the link is an old one. `seen.beside` is the
    live grant.
    """
    order = seen.order
    grant: Grant | None = seen.beside
    if not may_ask(order, look(order, grant, draw.now)) or token_hash not in {None, order.access_hash}:
        return None
    asked = order.fresh_links + 1
    return _renewed(order, "fresh_link", "buyer", draw, opens=True, mails=token_hash is not None, fresh_links=asked)


def resend(seen: Seen, draw: Draw) -> Transition:
    """Return the fresh link that a seller sends. What was withdrawn is given back by it; what is not ready yet stays so.

    An order on hold is not opened by the way: whoever resends may be a program that knows nothing of the warning.
    """
    order = seen.order
    if order.held_at is not None and not is_withdrawn(order):
        raise InvalidTransition(
            f"Order {order.id} is on hold, because its payment may be fraud. Release it first: POST /v1/orders/{order.id}/release.",
            current_status=order.status,
            held_at=order.held_at,
            allowed_statuses=[],
        )
    if order.status is Status.HANDED_OFF or is_withdrawn(order):
        raise InvalidTransition(
            f"Order {order.id} {'was paid back' if is_withdrawn(order) else 'is delivered by its seller'}: no link opens anything.",
            current_status=order.status,
            payment_status=order.payment_status,
            allowed_statuses=[Status.PROCESSING, Status.FULFILLED],
        )
    return _renewed(order, "resend", "seller", draw, opens=order.status is Status.FULFILLED, mails=True)


def release(seen: Seen, draw: Draw) -> Transition | None:
    """Return what ends the hold of a suspect order; None when it is not on hold. `seen.beside` is the live grant.

    The buyer, who may have had hours of it taken away, is mailed a fresh link to what is there; what is not there yet goes on.
    """
    order = seen.order
    if order.held_at is None:
        return None
    opens = order.status is Status.FULFILLED and seen.beside is not None and not is_withdrawn(order)
    if opens:
        return _renewed(order, "release", "seller", draw, opens=True, mails=True, held_at=None)
    after = orders.change(order, held_at=None)
    return Transition(before=order, after=after, steps=orders.steps(order, [("release", after)], "seller"))


def revoke(seen: Seen, draw: Draw) -> Transition | None:
    """Return what withdraws access; None when nothing opens as it is. `seen.beside` is the live grant."""
    del draw
    order = seen.order
    if order.status is not Status.FULFILLED:
        raise InvalidTransition(
            f"Order {order.id} is {order.status}: there is no access yet that could be withdrawn.",
            current_status=order.status,
            allowed_statuses=[Status.FULFILLED],
        )
    if seen.beside is None:
        return None
    after = msgspec.structs.replace(order, version=order.version + 1)
    return Transition(
        before=order, after=after, steps=orders.steps(order, [("revoke", after)], "seller"), ends_grant=True
    )


def correct(email: str, seen: Seen, draw: Draw) -> Transition | None:
    """Return what gives the order to another address; None when it is that already. `seen.beside` is the live grant.

    Whatever was mailed to the old address opens nothing any more. The new one is mailed a link, unless there is nothing to open.
    """
    order = seen.order
    if order.buyer_email == email:
        return None
    opens = order.status is Status.FULFILLED and seen.beside is not None
    mails = not is_barred(order) and (opens or order.status is Status.PROCESSING)
    detail = msgspec.Raw(msgspec.json.encode({"before": order.buyer_email, "after": email}))
    return _renewed(order, orders.CORRECT, "seller", draw, opens=opens, mails=mails, detail=detail, buyer_email=email)


def _renewed(
    order: Order,
    action: str,
    actor: str,
    draw: Draw,
    *,
    opens: bool,
    mails: bool,
    detail: msgspec.Raw | None = None,
    **changes: Any,
) -> Transition:
    link = draw.new_link()
    changes |= {"version": order.version + 1, "access_hash": link.hash, "access_sealed": link.sealed}
    after = msgspec.structs.replace(order, **changes)
    grant = new_grant(after, draw.new_id("grt_"), draw.now) if opens else None
    steps = orders.steps(order, [(action, after)], actor)
    return Transition(
        before=order,
        after=after,
        steps=[msgspec.structs.replace(step, detail=detail) for step in steps],
        ends_grant=opens,
        grant=grant,
        messages=[message(after, Template.FRESH_LINK, draw, grant)] if mails else [],
    )
