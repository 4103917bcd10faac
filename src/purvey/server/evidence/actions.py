"""Gathering evidence."""

from purvey.server.access import actions as access
from purvey.server.checkout import actions as checkouts
from purvey.server.evidence import rules
from purvey.server.evidence.model import Evidence
from purvey.server.kit.tools import Tools
from purvey.server.mail import actions as mail
from purvey.server.orders import actions as orders


async def gather(tools: Tools, account_id: str, order_id: str) -> Evidence:
    """Return all that proves the delivery of an order; raise NotFound for one that is not the account's."""
    order = await orders.read(tools, account_id, order_id)
    history = await orders.history(tools, account_id, order_id)
    mails = await mail.sent_about(tools, account_id, order_id)
    checkout = await checkouts.read(tools, order.checkout_id)
    return rules.evidence(order, checkout.description, history, mails, await access.openings(tools, order))
