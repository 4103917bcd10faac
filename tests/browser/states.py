"""Every page in every state that a buyer may meet it in, and every mail: what is looked at, measured and photographed.

A page joins by a line in `STATES`; a template of the storefront without one is found by tests/house/test_page_states.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from markupsafe import Markup

from purvey.server.kit import markdown
from purvey.server.mail.model import LEADS_TO, EndpointFacts, Facts, Message, Template
from purvey.server.mail.render import read_sender, render
from purvey.server.storefront import pages, views
from purvey.server.storefront.delivered import items_of
from purvey.server.storefront.wording import terms

AT = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
ORDER = "ord_6Fh2kQ0mXv9TzL4cRw8bNa"
EMAIL = "ada.lovelace@example.com"
LONG_EMAIL = "the.very.long.mailbox.name.of.somebody.who.likes.dots@a-subdomain.of-a-rather-long-company-name.example"
WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
LONG_NAME = f"The complete, annotated and illustrated handbook of everything about {WORD} " * 2
LONG_SELLER = "The Worshipful Company of Makers of Digital Things and Their Friends, Heirs and Successors"
ARABIC = "دليل الطبخ العربي: مئة وصفة 🍲"
ARABIC_SELLER = "مطبخ ليلى 👩🏽‍🍳"
ARABIC_TEXT = "هذه هي الوصفات التي اشتريتها.\nافتح الملف واطبخ. PDF 2026 🙂\n\nشكرا!"
COVER = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='1200' height='675'%3E%3Crect width='1200' "
    "height='675' fill='%231f6f54'/%3E%3Ccircle cx='880' cy='240' r='150' fill='%23f2d38b'/%3E%3Cpath d='M0 675L420 "
    "260l300 300 180-140 300 255z' fill='%230f3d2e'/%3E%3C/svg%3E"
)
DESCRIPTION = (
    "Forty pages on how the sky looked when you were born, written for you and nobody else.\n\nYou tell the date, the "
    "time and the place. An astrologer with twenty years of practice reads the chart, and you get the reading as a "
    "document that you can keep.\n\nNo subscription, no account."
)
MARKDOWN = """# Your reading

Born under **Taurus**, with the moon in *Leo*.

## What the year brings

1. A journey by water.
2. News of an old friend: see [the map](https://example.com/map).

> Patience is a virtue.

| Month | Luck |
|-------|------|
| April | high |
| May   | so-so |

```
key = "7F3A-99C1-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-0000-1111-2222-3333"
```
"""


@dataclass(frozen=True)
class State:
    """A page in one state: its address in the tests, its template, and what makes it."""

    name: str
    template: str
    make: Callable[[], str]


def _state(name: str, page: Callable[[Any], str], view: views.Page) -> State:
    return State(name, f"{page.__name__}.html", lambda: page(view))


def _question(kind: views.FieldType, label: str, **told: Any) -> views.Field:
    return views.Field(name=f"data.{label.split(maxsplit=1)[0].lower()}", type=kind, label=label, **told)


BUYER = views.Field(name="buyer_email", type="email", label="Your e-mail address", max_length=254)
QUESTIONS = (
    BUYER,
    _question("text", "Name on the cover", max_length=80),
    _question("text", "Wishes, if you have any", max_length=2000, required=False),
    _question("select", "Language of the reading", options=("English", "Deutsch", "日本語")),
    _question("select", "Frame, for those who print it", options=(WORD, "None at all"), required=False),
    _question("date", "Birth date"),
    _question("checkbox", "Gift wrapped", required=False),
    _question(
        "checkbox",
        "Agreed: I want it made at once and know that I cannot send back what was made for me alone. " * 2,
    ),
    _question("email", "Copy to this e-mail address", required=False),
    _question("number", "Hour of birth, from 0 to 24"),
    _question("text", f"{WORD}?", required=False),
)
WRONG = {
    "buyer_email": ("ada@nowhere", "What stands after the @ is no domain name; write it like ada@example.com."),
    "data.name": ("", "Fill this in."),
    "data.language": ("", "Choose one of these."),
    "data.birth": ("", "Give a date."),
    "data.agreed:": ("", "Tick this to go on."),
    "data.hour": ("12345678901234567890", "Must be between -1000000000000000 and 1000000000000000."),
}
ANSWERED = tuple(
    msgspec.structs.replace(field, value=WRONG[field.name][0], error=WRONG[field.name][1])
    if field.name in WRONG
    else field
    for field in QUESTIONS
)
PLAIN = views.ProductView(
    test_mode=True,
    availability="for_sale",
    action="/l/lst_1/checkout",
    name="A good book",
    amount=500,
    currency="USD",
    seller_name="Ines Weber",
    terms=terms("static", 48, 10),
    fields=(BUYER,),
)
RICH = msgspec.structs.replace(
    PLAIN,
    name="Your birth chart, read by hand",
    tagline="A personal reading, made for you within minutes.",
    amount=2900,
    compare_at=4900,
    description=DESCRIPTION,
    image_url=COVER,
    badges=("Made for you", "PDF and web", "English, Deutsch"),
    highlights=("Forty pages, for one reader", "The chart as a picture to print", "Free corrections for a year"),
    rating=4.8,
    rating_count=1312,
    reviews=(
        views.Review("Grace", "I did not believe in it. I still do not, but I read it twice.", 5),
        views.Review("Alan", "Precise, and beautifully set.\n\nWould buy again."),
    ),
    faqs=(
        views.Faq("How soon do I get it?", "Within a few minutes. You can close the page; a mail tells you."),
        views.Faq("Can I give it to somebody?", "Yes: tell their dates, and print it."),
    ),
)
LONG = msgspec.structs.replace(
    RICH,
    name=LONG_NAME,
    seller_name=LONG_SELLER,
    tagline=f"{WORD} and more. " * 3,
    amount=123_456_789_00,
    compare_at=999_999_999_00,
    cta=f"Take my money for the {WORD}",
    badges=(WORD, *("Another badge",) * 9),
    description=f"{DESCRIPTION}\n\n" * 8 + WORD * 3,
    highlights=(WORD * 2, DESCRIPTION),
    faqs=(views.Faq(f"{WORD}?", WORD * 4),),
    reviews=(views.Review(WORD, f"{WORD} {DESCRIPTION}", 1.5),),
)
ARABIC_PRODUCT = msgspec.structs.replace(
    RICH,
    name=ARABIC,
    seller_name=ARABIC_SELLER,
    tagline="وصفات من القلب ❤️",
    description=f"{ARABIC_TEXT}\n\n{ARABIC_TEXT}",
    badges=("جديد ✨", "PDF"),
    highlights=("مئة وصفة", "صور كثيرة 📷"),
    faqs=(views.Faq("متى أستلمه؟", "فورا."),),
    reviews=(views.Review("ليلى", "رائع! 😋", 5),),
)
SANDBOX_PAYMENT = views.SandboxPaymentView(
    test_mode=True,
    reference="pay_0mXv9TzL4cRw8bNa6Fh2kQ",
    amount=2900,
    left=2400,
    currency="USD",
    refunds=(views.SandboxRefund("re_1", 500, AT),),
    dispute_status="needs_response",
    steps=(
        views.Step("under_review", "Send the seller's evidence"),
        views.Step("won", "Decide for the seller"),
        views.Step("lost", "Decide for the buyer"),
    ),
)
NO_AMOUNT = "Give a whole number of minor units, such as 500 for $5.00, or nothing for all that is left."
LOST_PAYMENT = msgspec.structs.replace(SANDBOX_PAYMENT, dispute_status="lost", steps=(), left=0)
PAYMENT = views.SandboxView(
    test_mode=True,
    state="open",
    action="/sandbox/checkouts/chk_1/pay",
    product_url="/l/lst_1",
    order_url="/checkout/chk_1/return",
    listing_name="Your birth chart, read by hand",
    seller_name="Ines Weber",
    buyer_email=EMAIL,
    amount=2900,
    currency="USD",
)
DECLINED = msgspec.structs.replace(PAYMENT, card="4000 0000 0000 0002", error="This card was declined.")
LONG_PAYMENT = msgspec.structs.replace(
    DECLINED, listing_name=LONG_NAME, seller_name=LONG_SELLER, buyer_email=LONG_EMAIL, amount=123_456_789_00
)
PURCHASE = views.Purchase(
    order_id=ORDER,
    listing_name="Your birth chart, read by hand",
    seller_name="Ines Weber",
    seller_email="ines@example.com",
    amount=2900,
    currency="USD",
    paid_at=AT,
)
LONG_PURCHASE = msgspec.structs.replace(
    PURCHASE, listing_name=LONG_NAME, seller_name=LONG_SELLER, amount=123_456_789_00
)
ARABIC_PURCHASE = msgspec.structs.replace(PURCHASE, listing_name=ARABIC, seller_name=ARABIC_SELLER, amount=0)
KEY = views.TextItem("Your key: 7F3A-99C1-AAAA\nValid for two machines.")
LINES = views.TextItem("\n".join(f"{number:03}  {'word ' * (number % 23)}" for number in range(1, 401)))
DOCUMENT = views.MarkdownItem(Markup(markdown.render(MARKDOWN)))  # noqa: S704  # sanitised there
LINK = views.UrlItem("/download/grt_1/del_1/1/x", "files.example.com")
LONG_LINK = views.UrlItem("/download/grt_1/del_2/1/x", f"{'downloads-' * 6}.of-a-long-name.example")
SUM = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BOOK = views.FileItem("/download/grt_1/del_3/1/x", "birth-chart-ada-lovelace.pdf", 3_412_000, SUM)
LONG_FILE = views.FileItem(
    "/download/grt_1/del_4/1/x", f"{WORD} and {WORD.lower()} (2nd edition).tar.gz", 5_368_709_120, SUM
)
ARABIC_FILE = views.FileItem("/download/grt_1/del_5/1/x", "دليل الطبخ العربي 🍲.epub", 812, SUM)
LONG_WORDS = views.TextItem(f"{WORD * 6}\n\thttps://example.com/{'a' * 300}")
READY = views.ReadyView(
    test_mode=True, purchase=PURCHASE, items=(KEY,), open_until=AT + timedelta(hours=48), opens_left=9, opens_total=10
)
FRESH_MAIL = views.MailboxEntry(
    url="/mailbox/msg_1",
    recipient=EMAIL,
    subject="Your order is ready: Your birth chart, read by hand",
    received_at=AT,
)
LONG_MAIL = msgspec.structs.replace(FRESH_MAIL, recipient=LONG_EMAIL, subject=f"Your order: {LONG_NAME}")
ARABIC_MAIL = msgspec.structs.replace(FRESH_MAIL, subject=f"Your order: {ARABIC}")
LETTER = views.MailboxMessageView(
    test_mode=True,
    recipient=EMAIL,
    subject="Your order is ready: Your birth chart, read by hand",
    received_at=AT,
    text=f"Thank you. What you bought is on this page:\n\nhttps://shop.example/access/{'tOkEn' * 8}\n",
    html_url="/mails/ready",
)

ADDRESS = views.ADDRESS
LIBRARY = views.LibraryView(test_mode=True, field=ADDRESS)
WRONG_ADDRESS = msgspec.structs.replace(
    ADDRESS, value="ada@nowhere", error="What stands after the @ is no domain name; give it like ada@example.com."
)


def _entry(state: views.PurchaseState, purchase: views.Purchase = PURCHASE, **told: Any) -> views.LibraryEntry:
    return views.LibraryEntry(purchase=purchase, state=state, url=f"/library/orders/{ORDER}", **told)


PURCHASES = views.LibraryOrdersView(
    test_mode=True,
    email=EMAIL,
    entries=(
        _entry("ready", until=AT + timedelta(hours=48)),
        _entry("waiting", ARABIC_PURCHASE),
        _entry("late"),
        _entry("handed_off"),
        _entry("expired", fresh_url="/library/orders/x/fresh"),
        _entry("exhausted"),
        _entry("revoked"),
        _entry("held"),
        _entry("refunded", LONG_PURCHASE),
    ),
    older="/library/orders?cursor=x",
)


def _ready(**changes: Any) -> views.ReadyView:
    return msgspec.structs.replace(READY, **changes)


def _delivered(**held: Any) -> views.ReadyView:
    return _ready(items=items_of(msgspec.Raw(msgspec.json.encode(held))))


TOKEN = {
    "token": "dyn_7h2kq0mxv9",
    "expires_at": "2026-12-31T23:59:59.000Z",
    "invite": "https://discord.example/invite/7h2k",
    "account": {"user": "ada", "password": "correct horse battery staple", "active": True, "seats": 3, "note": None},
    "license_keys": ["AAAA-BBBB-CCCC", "DDDD-EEEE-FFFF"],
}
MANY = views.ValuesItem(tuple(views.Row((), f"Note {n}", f"AAAA-{n:04}") for n in range(12)), rest=LONG_NAME * 3)
DEEP = {
    WORD: LONG_NAME,
    "a": {"b": {"c": {"d": {"e": [1, 2, {"f": "deep"}]}}}},
    "secret": WORD * 4,
    "عنوان": ARABIC_TEXT,
}


def _product(**changes: Any) -> views.ProductView:
    return msgspec.structs.replace(PLAIN, **changes)


def _gone(reason: views.GoneReason, purchase: views.Purchase = PURCHASE, **told: Any) -> views.GoneView:
    return views.GoneView(test_mode=True, purchase=purchase, reason=reason, gone_at=AT, **told)


def _error(status: int, **told: Any) -> views.ErrorView:
    return views.ErrorView(test_mode=True, status=status, **told)


def _waiting(purchase: views.Purchase, email: str) -> views.WaitingView:
    return views.WaitingView(test_mode=True, purchase=purchase, buyer_email=email)


PROMISED = msgspec.structs.replace(_waiting(PURCHASE, EMAIL), due_at=AT + timedelta(hours=4))

STATES = (
    _state("product", pages.product, PLAIN),
    _state("product-rich", pages.product, RICH),
    _state("product-real-payments", pages.product, _product(test_mode=False)),
    _state("product-questions", pages.product, msgspec.structs.replace(RICH, fields=QUESTIONS)),
    _state("product-wrong", pages.product, msgspec.structs.replace(RICH, fields=ANSWERED)),
    _state("product-free", pages.product, _product(amount=0)),
    _state("product-sold-out", pages.product, _product(availability="sold_out")),
    _state("product-not-for-sale", pages.product, _product(availability="not_for_sale")),
    _state("product-long", pages.product, LONG),
    _state("product-arabic", pages.product, ARABIC_PRODUCT),
    _state("payment", pages.sandbox, PAYMENT),
    _state("payment-declined", pages.sandbox, DECLINED),
    _state("payment-paid", pages.sandbox, msgspec.structs.replace(PAYMENT, state="paid")),
    _state("payment-expired", pages.sandbox, msgspec.structs.replace(PAYMENT, state="expired")),
    _state("payment-long", pages.sandbox, LONG_PAYMENT),
    _state("sandbox-payment", pages.sandbox_payment, SANDBOX_PAYMENT),
    _state(
        "sandbox-payment-wrong",
        pages.sandbox_payment,
        msgspec.structs.replace(SANDBOX_PAYMENT, typed="5,00", error=NO_AMOUNT),
    ),
    _state("sandbox-payment-lost", pages.sandbox_payment, LOST_PAYMENT),
    _state("pending", pages.pending, views.PendingView(test_mode=True, listing_name="A good book", buyer_email=EMAIL)),
    _state("waiting", pages.waiting, _waiting(PURCHASE, EMAIL)),
    _state("waiting-key", pages.waiting, msgspec.structs.replace(_waiting(PURCHASE, EMAIL), waits_for="restock")),
    _state("waiting-callback", pages.waiting, msgspec.structs.replace(_waiting(PURCHASE, EMAIL), waits_for="callback")),
    _state(
        "waiting-seller", pages.waiting, msgspec.structs.replace(_waiting(LONG_PURCHASE, EMAIL), waits_for="seller")
    ),
    _state("waiting-promised", pages.waiting, PROMISED),
    _state("waiting-refund", pages.waiting, msgspec.structs.replace(PROMISED, on_late="refund")),
    _state("waiting-late", pages.waiting, msgspec.structs.replace(PROMISED, is_late=True)),
    _state("waiting-late-refund", pages.waiting, msgspec.structs.replace(PROMISED, is_late=True, on_late="refund")),
    _state(
        "waiting-late-unpromised",
        pages.waiting,
        msgspec.structs.replace(_waiting(LONG_PURCHASE, LONG_EMAIL), is_late=True),
    ),
    _state("waiting-long", pages.waiting, _waiting(LONG_PURCHASE, LONG_EMAIL)),
    _state("mailed", pages.mailed, views.MailedView(test_mode=True, listing_name="A good book")),
    _state(
        "mailed-by-seller",
        pages.mailed,
        views.MailedView(test_mode=True, listing_name="A good book", delivered_by="Ines Weber"),
    ),
    _state("ready", pages.ready, READY),
    _state("ready-file", pages.ready, _ready(items=(BOOK,))),
    _state("ready-three", pages.ready, _ready(items=(BOOK, LINK, KEY))),
    _state("ready-three-long", pages.ready, _ready(items=(LONG_FILE, DOCUMENT, LONG_LINK), opens_left=1)),
    _state(
        "ready-values",
        pages.ready,
        _delivered(service_text="Use this token in the bot.", dynamic_response=TOKEN, deliveryType="DYNAMIC", count=1),
    ),
    _state("ready-values-long", pages.ready, _delivered(dynamic_response=DEEP)),
    _state("ready-values-many", pages.ready, _ready(items=(MANY,))),
    _state("ready-lines", pages.ready, _ready(items=(LINES,))),
    _state("ready-long", pages.ready, _ready(items=(LONG_WORDS, LONG_LINK), purchase=LONG_PURCHASE)),
    _state(
        "ready-arabic",
        pages.ready,
        _ready(items=(views.TextItem(ARABIC_TEXT), LINK, ARABIC_FILE), purchase=ARABIC_PURCHASE),
    ),
    _state("handed-off", pages.handed_off, views.HandedOffView(test_mode=True, purchase=PURCHASE)),
    _state("handed-off-long", pages.handed_off, views.HandedOffView(test_mode=True, purchase=LONG_PURCHASE)),
    _state("gone-expired", pages.gone, _gone("expired", fresh_url="/access/x/fresh")),
    _state("gone-exhausted", pages.gone, _gone("exhausted", fresh_url="/access/x/fresh")),
    _state("gone-asked-out", pages.gone, _gone("expired", asked_out=True)),
    _state("lost", pages.lost, views.LostView(test_mode=True, field=ADDRESS)),
    _state("fresh-mailed", pages.fresh_mailed, views.FreshMailedView(test_mode=True)),
    _state("gone-held", pages.gone, msgspec.structs.replace(_gone("held"), gone_at=None)),
    _state("gone-revoked", pages.gone, _gone("revoked", ARABIC_PURCHASE)),
    _state("gone-refunded", pages.gone, _gone("refunded", LONG_PURCHASE)),
    _state("library", pages.library, LIBRARY),
    _state("library-wrong", pages.library, msgspec.structs.replace(LIBRARY, field=WRONG_ADDRESS)),
    _state("library-stale", pages.library, msgspec.structs.replace(LIBRARY, stale=True)),
    _state("library-mailed", pages.library_mailed, views.LibraryMailedView(test_mode=True, minutes=30)),
    _state("library-sign-in", pages.library_sign_in, views.LibrarySignInView(test_mode=True, action="/library/x")),
    _state("library-orders", pages.library_orders, PURCHASES),
    _state(
        "library-orders-none", pages.library_orders, msgspec.structs.replace(PURCHASES, email=LONG_EMAIL, entries=())
    ),
    _state(
        "evidence",
        pages.evidence,
        views.EvidenceView(
            test_mode=False,
            order_id="ord_0mXv9TzL4cRw8bNa6Fh2kQ",
            product=f"{LONG_NAME}: digital content, prepared in advance and delivered online.\n\nThe product page, when it was "
            f"bought:\n{WORD * 2}",
            policy="Shown on the product page beneath the button to buy, before the payment: “It opens for 48 hours from its "
            "delivery or 10 times, whichever ends first.”",
            facts=(
                ("Order", "ord_0mXv9TzL4cRw8bNa6Fh2kQ"),
                ("Buyer", LONG_EMAIL),
                ("Bought from", "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
                ("Paid", "$29.00"),
                ("Payment", "stripe pi_0mXv9TzL4cRw8bNa6Fh2kQ"),
                ("Dispute", "needs_response (product_not_received)"),
            ),
            delivery=(views.EvidenceEntry(AT, "The payment was confirmed", "stripe"),),
            mails=(views.EvidenceEntry(AT, f"Your order: {LONG_NAME}", f"to {LONG_EMAIL}"),),
            access=(
                views.EvidenceEntry(AT, "Sent off the order form", "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
                views.EvidenceEntry(
                    AT,
                    "Opened the page of the order",
                    "203.0.113.7, Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
                ),
                views.EvidenceEntry(AT, "A download was counted"),
            ),
        ),
    ),
    _state(
        "evidence-bare",
        pages.evidence,
        views.EvidenceView(
            test_mode=True, order_id="ord_0mXv", product="Kit.", policy="", facts=(), delivery=(), mails=(), access=()
        ),
    ),
    _state("gone-disputed", pages.gone, _gone("disputed")),
    _state("error-not-found", pages.error, _error(404)),
    _state("error-refused", pages.error, _error(422, text=f"`{WORD * 2}` is not known here.")),
    _state("error-ours", pages.error, _error(500, reference="req_0mXv9TzL4cRw8bNa6Fh2kQ")),
    _state("mailbox", pages.mailbox, views.MailboxView(test_mode=True, entries=(FRESH_MAIL, LONG_MAIL, ARABIC_MAIL))),
    _state("mailbox-empty", pages.mailbox, views.MailboxView(test_mode=True, entries=())),
    _state("mailbox-message", pages.mailbox_message, LETTER),
    _state(
        "home",
        pages.home,
        views.HomeView(
            test_mode=True, version="0.1.0", links=(views.Link("API reference", "/docs"), views.Link("Mailbox", "/"))
        ),
    ),
)

FACTS = Facts(
    listing_name="Your birth chart, read by hand",
    amount=2900,
    currency="USD",
    seller_name="Ines Weber",
    seller_email="ines@example.com",
    order_id=ORDER,
    content_type="generated",
    open_until=AT + timedelta(hours=48),
    opens=10,
)


ENDPOINT_FACTS = EndpointFacts(
    endpoint_id="whk_7kQ2xY9mN3pR5tW1vB8aZc",
    name="The book keeping",
    url="https://books.example/hooks/purvey?shop=" + "1" * 60,
    stage="failing",
    since=AT,
    error="The deadline of 30 s passed while waiting for the answer.",
    kind="account",
    listing_id=None,
)


def _mail(template: Template, *, test_mode: bool = False, **facts: Any) -> Callable[[], str]:
    about = ENDPOINT_FACTS if template is Template.ENDPOINT else FACTS
    told = None if template is Template.SIGN_IN else msgspec.structs.replace(about, **facts)
    message = Message(
        account_id="acc_1", id="msg_1", template=template, order_id=ORDER, recipient=EMAIL, facts=told, sealed=b""
    )

    def html() -> str:
        page = LEADS_TO.get(template)
        url = f"https://shop.example{page}{'tOkEn' * 8}" if page else None
        mail = render(message, url, read_sender("Shop <shop@shop.example>"), AT, test_mode=test_mode)
        body = mail.get_body(("html",))
        return str(body.get_content()) if body else ""

    return html


MAILS = (
    State("ready", "ready.html", _mail(Template.READY)),
    State("ready-test", "ready.html", _mail(Template.READY, test_mode=True)),
    State("confirmation", "confirmation.html", _mail(Template.CONFIRMATION)),
    State("confirmation-key", "confirmation.html", _mail(Template.CONFIRMATION, content_type="static")),
    State("keys-missing", "keys_missing.html", _mail(Template.KEYS_MISSING, buyer_email=EMAIL)),
    State("fresh-link", "fresh_link.html", _mail(Template.FRESH_LINK)),
    State("fresh-link-waiting", "fresh_link.html", _mail(Template.FRESH_LINK, open_until=None, opens=None)),
    State("sign-in", "sign_in.html", _mail(Template.SIGN_IN)),
    State("sign-in-test", "sign_in.html", _mail(Template.SIGN_IN, test_mode=True)),
    State("refund", "refund.html", _mail(Template.REFUND, refund="whole", refunded=2900)),
    State("refund-part", "refund.html", _mail(Template.REFUND, refund="part", refunded=500)),
    State("refund-second", "refund.html", _mail(Template.REFUND, refund="second", refunded=2900)),
    State("late", "late.html", _mail(Template.LATE, due_at=AT)),
    State("reminder", "reminder.html", _mail(Template.REMINDER, due_at=AT, paid_at=AT, buyer_email=EMAIL)),
    State("late-unpromised", "late.html", _mail(Template.LATE)),
    State(
        "reminder-refund",
        "reminder.html",
        _mail(Template.REMINDER, due_at=AT, paid_at=AT, buyer_email=EMAIL, on_late="refund"),
    ),
    State(
        "reminder-fallback",
        "reminder.html",
        _mail(Template.REMINDER, due_at=AT, paid_at=AT, buyer_email=EMAIL, on_late="fallback"),
    ),
    State("disputed", "disputed.html", _mail(Template.DISPUTED, due_at=AT, reason="fraudulent", buyer_email=EMAIL)),
    State("endpoint", "endpoint.html", _mail(Template.ENDPOINT)),
    State("endpoint-disabled", "endpoint.html", _mail(Template.ENDPOINT, stage="disabled", name=ARABIC, error=None)),
    State("fraud", "fraud.html", _mail(Template.FRAUD, reason="made_with_stolen_card", buyer_email=EMAIL)),
    State(
        "refund-failed",
        "refund_failed.html",
        _mail(Template.REFUND_FAILED, refunded=2900, reason="expired_or_canceled_card", buyer_email=EMAIL),
    ),
    State("delivery-pending", "delivery_pending.html", _mail(Template.DELIVERY_PENDING, content_type="dynamic")),
    State(
        "callback-failed",
        "callback_failed.html",
        _mail(Template.CALLBACK_FAILED, reason="Your server answered 503 Service Unavailable.", buyer_email=EMAIL),
    ),
    State("ready-long", "ready.html", _mail(Template.READY, listing_name=LONG_NAME, seller_name=LONG_SELLER)),
    State(
        "ready-arabic", "ready.html", _mail(Template.READY, listing_name=ARABIC, seller_name=ARABIC_SELLER, amount=0)
    ),
)
