"""E-mail addresses, slugs, currencies and amounts; and the cursors of pages."""

import base64
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.money import EXPONENTS, check_currency, decimal, display, exponent
from purvey.server.kit.paging import Position, read_cursor, slice_of
from purvey.server.kit.problem import ValidationError
from purvey.server.kit.text import check_email, check_line, slug


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "a@b.co",
        "ada.lovelace+shop@mail.example.co.uk",
        "o'brien@example.com",
        "ada@localhost",
        "ädä@bücher.example",
        "x" * 64 + "@example.com",
        "1@2.example",
    ],
)
def test_an_address_that_mail_can_reach_is_taken_as_it_is(address: str) -> None:
    assert check_email(address) == address
    assert check_email(f"  {address}\n") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "ada@b@example.com",
        "ada@example",
        "ada@.com",
        "ada@example.",
        "ada@-example.com",
        "ada@exam ple.com",
        "ada love@example.com",
        "ada\u0000@example.com",
        "ada\u200b@example.com",
        "ada@example.com\r\nBcc: all@example.com",
        "<ada@example.com>",
        '"ada"@example.com',
        "ada,bob@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 64 + ".com",
        "ada@" + "x." * 130 + "com",
        "ada@[127.0.0.1]",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(address: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        check_email(address)


@given(st.text())
def test_whatever_passes_for_an_address_has_one_at_and_no_white_space(text: str) -> None:
    try:
        address = check_email(text)
    except ValueError:
        return
    assert address.count("@") == 1
    assert not re.search(r"\s", address)
    assert len(address) <= 254


@pytest.mark.parametrize("line", ["a", "x" * 20, "\U0001f469\u200d\U0001f4bb", "\u0645\u06cc\u200c\u062e", "日本語"])
def test_a_line_of_any_script_is_taken(line: str) -> None:
    assert check_line(f" {line} ", 20) == line


@pytest.mark.parametrize("line", ["", "  ", "x" * 21, "a\nb", "a\u2028b", "a\u0007b", "\ud800"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="one line of 1 to 20"):
        check_line(line, 20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Book", "a-book"),
        ("  Ünïcödé -- & more!  ", "unicode-more"),
        ("日本語", ""),
        ("a" * 100, "a" * 80),
        ("x" * 79 + " y", "x" * 79),
    ],
)
def test_a_slug_is_what_a_name_looks_like_in_a_url(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text())
def test_a_slug_needs_no_escaping_and_is_its_own_slug(text: str) -> None:
    made = slug(text)
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", made)
    assert len(made) <= 80
    assert slug(made) == made


def test_currencies_have_their_places() -> None:
    assert (exponent("USD"), exponent("JPY"), exponent("KWD"), exponent("CLF")) == (2, 0, 3, 4)
    assert check_currency("eur") == "EUR"
    assert all(re.fullmatch("[A-Z]{3}", code) for code in EXPONENTS)
    assert len(EXPONENTS) > 160


@pytest.mark.parametrize("code", ["", "US", "USDD", "XXX", "XTS", "DEM", "HRK", "US$", "ＵＳＤ"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        check_currency(code)


@pytest.mark.parametrize(
    ("amount", "code", "plain", "shown"),
    [
        (2999, "USD", "29.99", "$29.99"),
        (5, "USD", "0.05", "$0.05"),
        (0, "USD", "0.00", "$0.00"),
        (-150, "EUR", "-1.50", "-€1.50"),
        (500, "JPY", "500", "¥500"),
        (500, "CHF", "5.00", "5.00 CHF"),
        (1234, "KWD", "1.234", "1.234 KWD"),
    ],
)
def test_an_amount_is_written_with_its_currencys_places(amount: int, code: str, plain: str, shown: str) -> None:
    assert decimal(amount, code) == plain
    assert display(amount, code) == shown


def test_an_amount_can_be_given_more_places() -> None:
    assert decimal(500, "JPY", least=2) == "500.00"
    assert decimal(1234, "KWD", least=2) == "1.234"


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(EXPONENTS)))
def test_writing_an_amount_loses_nothing(amount: int, code: str) -> None:
    assert Decimal(decimal(amount, code)) * 10 ** exponent(code) == amount


INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive here
IDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_", max_size=30)


@given(INSTANTS, IDS)
def test_a_cursor_comes_back_as_the_place_it_was(at: datetime, row_id: str) -> None:
    assert read_cursor(Position(at, row_id).encode()) == Position(at, row_id)


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "*",
        "lst_123",
        "ä",
        _encoded("1"),
        _encoded("x:lst_1"),
        _encoded(f"{10**30}:a"),
        _encoded("1:a\x00"),
        _encoded("1:ä"),
    ],
)
def test_a_cursor_that_we_did_not_make_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_cursor(cursor)
    assert caught.value.param == "cursor"


@given(st.text())
def test_whatever_is_sent_as_a_cursor_is_a_place_or_refused(cursor: str) -> None:
    place: Position | str | None
    try:
        place = read_cursor(cursor)
    except ValidationError as error:
        place = error.param
    assert isinstance(place, Position) or place in {None, "cursor"}
    assert (place is None) is (not cursor)


@given(st.integers(0, 20), st.integers(1, 5))
def test_pages_cover_all_rows_once(count: int, limit: int) -> None:
    rows = [Position(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=n), f"id{n}") for n in range(count)]
    seen: list[Position] = []
    after: Position | None = None
    while True:
        left = rows if after is None else rows[rows.index(after) + 1 :]
        page = slice_of(left[: limit + 1], limit, lambda row: row)
        seen += page.rows
        assert page.has_more is (page.cursor is not None)
        if not page.has_more:
            break
        after = read_cursor(page.cursor)
    assert seen == rows
