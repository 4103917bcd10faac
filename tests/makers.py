"""Makers of what tests need: each gives something whole and valid, and lets a test name only what it is about."""

from datetime import timedelta
from typing import Any

import msgspec

from fakes import START, FakeClock
from purvey.server.accounts.actions import create_account
from purvey.server.checkout import store as checkouts
from purvey.server.checkout.model import Checkout
from purvey.server.deliverables.model import NewDeliverable
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools
from purvey.server.orders.wire import DeliverableFacts
from purvey.server.payments.model import Payment

SECRET_KEY = "a secret key of the tests that is long enough"
BASE_URL = "http://shop.test"


def make_tools(database: Database, clock: FakeClock | None = None) -> Tools:
    """Return tools with a fake clock and a fixed secret key."""
    return Tools(database, clock or FakeClock(), Ids(), Keyring([SECRET_KEY]), BASE_URL, private_urls=True)


async def make_account(tools: Tools, name: str = "Stella Stars") -> str:
    """Return the id of a new account."""
    account, _ = await create_account(tools, f"{tools.ids.new('')}@example.com".lower(), name)
    return account.id


async def make_checkout(tools: Tools, account_id: str, **changes: Any) -> Checkout:
    """Store an open checkout of a static listing with one text, and return it; `changes` replace fields."""
    checkout = await start_checkout(tools, account_id, **changes)
    assert checkout is not None
    return checkout


async def start_checkout(tools: Tools, account_id: str, **changes: Any) -> Checkout | None:
    """Do as `make_checkout`; return None when none is left of what is limited."""
    content = NewDeliverable(account_id, tools.ids.new("del_"), None, "text", "the goods", None, None)
    await tools.database.write(
        "SELECT deliverables_make($1::deliverable_new[], $2)", [msgspec.structs.astuple(content)], tools.clock.now()
    )
    fields: dict[str, Any] = {
        "id": tools.ids.new("chk_"),
        "account_id": account_id,
        "listing_id": "lst_kit",
        "status": "open",
        "payment_url": f"{BASE_URL}/pay",
        "buyer_email": "ada@example.com",
        "checkout_data": msgspec.Raw(b'{"birth_date":"1990-05-15"}'),
        "amount": 500,
        "currency": "USD",
        "content_type": "static",
        "deliverables": (DeliverableFacts(content.id, "text"),),
        "listing": msgspec.Raw(b'{"id":"lst_kit","name":"Kit","content_type":"static","price":500,"metadata":{}}'),
        "seller": msgspec.Raw(b'{"name":"Stella Stars","email":"stella@example.com"}'),
        "grant_after": 48,
        "grant_downloads": 10,
        "created_at": START,
        "expires_at": START + timedelta(minutes=30),
    }
    checkout = Checkout(**(fields | changes))
    return checkout if await checkouts.insert(tools.database, checkout) else None


def make_payment(checkout: Checkout, reference: str = "") -> Payment:
    """Return the payment of a checkout, as a provider would confirm it."""
    return Payment("sandbox", reference or f"pay_{checkout.id}", checkout.id, checkout.amount, checkout.currency)
