"""How long a link and a session last, and how many links an address is mailed. Pure."""

from datetime import datetime, timedelta

import msgspec

from purvey.server.library.model import Ask, NewLink
from purvey.server.mail.model import NewMessage, Template

LINK_FOR = timedelta(minutes=30)
"""How long a link signs in."""
SESSION_FOR = timedelta(days=30)
"""How long a browser stays signed in, unless its buyer signs out."""
MOST_LINKS = 5
"""Links that are mailed to one address within `COUNTED_FOR`, so that nobody's mailbox can be flooded through us."""
COUNTED_FOR = timedelta(hours=1)
"""How long a link counts."""


def new_link(ask: Ask, token_hash: bytes, now: datetime) -> NewLink:
    """Return the link that answers `ask`."""
    return NewLink(token_hash, ask.email, now, now + LINK_FOR)


def new_message(ask: Ask, message_id: str, sealed: bytes, now: datetime) -> NewMessage:
    """Return the mail that carries the link; it is not sent any more when the link has expired."""
    return NewMessage(
        account_id="",
        id=message_id,
        template=Template.SIGN_IN,
        order_id=None,
        recipient=ask.email,
        facts=msgspec.Raw(b"null"),
        sealed=sealed,
        good_until=now + LINK_FOR,
    )
