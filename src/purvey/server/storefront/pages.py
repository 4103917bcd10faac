"""The pages: one function each, from a view to HTML.

Everything a view holds is escaped, unless it is `Markup`. A template that names what its view does not have fails loudly.
The pages keep within this policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https: data:;
connect-src 'self'; frame-src 'self'; base-uri 'none'.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from purvey.server.kit import money
from purvey.server.storefront import views
from purvey.server.storefront.assets import url as asset_url
from purvey.server.storefront.wording import DISPUTES, ERRORS, GONE, PURCHASE_STATES, TEST_CARDS

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def _instant(at: datetime) -> str:
    """Return 17 April 2026, 10:23 UTC."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _paragraphs(text: str) -> list[str]:
    """Part plain text at its empty lines."""
    parts = text.replace("\r\n", "\n").split("\n\n")
    return [part.strip("\n") for part in parts if part.strip()]


def _size(count: int) -> str:
    """Return a number of bytes as people say it: 512 bytes, 3.4 MB. A megabyte is a million, as on most desktops and phones."""
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    for unit, factor in (("kB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12)):
        if count < 999.5 * factor or unit == "TB":
            amount = count / factor
            return f"{amount:.0f} {unit}" if amount >= 9.95 or unit == "kB" else f"{amount:.1f} {unit}"
    raise AssertionError("unreachable")


def _mailto(purchase: views.Purchase) -> str:
    """Return a mailto URL (RFC 6068) to the seller, with the order named in the subject."""
    subject = f"Order {purchase.order_id}: {purchase.listing_name}"
    return f"mailto:{quote(purchase.seller_email, safe='@')}?subject={quote(subject, safe='')}"


def _initial(name: str) -> str:
    """Return the letter or digit that stands for a name; a dot when it has none."""
    return next((character.upper() for character in name if character.isalnum()), "·")


_environment.filters.update(
    mailto=_mailto, money=money.display, instant=_instant, size=_size, initial=_initial, paragraphs=_paragraphs
)
_environment.globals.update(asset=asset_url)


def _render(template: str, view: views.Page, **words: Any) -> str:
    return _environment.get_template(template).render(view=view, **words)


def product(view: views.ProductView) -> str:
    """Return a listing's page with its order form."""
    return _render("product.html", view)


def sandbox(view: views.SandboxView) -> str:
    """Return the sandbox's payment page."""
    return _render("sandbox.html", view, cards=TEST_CARDS)


def sandbox_payment(view: views.SandboxPaymentView) -> str:
    """Return the sandbox's page about a payment."""
    return _render("sandbox_payment.html", view, standing=DISPUTES[view.dispute_status])


def waiting(view: views.WaitingView) -> str:
    """Return the access page of an order whose content is not there yet."""
    return _render("waiting.html", view)


def ready(view: views.ReadyView) -> str:
    """Return the access page with the content."""
    return _render("ready.html", view)


def handed_off(view: views.HandedOffView) -> str:
    """Return the access page of an order that the seller delivers elsewhere."""
    return _render("handed_off.html", view)


def gone(view: views.GoneView) -> str:
    """Return the access page that opens no more; its status is 410."""
    title, text = GONE[view.reason]
    return _render("gone.html", view, title=title, text=text)


def lost(view: views.LostView) -> str:
    """Return the page behind a link that is not known; its status is 404."""
    return _render("lost.html", view)


def fresh_mailed(view: views.FreshMailedView) -> str:
    """Return the page that sends the buyer to the mail for a fresh link, whoever asked."""
    return _render("fresh_mailed.html", view)


def pending(view: views.PendingView) -> str:
    """Return the page between the payment and its confirmation."""
    return _render("pending.html", view)


def mailed(view: views.MailedView) -> str:
    """Return the page that sends the buyer to the mail."""
    return _render("mailed.html", view)


def error(view: views.ErrorView) -> str:
    """Return the page for an HTTP error status."""
    title, text = ERRORS.get(view.status, ERRORS[500 if view.status >= 500 else 422])
    return _render("error.html", view, title=title, text=view.text or text)


def evidence(view: views.EvidenceView) -> str:
    """Return the evidence of an order."""
    return _render("evidence.html", view)


def mailbox(view: views.MailboxView) -> str:
    """Return the list of messages."""
    return _render("mailbox.html", view)


def mailbox_message(view: views.MailboxMessageView) -> str:
    """Return one message."""
    return _render("mailbox_message.html", view)


def library(view: views.LibraryView) -> str:
    """Return the page that asks for an e-mail address, to see what was bought with it."""
    return _render("library.html", view)


def library_mailed(view: views.LibraryMailedView) -> str:
    """Return the page that sends the buyer to the mail, whatever the address was."""
    return _render("library_mailed.html", view)


def library_sign_in(view: views.LibrarySignInView) -> str:
    """Return the page behind the link of a mail."""
    return _render("library_sign_in.html", view)


def library_orders(view: views.LibraryOrdersView) -> str:
    """Return what a buyer has bought."""
    return _render("library_orders.html", view, states=PURCHASE_STATES)


def home(view: views.HomeView) -> str:
    """Return the front page."""
    return _render("home.html", view)
