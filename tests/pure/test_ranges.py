"""Which bytes of a file are asked for, and what its name becomes in a header: held against what is plainly right."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purvey.server.access.rules import disposition
from purvey.server.files.rules import LONGEST_NAME, safe_name
from purvey.server.kit.web.ranges import Asked, Span, asked

ETAG = '"abc"'
sizes = st.integers(1, 50)
numbers = st.integers(0, 60)


def ranged(header: str, size: int, **others: str) -> Asked:
    return asked({"range": header, **{name.replace("_", "-"): value for name, value in others.items()}}, size, ETAG)


def slice_of(found: Asked, body: bytes) -> bytes | None:
    return body[found.first : found.end] if isinstance(found, Span) else None


@given(sizes, numbers, numbers)
def test_a_range_is_the_bytes_that_it_names(size: int, first: int, last: int) -> None:
    body = bytes(range(size))
    found = ranged(f"bytes={first}-{last}", size)
    if last < first:
        assert found == "whole"
    elif first >= size:
        assert found == "beyond"
    else:
        assert slice_of(found, body) == bytes(one for one in body if first <= one <= last)


@given(sizes, numbers)
def test_an_open_range_goes_to_the_end_and_a_suffix_comes_from_it(size: int, number: int) -> None:
    body = bytes(range(size))
    assert ranged(f"bytes={number}-", size) == ("beyond" if number >= size else Span(number, size))
    suffix = ranged(f"bytes=-{number}", size)
    assert suffix == "beyond" if number == 0 else slice_of(suffix, body) == body[-number:]


@given(sizes, st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_parts_fetched_one_after_the_other_make_up_the_whole(size: int, steps: list[int]) -> None:
    body, got = bytes(range(size)), b""
    for step in [*steps, size]:
        if len(got) < size:
            found = ranged(f"bytes={len(got)}-{len(got) + step - 1}", size)
            assert isinstance(found, Span)
            assert found.content_range(size) == f"bytes {len(got)}-{min(len(got) + step, size) - 1}/{size}"
            got += slice_of(found, body) or b""
    assert got == body


@given(st.text(max_size=40), sizes)
def test_no_header_breaks_anything_and_no_part_leaves_the_file(header: str, size: int) -> None:
    for text in (header, f"bytes={header}"):
        found = asked({"range": text, "if-none-match": header, "if-range": header}, size, ETAG)
        assert not isinstance(found, Span) or 0 <= found.first < found.end <= size


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=5-4",
        "bytes=0x0-1",
        "bytes=٠-١",
        "bytes=-1-2",
    ],
)
def test_what_is_not_understood_is_answered_with_the_whole(header: str) -> None:
    assert ranged(header, 10) == "whole"


def test_numbers_without_end_are_read_as_what_they_mean() -> None:
    assert ranged(f"bytes=0-{'9' * 5000}", 10) == Span(0, 10)
    assert ranged(f"bytes={'9' * 5000}-", 10) == "beyond"
    assert ranged(f"bytes=-{'9' * 5000}", 10) == Span(0, 10)
    assert ranged(f"bytes={'0' * 5000}1-2", 10) == Span(1, 3)
    assert ranged("BYTES = 1-2 ", 10) == Span(1, 3)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"if_range": ETAG}, Span(0, 2)),
        ({"if_range": f"W/{ETAG}"}, "whole"),
        ({"if_range": '"other"'}, "whole"),
        ({"if_range": "Fri, 17 Apr 2026 10:00:00 GMT"}, "whole"),
        ({"if_none_match": f'"other", W/{ETAG}'}, "unchanged"),
        ({"if_none_match": "*"}, "unchanged"),
        ({"if_none_match": '"other"'}, Span(0, 2)),
        ({"if_match": f'"other", {ETAG}'}, Span(0, 2)),
        ({"if_match": "*"}, Span(0, 2)),
        ({"if_match": f"W/{ETAG}"}, "other"),
        ({"if_match": '"other"', "if_none_match": ETAG}, "other"),
    ],
)
def test_conditions_are_held_to(told: dict[str, str], found: Asked) -> None:
    assert ranged("bytes=0-1", 10, **told) == found


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(names)
@settings(max_examples=300)
def test_a_name_is_safe_and_every_browser_reads_it_as_it_is(given_name: str) -> None:
    name = safe_name(given_name)
    assert name == safe_name(name)
    assert 0 < len(name.encode()) <= LONGEST_NAME
    assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]", name)
    assert name not in {".", ".."}
    header = disposition(name)
    match = re.fullmatch(
        r'attachment; filename="([^"\\]+)"(?:; filename\*=UTF-8\'\'([A-Za-z0-9!#$&+.^_`|~%-]+))?', header
    )
    assert match is not None, header
    assert header.isascii()
    assert (unquote(match[2], errors="strict") if match[2] else match[1]) == name
    assert not re.search(r"[%/\\:*?<>]", match[1])


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("a b.pdf", 'attachment; filename="a b.pdf"'),
        ("Übung.pdf", "attachment; filename=\"Ubung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
        ("日本語", "attachment; filename=\"file\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E"),
        (
            'a"; filename=b.html',
            "attachment; filename=\"a_; filename=b.html\"; filename*=UTF-8''a%22%3B%20filename%3Db.html",
        ),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
    ],
)
def test_a_name_in_a_header(name: str, header: str) -> None:
    assert disposition(name) == header
