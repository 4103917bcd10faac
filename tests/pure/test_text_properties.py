"""Money, short texts, cursors and Markdown, given whatever Hypothesis thinks of."""

import contextlib
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.markdown import TAGS, render
from purvey.server.kit.money import EXPONENTS, check_currency, decimal, display
from purvey.server.kit.paging import Position, read_cursor, slice_of
from purvey.server.kit.problem import ValidationError
from purvey.server.kit.text import UNSTORABLE, check_email, check_instant, check_line, check_storable

currencies = st.sampled_from(sorted(EXPONENTS))


def taken(check: Any, *given_: Any) -> Any:
    """Return what a check makes of a text, None if it refuses it; any other error is the test's."""
    with contextlib.suppress(ValueError):
        return check(*given_)
    return None


@given(st.text(max_size=6))
def test_a_currency_is_three_capitals_or_none(text: str) -> None:
    code = taken(check_currency, text)
    assert code is None or (code in EXPONENTS and code == text.upper())


@given(st.integers(-(10**15), 10**15), currencies, st.integers(0, 6))
def test_an_amount_is_written_plainly_for_programs_and_people(amount: int, code: str, least: int) -> None:
    plain = decimal(amount, code, least=least)
    assert re.fullmatch(r"-?\d+(\.\d+)?", plain)
    assert len(plain.partition(".")[2]) == max(EXPONENTS[code], least)
    shown = display(amount, code)
    assert re.sub(r"[^0-9.-]", "", shown) == decimal(amount, code)
    assert shown.startswith("-") == (amount < 0)


@given(st.text())
def test_a_line_that_is_taken_is_one_line_to_everybody(text: str) -> None:
    line = taken(check_line, text, 30)
    if line is not None:
        assert 1 <= len(line) <= 30
        assert line.splitlines() == [line]
        assert "\x00" not in line
        assert taken(check_line, line, 30) == line
        assert line.encode()


@given(st.text() | st.text("a@.-_é\r\n\t\x00 ,;:<>\"'(){}+", max_size=30).map(lambda text: f"a{text}@example.com"))
def test_an_address_that_is_taken_can_stand_in_a_header(text: str) -> None:
    address = taken(check_email, text)
    if address is not None:
        assert not [one for one in address if unicodedata.category(one)[0] in "CZ" or one in '<>,;:"()\r\n']
        assert check_email(address) == address
        assert address.encode()


@given(st.text(st.characters()))
def test_what_can_be_stored_is_told_from_what_cannot(text: str) -> None:
    fits = taken(check_storable, text) is not None
    assert fits == (not UNSTORABLE.search(text)) == ("\x00" not in text and _is_utf8(text))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@given(st.text(max_size=30) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | st.datetimes().map(str))
def test_an_instant_is_understood_in_utc_or_refused(text: str) -> None:
    at = taken(check_instant, text)
    assert at is None or at.utcoffset() == timedelta(0)


moments = st.integers(0, 4_000_000_000_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
places = st.builds(Position, moments, st.text("ab_1", max_size=9))


@given(places, st.data())
def test_a_cursor_with_a_character_changed_is_another_place_or_refused(place: Position, data: st.DataObject) -> None:
    text = place.encode()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(codec="ascii")) + text[at + 1 :]
    outcome = place_or_fault(changed)
    if isinstance(outcome, ValidationError):
        assert outcome.param == "cursor"
        assert [fault["loc"] for fault in outcome.members["errors"]] == [["cursor"]]
    else:
        assert outcome is not None
        assert read_cursor(outcome.encode()) == outcome


def place_or_fault(cursor: str) -> Position | ValidationError | None:
    """Return what a cursor names, or why it names nothing."""
    try:
        return read_cursor(cursor)
    except ValidationError as error:
        return error


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(1, 7), min_size=1), st.data())
def test_pages_of_any_size_show_every_row_once_while_newer_ones_come_in(
    times: list[int], limits: list[int], data: st.DataObject
) -> None:
    def row(seconds: int, number: int) -> Position:
        return Position(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds), f"id_{number:03}")

    def key(one: Position) -> tuple[datetime, str]:
        return one.created_at, one.id

    rows = [row(seconds, number) for number, seconds in enumerate(times)]
    seen: list[Position] = []
    there, cursor, turn = sorted(rows, key=key, reverse=True), None, 0
    while True:
        limit = limits[turn % len(limits)]
        after = read_cursor(cursor)
        left = [one for one in there if after is None or key(one) < key(after)]
        page = slice_of(left[: limit + 1], limit, lambda one: one)
        seen += page.rows
        if page.cursor is None:
            break
        cursor, turn = page.cursor, turn + 1
        new = [row(10 + turn, 900 + place) for place in range(data.draw(st.integers(0, 2)))]
        there = sorted([*there, *new], key=key, reverse=True)
    assert seen == sorted(rows, key=key, reverse=True)


class Reader(HTMLParser):
    """Reads HTML as a browser does: what elements there are, with which attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_decl(self, decl: str) -> None:
        self.odd.append(decl)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)

    def unknown_decl(self, data: str) -> None:
        self.odd.append(data)


schemes = st.sampled_from(
    [
        "javascript:",
        "JaVaScRiPt:",
        "java\tscript:",
        "java&#10;script:",
        "&#x6A;avascript:",
        "vbscript:",
        "data:text/html,",
        "//",
        "",
    ]
)
fragments = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "<svg/onload=alert(1)>",
            "<img src=x onerror=alert(1)>",
            "<iframe srcdoc='<script>'>",
            "<style>@import 'x'</style>",
            "<a href='javascript:alert(1)' onclick=x>",
            "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
            "<!--><script>-->",
            "<![CDATA[<script>]]>",
            "<?php ?>",
            '[a](<x "onmouseover=alert(1)>)',
            "[a]: javascript:alert(1) 'x'\n\n[a]",
            "`<b>`",
            "\n\n    <p>",
            "\n> ",
            "\n- ",
            "\n| a | b |\n| - | - |\n| <b> | [x](javascript:y) |\n",
            "\n```html\n<script>\n```\n",
            "\\<script\\>",
            "&lt;script&gt;",
            "\x00",
            "\ufeff",
        ]
    ),
    st.builds('[{}]({}alert(1) "{}")'.format, st.text(max_size=5), schemes, st.text(max_size=5)),
    st.builds("<{}alert(1)>".format, schemes),
    st.builds("![{}]({}x)".format, st.text(max_size=5), schemes),
    st.text(max_size=10),
)  # fmt: skip


@given(st.lists(fragments, max_size=12).map("".join))
def test_no_markdown_makes_html_that_runs_or_loads_anything(text: str) -> None:
    reader = Reader()
    reader.feed(render(text))
    reader.close()
    assert reader.odd == []
    for tag, attributes in reader.found:
        assert tag in TAGS
        allowed = {"a": {"href", "title", "rel"}, "ol": {"start"}}.get(tag, set())
        assert set(attributes) <= allowed
        if (target := attributes.get("href")) is not None:
            spelled = "".join(one for one in target if one.isprintable() and not one.isspace())
            assert urlsplit(spelled).scheme in {"http", "https", "mailto", ""}
            assert attributes["rel"] == "noopener noreferrer nofollow"


@pytest.mark.parametrize(
    "text", ["[" * 3000, "*" * 5000, "`" * 5000, "> " * 500 + "a", "![" * 2000, "<a" * 3000, "- " * 300]
)
def test_markdown_that_is_meant_to_take_long_is_rendered_all_the_same(text: str) -> None:
    assert isinstance(render(text), str)
