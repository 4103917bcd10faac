"""From a message to the mail that is sent. Pure: the link, the sender and the instant come in as arguments."""

import contextlib
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from purvey.server.kit import money
from purvey.server.kit.text import check_email
from purvey.server.mail import endpoint
from purvey.server.mail.model import FOR_SELLERS, EndpointFacts, Facts, Message, Template
from purvey.server.mail.rules import one_line

LONGEST_NAME = 120
"""Characters of a listing's or a seller's name that a mail shows."""


TITLES = {
    Template.FRESH_LINK: "A fresh link to your order",
    Template.LATE: "Your order is late",
    Template.REMINDER: "A buyer is waiting",
    Template.DISPUTED: "A payment is disputed",
    Template.KEYS_MISSING: "A licence key is missing",
    Template.FRAUD: "A payment may be fraud",
    Template.REFUND_FAILED: "A refund came back",
    Template.DELIVERY_PENDING: "Your order takes a little longer",
    Template.CALLBACK_FAILED: "Your server did not deliver an order",
}
REFUND_TITLES = {"whole": "Your refund", "part": "A part of your money goes back", "second": "You paid twice"}
"""Of what a refund is of its order, the title of its mail."""


class UnaddressableError(Exception):
    """No mail can be sent to the address: its domain cannot be written in ASCII."""


def read_sender(text: str) -> Address:
    """Return the sender that a setting such as `Shop <shop@example.com>` names; raise ValueError if it names none."""
    name, address = parseaddr(text)
    try:
        return _address(name, check_email(address))
    except (ValueError, UnaddressableError) as error:
        raise ValueError(
            f"PURVEY_MAIL_FROM: {text!r} is no sender ({error}). Give one such as Shop <shop@example.com>."
        ) from error


def render(
    message: Message, url: str | None, sender: Address, now: datetime, *, test_mode: bool = False
) -> EmailMessage:
    """Return the mail, as plain text and HTML, with the link `url`. Its Message-ID is the message's own, however often it is sent.

    Raises UnaddressableError when nothing can be sent to the recipient's address.
    """
    facts = _on_one_line(message.facts) if isinstance(message.facts, Facts) else None
    link = None if message.template in FOR_SELLERS else url
    words = {"url": link, "test_mode": test_mode, **_words(message, facts)}
    mail = _envelope(message, facts, sender, now)
    mail["Subject"] = words["subject"]
    mail.set_content(_environment.get_template(f"{message.template}.txt").render(words), cte="quoted-printable")
    html = _environment.get_template(f"{message.template}.html").render(words)
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    return mail


def _words(message: Message, facts: Facts | None) -> dict[str, Any]:
    if isinstance(message.facts, EndpointFacts):
        return endpoint.words(message.facts)
    return _about(message.template, facts) if facts else _ABOUT_NO_ORDER


_ABOUT_NO_ORDER = {"subject": "Sign in to your purchases", "title": "Sign in to your purchases"}


def _about(template: Template, facts: Facts) -> dict[str, Any]:
    """Return the words of a mail about an order."""
    title = _title(template, facts)
    return {
        "facts": facts,
        "paid": money.display(facts.amount, facts.currency) if facts.amount else "Free",
        "title": title,
        "subject": subject(template, facts),
        "to_seller": template in FOR_SELLERS,
        "open_until": _instant(facts.open_until) if facts.open_until else None,
        "refunded": money.display(facts.refunded, facts.currency) if facts.refunded else None,
        "due": _instant(facts.due_at) if facts.due_at else None,
        "paid_on": _instant(facts.paid_at) if facts.paid_at else None,
    }


def subject(template: Template, facts: Facts) -> str:
    """Return the subject of a mail about an order."""
    return f"{_title(template, facts)}: {one_line(facts.listing_name, LONGEST_NAME)}"


def _envelope(message: Message, facts: Facts | None, sender: Address, now: datetime) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = _address("", message.recipient)
    with contextlib.suppress(UnaddressableError):
        if facts:
            to_seller = message.template in FOR_SELLERS
            other = ("", facts.buyer_email) if to_seller else (facts.seller_name, facts.seller_email)
            mail["Reply-To"] = _address(*other)
    mail["Date"] = format_datetime(now.astimezone(UTC))
    mail["Message-ID"] = f"<{message.id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    # Mail programs fold messages with like subjects into one conversation, and hide the second link; this keeps them apart.
    mail["X-Entity-Ref-ID"] = message.id
    return mail


def _title(template: Template, facts: Facts) -> str:
    match template:
        case Template.CONFIRMATION:
            return "We got your payment" if facts.amount else "We got your order"
        case Template.REFUND:
            return REFUND_TITLES[facts.refund or "part"]
        case _ if template in TITLES:
            return TITLES[template]
        case _:
            return "Your order" if facts.content_type == "static" else "Your order is ready"


def _on_one_line(facts: Facts) -> Facts:
    return msgspec.structs.replace(
        facts,
        listing_name=one_line(facts.listing_name, LONGEST_NAME),
        seller_name=one_line(facts.seller_name, LONGEST_NAME),
    )


def _address(name: str, address: str) -> Address:
    """Return the address with its domain in ASCII (RFC 5890), so that only an odd local part needs SMTPUTF8."""
    local, _, domain = address.rpartition("@")
    try:
        return Address(display_name=name, username=local, domain=domain.encode("idna").decode())
    except ValueError as error:
        raise UnaddressableError(f"{address!r} is no address that mail can be sent to: {error}") from error


def _instant(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)
