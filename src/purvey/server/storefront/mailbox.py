"""The built-in mailbox in a browser, and as JSON for programs. Only there when mail is kept on this machine."""

from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from purvey.server.errors import NotFound
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, json_bytes, preferred
from purvey.server.mail import actions as mail
from purvey.server.mail.model import Letter
from purvey.server.storefront import pages, views
from purvey.server.storefront.answers import page
from purvey.server.storefront.shop import Browser, Shop

HTML, JSON = "text/html", "application/json"

MAIL_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
"""For a mail's own HTML: it brings its styles along, runs nothing, loads nothing, and may only open links in a new tab."""


class Mails(msgspec.Struct, frozen=True, kw_only=True):
    """The mailbox, newest message first."""

    object: Literal["list"] = "list"
    data: list[Letter]


@get("/mailbox", include_in_schema=False)
async def mailbox(request: Browser, tools: Given[Tools], shop: Given[Shop]) -> Response[Any]:
    """List the messages, as a page or as JSON, whichever `Accept` prefers."""
    _require_mailbox(shop)
    letters = await mail.list_mailbox(tools)
    if _wants_json(request):
        return _json(Mails(data=letters))
    entries = tuple(_entry(letter) for letter in letters)
    return page(pages.mailbox(views.MailboxView(test_mode=shop.test_mode, entries=entries)))


@get("/mailbox/{message_id:str}", include_in_schema=False)
async def message(request: Browser, message_id: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Response[Any]:
    """Show one message, as a page or as JSON, whichever `Accept` prefers."""
    _require_mailbox(shop)
    letter = await mail.read_mailbox(tools, message_id)
    if _wants_json(request):
        return _json(letter)
    view = views.MailboxMessageView(
        test_mode=shop.test_mode,
        recipient=letter.recipient,
        subject=letter.subject,
        received_at=letter.received_at,
        text=letter.text,
        html_url=f"/mailbox/{letter.message_id}/html",
    )
    return page(pages.mailbox_message(view))


@get("/mailbox/{message_id:str}/html", include_in_schema=False)
async def message_html(message_id: FromPath[str], tools: Given[Tools], shop: Given[Shop]) -> Response[str]:
    """Serve a message's HTML alone, for the frame on its page."""
    _require_mailbox(shop)
    letter = await mail.read_mailbox(tools, message_id)
    return Response(letter.html, media_type="text/html", headers=MAIL_HEADERS)


def _require_mailbox(shop: Shop) -> None:
    if not shop.has_mailbox:
        raise NotFound("There is no mailbox here: mail goes to the server that PURVEY_SMTP_URL names.")


def _wants_json(request: Browser) -> bool:
    return preferred(request, HTML, JSON) == JSON


def _json(document: Mails | Letter) -> Response[bytes]:
    return json_bytes(msgspec.json.encode(document))


def _entry(letter: Letter) -> views.MailboxEntry:
    return views.MailboxEntry(
        url=f"/mailbox/{letter.message_id}",
        recipient=letter.recipient,
        subject=letter.subject,
        received_at=letter.received_at,
    )


routes = [mailbox, message, message_html]
