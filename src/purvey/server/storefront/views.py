"""What each page is given: plain frozen values, ready to be shown, with no way back to the database."""

from datetime import datetime
from typing import ClassVar, Literal

import msgspec
from markupsafe import Markup

from purvey.server.kit.text import LONGEST_EMAIL

FieldType = Literal["text", "select", "date", "checkbox", "email", "number"]
Availability = Literal["for_sale", "sold_out", "not_for_sale"]
"""`not_for_sale` is a draft or an archived listing; `sold_out` has no stock left."""

GoneReason = Literal["expired", "exhausted", "held", "revoked", "refunded", "disputed"]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What every page is told: whether it must say "test mode", because payments go to the sandbox."""

    test_mode: bool


class Link(msgspec.Struct, frozen=True):
    """A way on: its text, and where it leads."""

    text: str
    url: str


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One question of a form, with what the buyer answered and what was wrong with it.

    `name` is the form's name for it (see `forms.field_name`). `value` is what the buyer typed; a checkbox is ticked when it
    is not empty. `error` is a sentence, or None.
    """

    name: str
    type: FieldType
    label: str
    required: bool = True
    options: tuple[str, ...] = ()
    max_length: int | None = None
    value: str = ""
    error: str | None = None


class Faq(msgspec.Struct, frozen=True):
    """A question and its answer."""

    question: str
    answer: str


class Review(msgspec.Struct, frozen=True):
    """What somebody said; `rating` is 1 to 5."""

    name: str
    content: str
    rating: float | None = None


class ProductView(Page, frozen=True, kw_only=True):
    """A listing's page. `action` is where its form is posted; `amount` and `compare_at` are minor units of `currency`.

    `description` is plain text: an empty line parts paragraphs. `cta` replaces the words on the button, beneath
    which `terms` say how long the content opens. `fields` are the buyer's e-mail address first, then the questions of the schema.
    """

    availability: Availability
    action: str
    name: str
    amount: int
    currency: str
    seller_name: str
    tagline: str | None = None
    description: str | None = None
    image_url: str | None = None
    highlights: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()
    faqs: tuple[Faq, ...] = ()
    reviews: tuple[Review, ...] = ()
    rating: float | None = None
    rating_count: int | None = None
    compare_at: int | None = None
    cta: str | None = None
    terms: str | None = None
    fields: tuple[Field, ...] = ()

    @property
    def wrong(self) -> tuple[Field, ...]:
        """The fields with an error, in the order of the form."""
        return tuple(field for field in self.fields if field.error)


class SandboxView(Page, frozen=True, kw_only=True):
    """The sandbox's payment page.

    `open` takes a card, posted as `card` to `action`; `paid` leads on to `order_url`, every other way back to `product_url`.
    `card` is what was typed, `error` what came of it.
    """

    state: Literal["open", "paid", "expired"]
    action: str
    product_url: str
    order_url: str
    listing_name: str
    seller_name: str
    buyer_email: str
    amount: int
    currency: str
    card: str = ""
    error: str | None = None


class SandboxRefund(msgspec.Struct, frozen=True):
    """A refund in the sandbox's books."""

    reference: str
    amount: int
    at: datetime


class Step(msgspec.Struct, frozen=True):
    """Something that the bank may do next: the dispute's status then, and the words on its button."""

    status: str
    words: str


class SandboxPaymentView(Page, frozen=True, kw_only=True):
    """The sandbox's page about a payment. `typed` is the amount that was given, `error` what was wrong with it."""

    reference: str
    amount: int
    left: int
    currency: str
    refunds: tuple[SandboxRefund, ...] = ()
    dispute_status: str | None = None
    steps: tuple[Step, ...] = ()
    typed: str = ""
    error: str | None = None


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought, from whom, and where to turn."""

    order_id: str
    listing_name: str
    seller_name: str
    seller_email: str
    amount: int
    currency: str
    paid_at: datetime


class WaitingView(Page, frozen=True, kw_only=True):
    """Paid, and the content is not there yet.

    The page asks again after `refresh_after` seconds; without JavaScript it reloads, less often, every `reload_after` seconds.
    It waits for the seller to make it, for licence keys, which had run out, for the seller's server (`callback`), or, when that
    failed, for the seller. `due_at` is the seller's promise, if there is one;
    once it `is_late`, `on_late` is what follows.
    """

    purchase: Purchase
    buyer_email: str
    waits_for: Literal["making", "restock", "callback", "seller"] = "making"
    due_at: datetime | None = None
    is_late: bool = False
    on_late: Literal["remind", "refund", "fallback"] = "remind"
    refresh_after: int = 5
    reload_after: int = 10


class TextItem(msgspec.Struct, frozen=True):
    """Text, shown to the letter."""

    kind: ClassVar[str] = "text"
    text: str


class MarkdownItem(msgspec.Struct, frozen=True):
    """Text with Markdown, as sanitised HTML (see `kit.markdown`)."""

    kind: ClassVar[str] = "markdown"
    html: Markup


class UrlItem(msgspec.Struct, frozen=True):
    """A link. `url` is ours, signed, and redirects; `host` says where it leads, such as `example.com`."""

    kind: ClassVar[str] = "url"
    url: str
    host: str


class FileItem(msgspec.Struct, frozen=True):
    """A file to download. `url` is ours, signed; `size` is in bytes, `sha256` in hex."""

    kind: ClassVar[str] = "file"
    url: str
    name: str
    size: int
    sha256: str


class Row(msgspec.Struct, frozen=True):
    """A value and its name, within the names that lead to it. A `secret` is masked until asked for, a `url` can be followed."""

    within: tuple[str, ...]
    name: str
    value: str
    secret: bool = False
    url: str | None = None


class ValuesItem(msgspec.Struct, frozen=True):
    """Names and their values, as the seller's server gave them; `rest` holds all of it as JSON when it is too long for rows."""

    kind: ClassVar[str] = "values"
    rows: tuple[Row, ...]
    rest: str | None = None


Item = TextItem | MarkdownItem | UrlItem | FileItem | ValuesItem


class ReadyView(Page, frozen=True, kw_only=True):
    """The content. Links open `opens_left` more times of `opens_total`; nothing opens after `open_until`."""

    purchase: Purchase
    items: tuple[Item, ...]
    open_until: datetime
    opens_left: int
    opens_total: int

    @property
    def counts(self) -> bool:
        """Whether anything here uses up an opening: text never does."""
        return any(item.kind in {"url", "file"} for item in self.items)


class HandedOffView(Page, frozen=True, kw_only=True):
    """Paid; the seller delivers outside of this server."""

    purchase: Purchase


class GoneView(Page, frozen=True, kw_only=True):
    """There is nothing to open any more, since `gone_at`.

    A fresh link can be had from the form that is posted to `fresh_url`; `asked_out` when the buyer has had as many as there are.
    """

    purchase: Purchase
    reason: GoneReason
    gone_at: datetime | None = None
    fresh_url: str | None = None
    asked_out: bool = False


class LostView(Page, frozen=True, kw_only=True):
    """A link to an order that is not known, perhaps because a newer one took its place. `field` is for the buyer's address."""

    field: Field


class FreshMailedView(Page, frozen=True, kw_only=True):
    """A fresh link was asked for; whether one was mailed is not said."""


class PendingView(Page, frozen=True, kw_only=True):
    """Back from the payment page, before the provider's notice has come in. It asks again and reloads as `WaitingView` does."""

    listing_name: str
    buyer_email: str
    refresh_after: int = 3
    reload_after: int = 5


class MailedView(Page, frozen=True, kw_only=True):
    """Back from the payment page long after the payment: the way to the content is in the mail alone, or comes from the seller."""

    listing_name: str
    delivered_by: str | None = None


class ErrorView(Page, frozen=True, kw_only=True):
    """Something went wrong, in the buyer's words. Without `text` the status says it; `reference` helps to find it in the log."""

    status: int
    text: str | None = None
    reference: str | None = None


class EvidenceEntry(msgspec.Struct, frozen=True):
    """Something that happened, and from where or to whom."""

    at: datetime
    words: str
    more: str = ""


class EvidenceView(Page, frozen=True, kw_only=True):
    """What proves the delivery of an order: its `facts` by name, and what happened, oldest first."""

    order_id: str
    product: str
    policy: str
    facts: tuple[tuple[str, str], ...]
    delivery: tuple[EvidenceEntry, ...]
    mails: tuple[EvidenceEntry, ...]
    access: tuple[EvidenceEntry, ...]


class MailboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the mailbox; `url` opens the message."""

    url: str
    recipient: str
    subject: str
    received_at: datetime


class MailboxView(Page, frozen=True, kw_only=True):
    """The built-in mailbox, newest message first."""

    entries: tuple[MailboxEntry, ...]


class MailboxMessageView(Page, frozen=True, kw_only=True):
    """One message. `html_url` serves its HTML alone, for a sandboxed frame; `text` is its plain part."""

    recipient: str
    subject: str
    received_at: datetime
    text: str
    html_url: str


class HomeView(Page, frozen=True, kw_only=True):
    """The server's own front page; `links` are what there is to see."""

    version: str
    links: tuple[Link, ...]


ADDRESS = Field(name="email", type="email", label="Your e-mail address", max_length=LONGEST_EMAIL)
"""What the library asks for."""


class LibraryView(Page, frozen=True, kw_only=True):
    """Where a buyer asks for the link that signs in; `field` is for the address. `stale`: the link just opened signs in no more."""

    field: Field
    stale: bool = False


class LibraryMailedView(Page, frozen=True, kw_only=True):
    """A link was asked for; whether one was mailed is not said. It signs in for `minutes`."""

    minutes: int


class LibrarySignInView(Page, frozen=True, kw_only=True):
    """The link of a mail was opened; the form, posted to `action`, signs in."""

    action: str


PurchaseState = Literal["ready", "waiting", "late", "handed_off", "expired", "exhausted", "held", "revoked", "refunded"]
"""How a purchase stands. `revoked`: the seller withdrew it, or took the money back by a dispute."""


class LibraryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase. `url` opens its page; `until` is the instant at which an open one closes, or an expired one did.

    One that has run out is opened again by the form that is posted to `fresh_url`.
    """

    purchase: Purchase
    state: PurchaseState
    url: str
    fresh_url: str | None = None
    until: datetime | None = None


class LibraryOrdersView(Page, frozen=True, kw_only=True):
    """What was bought with an address, newest first; `older` is the address of the next page."""

    email: str
    entries: tuple[LibraryEntry, ...]
    older: str | None = None
    first: bool = True
