"""Into the library and out of it, and what is to be seen there."""

from collections.abc import Callable

from purvey.server.access import actions as access
from purvey.server.errors import FieldError, invalid
from purvey.server.kit.crypto import sha256
from purvey.server.kit.paging import Position, Slice
from purvey.server.kit.text import check_email
from purvey.server.kit.tools import Tools
from purvey.server.library import rules, store
from purvey.server.library.model import Bought, SignedIn
from purvey.server.orders import actions as orders
from purvey.server.orders.model import Order


async def ask(tools: Tools, email: str, wake: Callable[[], None]) -> None:
    """Have a link mailed to an address, if anything was bought with it. This does the same for every address, and says nothing.

    Raises ValidationError for what is no e-mail address.
    """
    try:
        address = check_email(email)
    except ValueError as error:
        raise invalid([FieldError(loc=["email"], msg=str(error), type="email")]) from None
    await store.ask(tools.database, tools.ids.new("ask_"), address, tools.clock.now())
    wake()


async def is_link(tools: Tools, token: str) -> bool:
    """Return whether the link with `token` would sign in now. Looking uses nothing up: mail scanners look at every link."""
    return await store.has_link(tools.database, sha256(token), tools.clock.now())


async def sign_in(tools: Tools, token: str, before: str | None) -> SignedIn | None:
    """Exchange the link with `token` for a session, once; None if it signs in no more. A session that was there `before` ends."""
    now = tools.clock.now()
    session = tools.ids.secret()
    email = await store.sign_in(
        tools.database, sha256(token), sha256(session), sha256(before) if before else None, now, now + rules.SESSION_FOR
    )
    return SignedIn(session, email) if email else None


async def signed_in(tools: Tools, session: str | None) -> str | None:
    """Return the address whose purchases the session with this token shows; None when nobody is signed in with it."""
    return await store.email_of(tools.database, sha256(session), tools.clock.now()) if session else None


async def sign_out(tools: Tools, session: str) -> None:
    """End a session, for whoever else has its token too."""
    await store.sign_out(tools.database, sha256(session), tools.clock.now())


async def purchases(tools: Tools, email: str, after: Position | None, limit: int) -> Slice[Bought]:
    """Return a page of what was bought with an address, newest first, with what each order's link shows now."""
    found = await orders.bought_with(tools, email, after, limit)
    doors = await access.doors(tools, found.rows)
    bought = [Bought(order, door, grant) for order, (door, grant) in zip(found.rows, doors, strict=True)]
    return Slice(bought, found.has_more, found.cursor)


async def purchase(tools: Tools, email: str, order_id: str) -> Order:
    """Return an order; raise NotFound if it was not bought with this address."""
    return await orders.of_buyer(tools, email, order_id)


async def way_to(tools: Tools, email: str, order_id: str) -> str:
    """Return the path of an order's page; raise NotFound if it was not bought with this address."""
    order = await purchase(tools, email, order_id)
    return f"/access/{tools.keyring.open(order.access_sealed)}"
