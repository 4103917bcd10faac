"""Reading the built-in mailbox."""

from purvey.server.errors import unknown
from purvey.server.kit.tools import Tools
from purvey.server.mail import store
from purvey.server.mail.model import Letter, Sent

SHOWN = 200
"""How many letters the list shows."""


async def sent_about(tools: Tools, account_id: str, order_id: str) -> list[Sent]:
    """Return the messages about an order, oldest first."""
    return await store.about(tools.database, account_id, order_id)


async def list_mailbox(tools: Tools) -> list[Letter]:
    """Return the newest 200 letters, newest first."""
    return await store.letters(tools.database, SHOWN)


async def read_mailbox(tools: Tools, message_id: str) -> Letter:
    """Return the letter, or raise NotFound."""
    found = await store.letter(tools.database, message_id)
    if found is None:
        raise unknown("message", message_id)
    return found
