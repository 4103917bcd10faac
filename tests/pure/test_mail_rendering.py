"""What a mail says, and what nobody can make it say; when a message is tried again."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purvey.server.kit import money
from purvey.server.mail.model import FOR_SELLERS, Accepted, Away, EndpointFacts, Facts, Message, Never, NotNow, Template
from purvey.server.mail.render import UnaddressableError, read_sender, render
from purvey.server.mail.rules import LONGEST_ERROR, RETRY_AFTER, decide, one_line
from purvey.server.mail.transports import Server, read_url

NOW = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
SENDER = read_sender("The Shop <shop@shop.example>")
URL = "https://shop.example/access/tOkEn"
FACTS = Facts(
    listing_name="A good book",
    amount=500,
    currency="USD",
    seller_name="Ines",
    seller_email="ines@seller.example",
    order_id="ord_1",
    content_type="static",
    buyer_email="buyer@example.com",
    refunded=500,
    due_at=NOW,
    paid_at=NOW,
)
MESSAGE = Message(
    account_id="acc_1",
    id="msg_1",
    template=Template.READY,
    order_id="ord_1",
    recipient="buyer@example.com",
    facts=FACTS,
    sealed=b"",
)

ABOUT_ORDERS = [template for template in Template if template not in {Template.SIGN_IN, Template.ENDPOINT}]


def message(template: Template = Template.READY, recipient: str = "buyer@example.com", **facts: Any) -> Message:
    return msgspec.structs.replace(
        MESSAGE, template=template, recipient=recipient, facts=msgspec.structs.replace(FACTS, **facts)
    )


def made(subject: Message) -> EmailMessage:
    return render(subject, URL, SENDER, NOW)


def received(mail: EmailMessage) -> EmailMessage:
    """Return the mail as the other side reads it from the wire."""
    read = message_from_bytes(bytes(mail), policy=SMTP)
    assert isinstance(read, EmailMessage)
    return read


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


class Links(HTMLParser):
    """Collects where the links of a mail lead, and every tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str | None] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in {"href", "src"}]


def test_the_headers_say_who_to_whom_and_when() -> None:
    mail = received(made(message()))
    assert mail["From"] == "The Shop <shop@shop.example>"
    assert mail["To"] == "buyer@example.com"
    assert mail["Reply-To"] == "Ines <ines@seller.example>"
    assert mail["Subject"] == "Your order: A good book"
    assert mail["Date"].datetime == NOW
    assert mail["Message-ID"] == "<msg_1@shop.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Entity-Ref-ID"] == "msg_1"


def test_sending_again_keeps_the_message_id() -> None:
    later = render(message(), URL, SENDER, NOW + timedelta(hours=2))
    assert later["Message-ID"] == made(message())["Message-ID"]
    assert later["Date"] != made(message())["Date"]


@pytest.mark.parametrize("template", ABOUT_ORDERS)
def test_both_parts_carry_the_link_and_the_receipt(template: Template) -> None:
    mail = received(made(message(template)))
    assert mail.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in mail.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        text = part(mail, kind)
        for fact in ("A good book", money.display(500, "USD"), "Ines", "ord_1"):
            assert fact in text, (kind, fact)
        # A seller has no page of its own behind a buyer's link, and must not be given one.
        assert (URL in text) == (template not in FOR_SELLERS)


@pytest.mark.parametrize("template", ABOUT_ORDERS)
def test_no_link_of_a_mail_leads_anywhere_but_to_the_orders_page(template: Template) -> None:
    links = Links(part(made(message(template)), "html"))
    assert set(links.targets) == (set() if template in FOR_SELLERS else {URL})
    assert not {"img", "script", "iframe", "link", "form"} & set(links.tags)


@pytest.mark.parametrize(
    ("template", "facts", "subject"),
    [
        (Template.CONFIRMATION, {"content_type": "generated"}, "We got your payment: A good book"),
        (Template.CONFIRMATION, {"content_type": "generated", "amount": 0}, "We got your order: A good book"),
        (Template.READY, {"content_type": "static"}, "Your order: A good book"),
        (Template.READY, {"content_type": "generated"}, "Your order is ready: A good book"),
        (Template.REFUND, {"refund": "whole"}, "Your refund: A good book"),
        (Template.REFUND, {"refund": "part"}, "A part of your money goes back: A good book"),
        (Template.REFUND, {"refund": "second"}, "You paid twice: A good book"),
        (Template.LATE, {}, "Your order is late: A good book"),
        (Template.REMINDER, {}, "A buyer is waiting: A good book"),
        (Template.DISPUTED, {}, "A payment is disputed: A good book"),
    ],
)
def test_the_subject_says_what_has_happened(template: Template, facts: dict[str, Any], subject: str) -> None:
    assert made(message(template, **facts))["Subject"] == subject


@pytest.mark.parametrize("template", ABOUT_ORDERS)
def test_what_a_list_of_mails_shows_goes_on_where_the_subject_ends(template: Template) -> None:
    """The first words of a mail stand beside its subject in a list: they are there to be read there, and not seen in the mail."""
    mail = made(message(template))
    first = re.search(r'<div style="display:none;[^"]*">(.*?)</div>', part(mail, "html"), re.DOTALL)
    assert first is not None
    words = first[1].replace("\u200c\u00a0", "")
    assert 40 < len(words) < 140
    assert str(mail["Subject"]) not in words
    assert len(first[1]) > 150  # what follows in the mail does not show through


@pytest.mark.parametrize("template", ABOUT_ORDERS)
def test_the_html_holds_where_styles_are_dropped_and_turns_dark_where_they_are_not(template: Template) -> None:
    html = part(made(message(template)), "html")
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<meta name="color-scheme" content="light dark">' in html
    without = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    dark = set(re.findall(r"\.([a-z]+) (?:a )?\{", html))
    assert {"paper", "card", "ink", "soft", "line", "link", "button"} <= dark
    for element in re.findall(r'<[a-z0-9]+ [^>]*class="[^>]*>', without):
        assert 'style="' in element, element
    assert not re.search(r"url\(|@import|position:|float:|flex|grid", html)


@pytest.mark.parametrize("template", ABOUT_ORDERS)
def test_the_plain_part_fits_a_terminal(template: Template) -> None:
    told = message(template, open_until=datetime(2026, 4, 19, 10, 23, tzinfo=UTC), opens=10)
    assert max(len(line) for line in part(made(told), "plain").splitlines()) <= 78  # RFC 5322, section 2.1.1


def test_a_single_opening_is_one_time() -> None:
    told = made(message(open_until=datetime(2026, 4, 19, 10, 23, tzinfo=UTC), opens=1))
    for kind in ("plain", "html"):
        assert "up to 1 time" in part(told, kind)
        assert "1 times" not in part(told, kind)


def test_what_cost_nothing_is_called_free() -> None:
    assert "Paid    Free" in part(made(message(amount=0)), "plain")


def test_the_promise_of_the_grant_is_told_where_it_is_known() -> None:
    told = made(message(open_until=datetime(2026, 4, 19, 10, 23, tzinfo=UTC), opens=10))
    for kind in ("plain", "html"):
        assert "19 April 2026, 10:23 UTC, up to 10 times" in part(told, kind)
        assert "up to" not in part(made(message()), kind)


@settings(max_examples=25)  # each renders every mail
@given(st.text(max_size=300), st.text(max_size=300))
def test_no_name_can_add_a_header_or_break_one(listing_name: str, seller_name: str) -> None:
    for template in Template:
        if template is Template.ENDPOINT:
            continue
        mail = made(message(template, listing_name=listing_name, seller_name=seller_name))
        read = received(mail)
        assert read.keys() == mail.keys()
        assert [address.addr_spec for address in read["To"].addresses] == ["buyer@example.com"]
        to_seller = template in FOR_SELLERS
        other = "buyer@example.com" if to_seller else "ines@seller.example"
        assert [address.addr_spec for address in read["Reply-To"].addresses] == [other]
        assert part(read, "plain").count(URL) == (0 if to_seller else 1)
        assert max(map(len, bytes(mail).splitlines())) <= 998  # RFC 5322, section 2.1.1


ENDPOINT = EndpointFacts(
    endpoint_id="whk_1",
    name="Books",
    url="https://books.example/",
    stage="failing",
    since=NOW,
    error="HTTP 500",
    kind="account",
    listing_id=None,
)


def about_endpoint(**facts: Any) -> EmailMessage:
    told = msgspec.structs.replace(ENDPOINT, **facts)
    about = msgspec.structs.replace(MESSAGE, template=Template.ENDPOINT, facts=told, order_id=None, sealed=None)
    return received(render(about, None, SENDER, NOW))


@settings(max_examples=40)
@given(st.text(max_size=300), st.text(max_size=300))
def test_nothing_that_an_endpoint_is_called_or_says_can_break_a_mail_about_it(name: str, error: str) -> None:
    for stage in ("failing", "still_failing", "disabled"):
        mail = about_endpoint(stage=stage, name=name, error=error)
        assert [address.addr_spec for address in mail["To"].addresses] == ["buyer@example.com"]
        assert (mail["Reply-To"], mail["Bcc"]) == (None, None)
        assert "<script" not in part(about_endpoint(stage=stage, name="<script>", error="<script>"), "html")


def test_a_mail_about_an_endpoint_says_which_since_when_why_and_what_to_do() -> None:
    mail = about_endpoint(stage="disabled", kind="listing_callback", listing_id="lst_1")
    assert mail["Subject"] == "A webhook endpoint was switched off: Books"
    for kind in ("plain", "html"):
        for words in (
            "whk_1",
            "https://books.example/",
            "17 April 2026, 10:23 UTC",
            "HTTP 500",
            "agent_callback_url",
            "lst_1",
        ):
            assert words in part(mail, kind)
    assert "/v1/webhooks/whk_1/replay" in part(about_endpoint(), "plain")


@pytest.mark.parametrize(
    "hostile", ["A\r\nBcc: spy@example.com", "A\nBcc: x", "A\rBcc: x", "A\u2028B", "A\x00B", "A\x85B"]
)
def test_a_line_break_in_a_name_becomes_a_space(hostile: str) -> None:
    mail = received(made(message(listing_name=hostile, seller_name=hostile)))
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Your order: A ")
    assert mail["Reply-To"].addresses[0].display_name.startswith("A ")


@given(st.text(st.sampled_from("<>\"'&=/ab\n"), min_size=1, max_size=40))
def test_no_name_becomes_an_element_of_the_html(name: str) -> None:
    plain, hostile = made(message()), made(message(listing_name=name, seller_name=name))
    assert Links(part(hostile, "html")).tags == Links(part(plain, "html")).tags


def test_names_keep_their_letters() -> None:
    mail = received(made(message(listing_name="Ein schönes Büchlein über 東京", seller_name='Zoë "Z" Ødegård')))
    assert mail["Subject"] == "Your order: Ein schönes Büchlein über 東京"
    assert mail["Reply-To"].addresses[0].display_name == 'Zoë "Z" Ødegård'
    assert "Ein schönes Büchlein über 東京" in part(mail, "plain")


def test_a_long_name_is_cut() -> None:
    assert len(str(made(message(listing_name="long " * 200))["Subject"])) < 150


def test_a_domain_with_other_letters_is_written_in_ascii() -> None:
    assert made(message(recipient="jo@bücher.example"))["To"].addresses[0].addr_spec == "jo@xn--bcher-kva.example"


def test_an_odd_mailbox_name_is_kept() -> None:
    assert made(message(recipient="jörg@example.com"))["To"].addresses[0].addr_spec == "jörg@example.com"


@pytest.mark.parametrize("address", ["jo@" + "ü" * 63 + ".example", "jo\r\nBcc: spy@x.example@example.com"])
def test_an_address_that_no_mail_can_reach_is_named(address: str) -> None:
    with pytest.raises(UnaddressableError, match="is no address that mail can be sent to"):
        made(message(recipient=address))


def test_a_seller_without_a_usable_address_does_not_stop_the_mail() -> None:
    assert made(message(seller_email="jo@" + "ü" * 63 + ".example"))["Reply-To"] is None


@pytest.mark.parametrize("text", ["", "Shop", "Shop <>", "a@", "@b", "Shop <a@b\nBcc: c@d>"])
def test_a_sender_that_is_none_is_refused_by_the_name_of_its_setting(text: str) -> None:
    with pytest.raises(ValueError, match="PURVEY_MAIL_FROM"):
        read_sender(text)


def test_the_waits_get_longer_and_end_after_less_than_two_days() -> None:
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert timedelta(hours=44) < sum(RETRY_AFTER, timedelta()) < timedelta(hours=48)


def test_an_accepted_message_is_sent() -> None:
    result = decide(3, Accepted(), NOW)
    assert (result.status, result.attempts, result.sent_at, result.next_at, result.server) == (
        "sent",
        3,
        NOW,
        None,
        "answered",
    )


@pytest.mark.parametrize(("answer", "server"), [(NotNow("450 later"), "answered"), (Away("no route"), "failed")])
def test_what_may_be_taken_later_is_tried_along_the_schedule(answer: NotNow | Away, server: str) -> None:
    for attempt, wait in enumerate(RETRY_AFTER, start=1):
        result = decide(attempt, answer, NOW)
        assert (result.status, result.next_at, result.server) == ("waiting", NOW + wait, server)
    last = decide(len(RETRY_AFTER) + 1, answer, NOW)
    assert (last.status, last.next_at, last.error) == ("given_up", None, answer.error)


def test_a_permanent_refusal_gives_up_at_once() -> None:
    result = decide(1, Never("550 no such mailbox"), NOW)
    assert (result.status, result.next_at, result.error) == ("given_up", None, "550 no such mailbox")


def test_an_error_is_kept_short_and_on_one_line() -> None:
    result = decide(1, NotNow("450 so\r\nmuch " * 1000), NOW)
    assert result.error is not None
    assert len(result.error) <= LONGEST_ERROR
    assert "\n" not in result.error


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text, 50).splitlines()) <= 1
    assert len(one_line(text, 50)) <= 50


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", Server("mail.example.com", 25, None, None, tls=False)),
        ("smtp://u:p@mail.example.com", Server("mail.example.com", 587, "u", "p", tls=False)),
        ("smtps://u:p%40ss%2F@mail.example.com", Server("mail.example.com", 465, "u", "p@ss/", tls=True)),
        ("smtp://a%40b.c:p@[::1]:2525", Server("::1", 2525, "a@b.c", "p", tls=False)),
    ],
)
def test_a_url_names_a_server(url: str, server: Server) -> None:
    assert read_url(url) == server


@pytest.mark.parametrize(
    "url", ["", "smtp://", "http://mail.example.com", "smtp://host:port", "smtp://host:99999", "smtp:///x"]
)
def test_a_url_that_names_no_server_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="PURVEY_SMTP_URL names no server"):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [
        ("smtp://mail.example.com", None),
        ("smtp://u:p@mail.example.com", True),
        ("smtp://u:p@localhost", None),
        ("smtp://u:p@127.0.0.1", None),
        ("smtp://u:p@[::1]", None),
        ("smtps://u:p@mail.example.com", False),
    ],
)
def test_a_password_leaves_this_machine_encrypted_only(url: str, start_tls: bool | None) -> None:
    assert read_url(url).start_tls is start_tls


def test_the_mail_that_signs_in_is_from_the_server_and_about_nothing_else() -> None:
    link = "https://shop.example/library/sign-in/tOkEn"
    sign_in = msgspec.structs.replace(
        MESSAGE, account_id="", template=Template.SIGN_IN, order_id=None, facts=None, recipient="buyer@example.com"
    )
    mail = received(render(sign_in, link, SENDER, NOW))
    assert (mail["Subject"], mail["To"], mail["Reply-To"]) == ("Sign in to your purchases", "buyer@example.com", None)
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == ("<msg_1@shop.example>", "auto-generated")
    assert set(Links(part(mail, "html")).targets) == {link}
    assert link in part(mail, "plain")


@pytest.mark.parametrize("test_mode", [True, False])
def test_a_mail_of_the_sandbox_says_that_it_is_a_test(test_mode: bool) -> None:
    mail = received(render(message(), URL, SENDER, NOW, test_mode=test_mode))
    assert ("THIS IS A TEST" in part(mail, "plain")) == test_mode
    assert ("This is a test." in part(mail, "html")) == test_mode
