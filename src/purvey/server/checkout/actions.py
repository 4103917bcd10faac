"""Starting a checkout, looking at one, and coming back from the payment page."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from purvey.server.checkout import rules, store
from purvey.server.checkout.model import Checkout
from purvey.server.checkout.rules import CheckoutOut
from purvey.server.errors import Conflict, FieldError, invalid, sold_out, unknown
from purvey.server.kit.crypto import sha256
from purvey.server.kit.text import check_email
from purvey.server.kit.tools import Tools
from purvey.server.listings.answers import check_answers
from purvey.server.listings.model import Sale
from purvey.server.orders import actions as orders
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.model import Accepted, Payment, SessionRequest

FREE = "free"
"""The provider of what costs nothing: its payments are confirmed by the checkout itself."""
CONFIRM_AFTER = timedelta(seconds=5)
"""When a job makes sure that a free checkout has its order; by then it has, unless the process died."""


class ComeBack(msgspec.Struct, frozen=True):
    """Where a buyer goes: to the content (with its token), to wait for the payment, or to look into the mail."""

    way: Literal["open", "pending", "mailed"]
    checkout: Checkout
    token: str = ""


async def load(tools: Tools, ids: Sequence[str]) -> dict[str, Checkout]:
    """Return those of the checkouts that exist."""
    return await store.by_ids(tools.database, ids)


async def read(tools: Tools, checkout_id: str) -> Checkout:
    """Return one checkout, or raise NotFound."""
    found = await load(tools, [checkout_id])
    if not found:
        raise unknown("checkout", checkout_id)
    return found[checkout_id]


async def start(tools: Tools, inbox: Inbox, sale: Sale, buyer_email: str, answers: dict[str, object]) -> CheckoutOut:
    """Start a checkout of what is on sale; what is free is paid at once. Raises ValidationError for address and answers."""
    return await settled(tools, inbox, await begin(tools, inbox, sale, buyer_email, answers))


async def begin(tools: Tools, inbox: Inbox, sale: Sale, buyer_email: str, answers: dict[str, object]) -> Checkout:
    """Store a new checkout; raise Conflict when none is left.

    What is free is to be `settled` then; should the process die before, a job does it.
    """
    email = _checked_email(buyer_email)
    data = check_answers(sale.checkout_schema, answers)
    checkout_id = tools.ids.new("chk_")
    session = SessionRequest(
        account_id=sale.account_id,
        checkout_id=checkout_id,
        amount=sale.price,
        currency=sale.currency,
        description=sale.name,
        buyer_email=email,
        expires_at=tools.clock.now() + rules.OPEN_FOR,
        return_url=return_url(tools, checkout_id),
        cancel_url=f"{tools.base_url}/l/{sale.listing_id}",
    )
    # The session comes first: should the process die here, the provider keeps one that nobody will ever pay.
    url = await inbox.in_use.start(session) if sale.price else return_url(tools, checkout_id)
    checkout = rules.new_checkout(sale, checkout_id, url, email, data, tools.clock.now())
    if sale.price:
        stored = await store.insert(tools.database, checkout)
    else:
        stored = await store.insert_free(tools.database, checkout, checkout.created_at + CONFIRM_AFTER)
    if not stored:
        raise sold_out(sale.name)
    return checkout


async def settled(tools: Tools, inbox: Inbox, checkout: Checkout) -> CheckoutOut:
    """Return a new checkout as its buyer sees it, after making the order of one that is free."""
    if checkout.amount:
        return rules.checkout_out(checkout, tools.clock.now())
    await confirm_free(inbox, checkout)
    return await show(tools, checkout.id)


async def confirm_free(inbox: Inbox, checkout: Checkout) -> None:
    """Make the order of a checkout that costs nothing."""
    # The reference is in the order's events, so it must not lead to the checkout, which leads to the content.
    reference = f"free_{sha256(checkout.id).hex()[:32]}"
    await inbox.confirm(Payment(FREE, reference, checkout.id, 0, checkout.currency))


async def show(tools: Tools, checkout_id: str) -> CheckoutOut:
    """Return a checkout as its buyer sees it."""
    checkout = await read(tools, checkout_id)
    now = tools.clock.now()
    shown = rules.checkout_out(checkout, now)
    if checkout.order_id is None or not rules.shows_access(checkout, now):
        return shown
    order = await orders.read(tools, checkout.account_id, checkout.order_id)
    if await orders.was_corrected(tools, order):
        return shown
    return msgspec.structs.replace(shown, access_url=orders.access_url(tools, order))


async def come_back(tools: Tools, inbox: Inbox, checkout_id: str) -> ComeBack:
    """Return where a buyer goes who comes back from the payment page.

    The provider is asked when its notice has not come yet. The notice and this race for the same idempotent action; whoever comes
    first makes the order. The way to the content is shown for an hour; later, and once the address was put right, it is in the mail
    alone.
    """
    checkout = await read(tools, checkout_id)
    order_id = checkout.order_id or await _confirm(inbox, checkout)
    if order_id is None:
        return ComeBack("pending", checkout)
    if checkout.order_id and not rules.shows_access(checkout, tools.clock.now()):
        return ComeBack("mailed", checkout)
    order = await orders.read(tools, checkout.account_id, order_id)
    if checkout.order_id and await orders.was_corrected(tools, order):
        return ComeBack("mailed", checkout)
    return ComeBack("open", checkout, tools.keyring.open(order.access_sealed))


def return_url(tools: Tools, checkout_id: str) -> str:
    """Return where the payment page sends the buyer."""
    return f"{tools.base_url}/checkout/{checkout_id}/return"


async def _confirm(inbox: Inbox, checkout: Checkout) -> str | None:
    payment = await inbox.in_use.find_payment(checkout.id) if checkout.amount else None
    if payment is None:
        return None
    verdict = await inbox.confirm(payment)
    if not isinstance(verdict, Accepted):
        raise Conflict(f"The payment cannot be matched to this checkout: {verdict.reason}.")
    return verdict.order_id


def _checked_email(text: str) -> str:
    try:
        return check_email(text)
    except ValueError as error:
        raise invalid([FieldError(loc=["buyer_email"], msg=str(error), type="email")]) from None
