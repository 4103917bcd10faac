"""The pages: whatever a seller, a buyer or a program wrote, it is shown and does nothing."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from purvey.server.kit import money
from purvey.server.listings.model import CheckoutField, Product, Showcase, Status
from purvey.server.storefront import forms, pages, views
from purvey.server.storefront.assets import ASSETS, url
from purvey.server.storefront.product import product_view
from purvey.server.storefront.shop import Shop

AT = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
EMAIL = views.Field(name="buyer_email", type="email", label="E-mail", max_length=254)
VOID = {"meta", "link", "input", "img", "br", "hr"}

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)' autofocus='",
    "</title><h1>x</h1>",
    "</textarea></pre></option></select><b>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- <meta http-equiv=refresh content=0>",
    "&lt;b&gt;&quot;&#39;",
]
snippets = st.lists(
    st.one_of(
        st.sampled_from([*HOSTILE, "<", ">", '"', "'", "&", "`", "=", " "]),
        st.characters(exclude_categories=["C", "Z"]),
    ),
    max_size=6,
).map(lambda parts: "a" + "".join(parts) + "z")


class Element(msgspec.Struct):
    """An element of a page: its attributes, and the text directly or further inside it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


class Reader(HTMLParser):
    """Reads a page into its elements and insists that every tag is closed where it should be."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute of <{tag}> is there twice"
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def close(self) -> None:
        super().close()
        assert not self._open


def read(html: str) -> list[Element]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader.elements


def skeleton(html: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(element.tag, tuple(element.attributes)) for element in read(html)]


def fields(text: str, *, wrong: bool) -> tuple[views.Field, ...]:
    error = text if wrong else None
    return (
        msgspec.structs.replace(EMAIL, value=text, error=error),
        views.Field(name="data.line", type="text", label=text, value=text, error=error, max_length=50),
        views.Field(
            name="data.long", type="text", label=text, required=False, value=text, error=error, max_length=2000
        ),
        views.Field(name="data.choice", type="select", label=text, options=("other", text), value=text, error=error),
        views.Field(name="data.day", type="date", label=text, value=text, error=error),
        views.Field(name="data.amount", type="number", label=text, value=text, error=error),
        views.Field(name="data.agree", type="checkbox", label=text, value="yes", error=error),
    )


def product(text: str, **changes: Any) -> views.ProductView:
    view = views.ProductView(
        test_mode=True,
        availability="for_sale",
        action="/l/lst_1/checkout",
        name=text,
        amount=500,
        currency="USD",
        seller_name=text,
        tagline=text,
        description=text,
        image_url=text,
        highlights=(text,),
        badges=(text,),
        faqs=(views.Faq(text, text),),
        reviews=(views.Review(text, text, 4.5),),
        rating=4.5,
        rating_count=2,
        compare_at=900,
        fields=fields(text, wrong=False),
    )
    return msgspec.structs.replace(view, **changes)


def payment(text: str, **changes: Any) -> views.SandboxView:
    view = views.SandboxView(
        test_mode=True,
        state="open",
        action="/pay",
        product_url="/l/lst_1",
        order_url="/next",
        listing_name=text,
        seller_name=text,
        buyer_email=text,
        amount=500,
        currency="USD",
    )
    return msgspec.structs.replace(view, **changes)


def purchase(text: str) -> views.Purchase:
    return views.Purchase(
        order_id=text,
        listing_name=text,
        seller_name=text,
        seller_email=text,
        amount=500,
        currency="USD",
        paid_at=AT,
    )


def ready(text: str, **changes: Any) -> views.ReadyView:
    items = (
        views.TextItem(text),
        views.MarkdownItem(Markup("<p>made safe before</p>")),
        views.ValuesItem((views.Row((text,), text, text), views.Row((), text, text, secret=True)), rest=text),
        views.UrlItem("/download/1", host=text),
        views.FileItem("/download/2", name=text, size=3_412_000, sha256="0" * 64),
    )
    view = views.ReadyView(
        test_mode=True, purchase=purchase(text), items=items, open_until=AT, opens_left=9, opens_total=10
    )
    return msgspec.structs.replace(view, **changes)


STATES: tuple[views.PurchaseState, ...] = get_args(views.PurchaseState)


def library_pages(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pages of a buyer's library, as `all_pages` does."""
    field = views.Field(name="email", type="email", label="Your e-mail address")
    yield "library", pages.library(views.LibraryView(test_mode=True, field=field))
    wrong = msgspec.structs.replace(field, value=text, error=text)
    yield "library, wrong", pages.library(views.LibraryView(test_mode=True, field=wrong))
    yield "library, stale", pages.library(views.LibraryView(test_mode=True, field=field, stale=True))
    yield "library mailed", pages.library_mailed(views.LibraryMailedView(test_mode=True, minutes=30))
    sign_in = views.LibrarySignInView(test_mode=True, action="/library/sign-in/x")
    yield "library sign-in", pages.library_sign_in(sign_in)
    entries = tuple(
        views.LibraryEntry(purchase=purchase(text), state=state, url="/library/orders/x", fresh_url="/x", until=AT)
        for state in STATES
    )
    bought = views.LibraryOrdersView(test_mode=True, email=text, entries=entries, older="/library/orders?cursor=x")
    yield "library orders", pages.library_orders(bought)
    none = msgspec.structs.replace(bought, entries=(), older=None)
    yield "library orders, none", pages.library_orders(none)


def all_pages(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the HTML of each page in each of its forms, with `text` wherever text can be."""
    bought = purchase(text)
    yield "product", pages.product(product(text))
    yield "product with a cta", pages.product(product(text, cta=text))
    yield "product, wrong answers", pages.product(product(text, fields=fields(text, wrong=True)))
    yield "product, sold out", pages.product(product(text, availability="sold_out"))
    yield "product, not for sale", pages.product(product(text, availability="not_for_sale"))
    yield "sandbox", pages.sandbox(payment(text))
    yield "sandbox, declined", pages.sandbox(payment(text, card=text, error=text))
    yield "sandbox, paid", pages.sandbox(payment(text, state="paid"))
    yield "sandbox, expired", pages.sandbox(payment(text, state="expired"))
    yield "waiting", pages.waiting(views.WaitingView(test_mode=True, purchase=bought, buyer_email=text))
    yield "ready", pages.ready(ready(text))
    yield "handed off", pages.handed_off(views.HandedOffView(test_mode=True, purchase=bought))
    for why in ("expired", "exhausted", "revoked", "refunded"):
        yield f"gone, {why}", pages.gone(views.GoneView(test_mode=True, purchase=bought, reason=why, gone_at=AT))
    fresh = views.GoneView(test_mode=True, purchase=bought, reason="expired", gone_at=AT, fresh_url="/access/x/fresh")
    yield "gone, and may come back", pages.gone(fresh)
    spent = views.GoneView(test_mode=True, purchase=bought, reason="expired", gone_at=AT, asked_out=True)
    yield "gone, and came back too often", pages.gone(spent)
    yield "lost", pages.lost(views.LostView(test_mode=True, field=views.ADDRESS))
    yield "fresh link mailed", pages.fresh_mailed(views.FreshMailedView(test_mode=True))
    yield "pending", pages.pending(views.PendingView(test_mode=True, listing_name=text, buyer_email=text))
    yield "mailed", pages.mailed(views.MailedView(test_mode=True, listing_name=text))
    theirs = views.MailedView(test_mode=True, listing_name=text, delivered_by=text)
    yield "delivered by the seller", pages.mailed(theirs)
    for status in (404, 405, 410, 413, 418, 422, 429, 500, 502, 503):
        yield f"error {status}", pages.error(views.ErrorView(test_mode=True, status=status, reference=text))
    yield "error with a text", pages.error(views.ErrorView(test_mode=True, status=422, text=text))
    entry = views.MailboxEntry(url="/mailbox/msg_1", recipient=text, subject=text, received_at=AT)
    yield "mailbox", pages.mailbox(views.MailboxView(test_mode=True, entries=(entry, entry)))
    yield "mailbox, empty", pages.mailbox(views.MailboxView(test_mode=True, entries=()))
    message = views.MailboxMessageView(
        test_mode=True, recipient=text, subject=text, received_at=AT, text=text, html_url="/mailbox/msg_1/html"
    )
    yield "mailbox message", pages.mailbox_message(message)
    yield from library_pages(text)
    yield "home", pages.home(views.HomeView(test_mode=True, version=text, links=(views.Link(text, "/somewhere"),)))


each_page = pytest.mark.parametrize("html", [pytest.param(html, id=name) for name, html in all_pages("a thing")])
SKELETONS = {name: skeleton(html) for name, html in all_pages("az")}


@settings(max_examples=40)  # each renders every page
@given(snippets)
def test_text_never_becomes_an_element_or_an_attribute_on_any_page(text: str) -> None:
    for name, html in all_pages(text):
        assert skeleton(html) == SKELETONS[name], name


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_was_written(text: str) -> None:
    [shown] = [element for element in read(pages.product(product(text))) if element.tag == "h1"]
    assert shown.text == text


@each_page
def test_a_page_has_the_bones_that_readers_need(html: str) -> None:
    found = read(html)
    assert html.startswith("<!doctype html>")
    assert next(element for element in found if element.tag == "html").attributes["lang"] == "en"
    assert [element.tag for element in found].count("main") == 1
    assert [element.tag for element in found].count("h1") == 1
    assert next(element for element in found if element.tag == "title").text.strip()
    skip = next(element for element in found if element.tag == "a")
    assert skip.attributes["href"] == "#" + str(next(e for e in found if e.tag == "main").attributes["id"])


@each_page
def test_headings_leave_out_no_level(html: str) -> None:
    levels = [int(element.tag[1]) for element in read(html) if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@each_page
def test_every_control_has_a_name_that_can_be_read_out(html: str) -> None:
    found = read(html)
    labelled = {element.attributes["for"] for element in found if element.tag == "label"}
    for element in found:
        if element.tag in {"input", "select", "textarea"}:
            assert element.attributes["id"] in labelled
        if element.tag in {"button", "a", "label", "option"}:
            assert element.text.strip(), element
        if element.tag == "img":
            assert element.attributes["alt"]
        if element.tag == "iframe":
            assert element.attributes["title"]


@each_page
def test_ids_are_unique_and_what_refers_to_them_finds_them(html: str) -> None:
    found = read(html)
    ids = [element.attributes["id"] for element in found if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in found:
        for name in ("aria-describedby", "aria-labelledby", "for", "data-copy", "list"):
            referred = element.attributes.get(name) or ""
            assert set(referred.split()) <= set(ids), (element.tag, name)
        link = element.attributes.get("href") or ""
        assert not link.startswith("#") or link[1:] in ids


@each_page
def test_a_page_keeps_within_a_policy_without_inline_code_or_foreign_hosts(html: str) -> None:
    for element in read(html):
        assert element.tag != "style"
        assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
        if element.tag == "script":
            assert element.text == ""
        for name in ("src", "href", "action"):
            target = element.attributes.get(name)
            ours = target is None or target.startswith(("/", "#", "mailto:")) or target in {"", "a thing"}
            assert ours, (element.tag, target)


@each_page
def test_what_people_wrote_says_its_own_direction(html: str) -> None:
    """A name in Arabic or Hebrew reads from right to left, and does not turn the sentence around it."""
    found = read(html)
    for element in found:
        if element.tag in {"h1", "dd", "li"} and element.text == "a thing":
            inside = [e for e in found if e.tag in {"bdi", "span", "a"} and e.text == "a thing"]
            assert element.attributes.get("dir") == "auto" or inside, element


@each_page
def test_every_page_says_test_mode_when_it_is(html: str) -> None:
    banners = [element for element in read(html) if element.attributes.get("class") == "test-mode"]
    assert [banner.text.startswith("Test mode.") for banner in banners] == [True]


def test_a_page_of_real_payments_does_not_say_test_mode() -> None:
    assert "Test mode" not in pages.product(product("a thing", test_mode=False))


def test_only_a_listing_for_sale_may_be_found_by_search_engines() -> None:
    found = {name: 'name="robots" content="noindex' in html for name, html in all_pages("a thing")}
    hidden = {name for name, is_hidden in found.items() if is_hidden}
    assert set(found) - hidden == {"product", "product with a cta", "product, wrong answers", "product, sold out"}


def control(html: str, name: str) -> Element:
    return next(element for element in read(html) if element.attributes.get("name") == name)


@given(snippets)
def test_a_form_keeps_what_the_buyer_typed(text: str) -> None:
    html = pages.product(product("a thing", fields=fields(text, wrong=True)))
    for name in ("buyer_email", "data.line", "data.day", "data.amount"):
        assert control(html, name).attributes["value"] == text
    assert control(html, "data.long").text == "\n" + text
    assert "checked" in control(html, "data.agree").attributes
    chosen = [e for e in read(html) if e.tag == "option" and "selected" in e.attributes]
    assert [(option.attributes["value"], option.text) for option in chosen] == [(text, text)]


def test_a_wrong_answer_is_named_beside_its_field_and_at_the_top() -> None:
    html = pages.product(product("a thing", fields=fields("not so", wrong=True)))
    summary = [
        e.attributes["href"] for e in read(html) if e.tag == "a" and (e.attributes.get("href") or "").startswith("#f-")
    ]
    assert summary[0] == "#f-buyer_email"
    assert len(summary) == 7
    email = control(html, "buyer_email")
    assert email.attributes["aria-invalid"] == "true"
    beside = next(e for e in read(html) if e.attributes.get("id") == email.attributes["aria-describedby"])
    assert beside.text == "not so"


@pytest.mark.parametrize(
    ("kind", "typed", "fault", "said"),
    [
        ("text", "", "is required", "Fill this in."),
        ("select", "", "is required", "Choose one of these."),
        ("checkbox", "", "is required", "Tick this to go on."),
        ("date", "  ", "is required", "Give a date."),
        ("number", "many", "must be a number", "Must be a number."),
        ("email", "ada", "an address has one @.", "An address has one @."),
    ],
)
def test_a_fault_is_said_as_a_sentence_to_whoever_typed(kind: Any, typed: str, fault: str, said: str) -> None:
    schema = (CheckoutField(key="a", type=kind, label="A"),)
    view = product_view(on_sale(schema), Shop(test_mode=True, has_mailbox=False), {"data.a": typed}, {"data.a": fault})
    assert [(field.value, field.error) for field in view.wrong] == [(typed, said)]


def on_sale(schema: tuple[CheckoutField, ...]) -> Product:
    return Product(
        listing_id="lst_1",
        slug="a",
        status=Status.PUBLISHED,
        name="A",
        price=500,
        currency="USD",
        seller_name="B",
        content_type="static",
        grant_after=48,
        grant_downloads=10,
        checkout_schema=schema,
        page=Showcase(),
        left=None,
    )


@pytest.mark.parametrize(
    ("name", "initial"), [("ines", "I"), ("«Élan»", "É"), ("مطبخ", "م"), ("👩🏽‍🍳", "·"), ("", "·")]
)
def test_a_name_is_stood_for_by_its_first_letter(name: str, initial: str) -> None:
    html = pages.product(product("a thing", seller_name=name))
    [monogram] = [element for element in read(html) if element.attributes.get("class") == "monogram"]
    assert monogram.text == initial


def test_a_form_says_what_the_schema_says() -> None:
    html = pages.product(product("a thing"))
    assert "required" in control(html, "data.line").attributes
    assert "required" not in control(html, "data.long").attributes
    assert control(html, "data.line").attributes["maxlength"] == "50"
    assert control(html, "data.long").tag == "textarea"
    assert control(html, "data.day").attributes["type"] == "date"
    form = next(element for element in read(html) if element.tag == "form")
    assert (form.attributes["method"], form.attributes["action"]) == ("post", "/l/lst_1/checkout")


def test_a_listing_that_is_not_for_sale_has_no_form() -> None:
    for availability in ("not_for_sale", "sold_out"):
        assert "<form" not in pages.product(product("a thing", availability=availability))


@pytest.mark.parametrize(
    ("amount", "cta", "words"),
    [
        (500, None, f"Buy for {money.display(500, 'USD')}"),
        (0, None, "Get it free"),
        (500, "Have it made", "Have it made"),
    ],
)
def test_the_button_says_the_price_or_what_the_seller_wants(amount: int, cta: str | None, words: str) -> None:
    html = pages.product(product("a thing", amount=amount, cta=cta, compare_at=None))
    assert [element.text for element in read(html) if element.tag == "button"] == [words]


def test_the_description_is_parted_at_empty_lines() -> None:
    html = pages.product(product("a thing", description="one\n\n\ntwo\nthree\r\n\r\nfour"))
    section = html.split('aria-label="Description">')[1].split("</section>")[0]
    assert [element.text for element in read(section)] == ["one", "two\nthree", "four"]


@pytest.mark.parametrize("text", ["\n  a line\n\nafter an empty one  \n", "<b>not bold</b>", "a\tb", "\n\n"])
def test_delivered_text_is_shown_to_the_letter(text: str) -> None:
    html = pages.ready(ready("a thing", items=(views.TextItem(text),)))
    [shown] = [element.text for element in read(html) if element.tag == "pre"]
    # A browser drops the first line break inside <pre>; the template puts one there for it.
    assert shown == "\n" + text


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (3_412_000, "3.4 MB"),
        (9_949_999, "9.9 MB"),
        (9_950_000, "10 MB"),
        (5_368_709_120, "5.4 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_the_size_of_a_file_is_said_as_people_say_it(size: int, shown: str) -> None:
    file = views.FileItem("/download/2", name="a", size=size, sha256="0" * 64)
    assert f">{shown}<" in pages.ready(ready("a thing", items=(file,)))


def test_openings_are_counted_only_where_something_counts() -> None:
    assert "9 of 10 opens left" in pages.ready(ready("a thing"))
    assert "opens left" not in pages.ready(ready("a thing", items=(views.TextItem("free to read"),)))


@pytest.mark.parametrize("page", ["waiting", "pending"])
def test_a_waiting_page_looks_again_with_and_without_javascript(page: str) -> None:
    often: dict[str, Any] = {"test_mode": False, "buyer_email": "b@example.com", "refresh_after": 4, "reload_after": 8}
    waiting = views.WaitingView(purchase=purchase("a"), **often)
    pending = views.PendingView(listing_name="a", **often)
    made: dict[str, Callable[[], str]] = {
        "waiting": lambda: pages.waiting(waiting),
        "pending": lambda: pages.pending(pending),
    }
    html = made[page]()
    assert '<noscript><meta http-equiv="refresh" content="8"></noscript>' in html
    assert 'data-refresh="4"' in html


def test_a_page_that_is_done_does_not_look_again() -> None:
    assert "data-refresh" not in pages.ready(ready("a thing"))


def test_the_way_back_names_the_order_in_the_mail_to_the_seller() -> None:
    bought = msgspec.structs.replace(purchase("A & B?"), seller_email="s+x@example.com", order_id="ord_1")
    html = pages.gone(views.GoneView(test_mode=False, purchase=bought, reason="exhausted"))
    links = {element.attributes["href"] for element in read(html) if element.tag == "a"}
    assert "mailto:s%2Bx@example.com?subject=Order%20ord_1%3A%20A%20%26%20B%3F" in links


def test_the_sandbox_lists_its_test_cards_and_brings_one_along() -> None:
    html = pages.sandbox(payment("a thing"))
    for number in ("4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0000 0000 0259"):
        assert f"<code>{number}</code>" in html
    assert control(html, "card").attributes["value"] == "4242 4242 4242 4242"
    declined = pages.sandbox(payment("a thing", card="4000 0000 0000 0002", error="Declined."))
    assert control(declined, "card").attributes["value"] == "4000 0000 0000 0002"


def test_nothing_can_be_paid_twice_or_too_late() -> None:
    assert "<form" not in pages.sandbox(payment("a thing", state="paid"))
    assert "<form" not in pages.sandbox(payment("a thing", state="expired"))


def test_a_mail_is_shown_in_a_frame_without_scripts_or_our_origin() -> None:
    html = dict(all_pages("a thing"))["mailbox message"]
    [frame] = [element for element in read(html) if element.tag == "iframe"]
    assert not {"allow-scripts", "allow-same-origin"} & set(str(frame.attributes["sandbox"]).split())


def test_assets_need_no_other_host() -> None:
    for name, asset in ASSETS.items():
        text = asset.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"//[a-z]|@import|url\(", text.replace("// ", "")), name


def test_the_stylesheet_is_for_what_the_pages_have_and_no_more() -> None:
    css = re.sub(r"/\*.*?\*/", "", ASSETS["page.css"].content.decode(), flags=re.DOTALL)
    selectors = re.findall(r"([^{};]+)\{", css)
    styled = {name for selector in selectors for name in re.findall(r"\.([a-z][a-z-]*)", selector)}
    rendered = [html for text in ("az", "az" * 40) for _, html in all_pages(text)]
    rendered.append(pages.product(product("az", **BARE)))
    used = {name for html in rendered for e in read(html) for name in (e.attributes.get("class") or "").split()}
    assert styled - used == set()
    assert used - styled == set()


BARE: dict[str, Any] = {
    "description": None,
    "image_url": None,
    "highlights": (),
    "reviews": (),
    "faqs": (),
    "fields": (EMAIL,),
}
"""What a product page may do without."""


def test_the_address_of_an_asset_changes_with_its_content() -> None:
    assert url("page.css") == f"/assets/page.css?v={ASSETS['page.css'].version}"
    assert len({asset.version for asset in ASSETS.values()}) == len(ASSETS)


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *[
            (front, back, 4.5)
            for front in ("ink", "soft", "accent", "accent-strong", "bad", "star")
            for back in ("paper", "panel", "sunk")
        ],
        ("on-accent", "accent", 4.5),
        ("on-accent", "accent-strong", 4.5),
        ("bad", "bad-paper", 4.5),
        ("ink", "bad-paper", 4.5),
        ("note", "note-paper", 4.5),
        ("accent", "tint", 4.5),
        ("accent-strong", "tint", 4.5),
        ("edge", "panel", 3.0),
        ("edge", "paper", 3.0),
    ],
)
def test_text_stands_out_from_what_is_behind_it(scheme: str, front: str, back: str, least: float) -> None:
    css = ASSETS["page.css"].content.decode()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)", 1)
    found = colours(light) if scheme == "light" else colours(light) | colours(dark)
    assert contrast(found[front], found[back]) >= least


def test_a_schema_key_cannot_take_the_place_of_the_buyers_address() -> None:
    assert forms.field_name(forms.BUYER_EMAIL) != forms.BUYER_EMAIL


def test_posted_answers_have_the_types_of_the_schema() -> None:
    types = {"a": "text", "b": "checkbox", "c": "number", "d": "number", "e": "date", "f": "number"}
    posted = {
        "data.a": " one\r\ntwo ",
        "data.b": "yes",
        "data.c": "0",
        "data.d": "-1.5e3",
        "data.e": "2026-04-17",
        "data.f": "many",
    }
    assert forms.answers(types, posted) == {
        "a": "one\ntwo",
        "b": True,
        "c": 0,
        "d": -1500.0,
        "e": "2026-04-17",
        "f": "many",
    }


def test_empty_and_foreign_answers_are_left_out() -> None:
    assert forms.answers({"a": "text", "b": "checkbox", "c": "number"}, {"data.a": " ", "data.x": "1", "a": "2"}) == {}


@given(st.text())
def test_a_number_is_a_finite_number_or_what_was_typed(text: str) -> None:
    answer = forms.answers({"n": "number"}, {"data.n": text}).get("n", "")
    assert isinstance(answer, str | int | float)
    if isinstance(answer, str):
        assert answer == text.replace("\r\n", "\n").strip()
    else:
        assert abs(answer) < float("inf")
        assert float(text) == answer


@pytest.mark.parametrize("text", ["1e999", "nan", "Infinity", "9" * 5000, "0x10", "1_000", "١"])
def test_a_number_that_json_could_not_carry_stays_text(text: str) -> None:
    assert forms.answers({"n": "number"}, {"data.n": text}) == {"n": text}
