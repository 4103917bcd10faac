"""Every pairing of type, value, token and format: the few that make sense are taken, each other one is refused by its field."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.deliverables.rules import LONGEST_TEXT, LONGEST_URL, MOST, DeliverableIn, check
from purvey.server.errors import ValidationError

URL = "https://example.com/book"
PAIRINGS = list(
    product(
        [None, "file", "url", "text", "pdf", "TEXT", ""],
        [None, "", URL],
        [None, "", "file_1"],
        [None, "", "markdown", "html"],
    )
)


def made(kind: str | None, value: str | None, token: str | None, form: str | None) -> DeliverableIn:
    """Return the deliverable of a pairing."""
    return DeliverableIn(type=kind, value=value, token=token, format=form)


def fields_at_fault(item: DeliverableIn) -> set[str]:
    """Return the fields that are refused; none of them if it is taken."""
    try:
        check([item])
    except ValidationError as error:
        return {str(fault["loc"][-1]) for fault in error.members["errors"]}
    return set()


def test_a_pairing_is_taken_or_refused_by_the_field_that_is_wrong() -> None:
    found = {pairing: fields_at_fault(made(*pairing)) for pairing in PAIRINGS}
    assert found == {pairing: expected(*pairing) for pairing in PAIRINGS}


def expected(kind: str | None, value: str | None, token: str | None, form: str | None) -> set[str]:
    """Return the fields that are wrong in a pairing (FU-7, FU-9)."""
    if kind not in {"url", "text", "file"}:
        return {"type"}
    wanted, other = (token, value) if kind == "file" else (value, token)
    names = ("token", "value") if kind == "file" else ("value", "token")
    wrong = {names[0]} if not wanted else set()
    wrong |= {names[1]} if other is not None else set()
    wrong |= {"format"} if form is not None and kind != "text" else set()
    if kind == "text" and not wrong and form not in {None, "markdown"}:
        return {"format"}
    return wrong


texts = st.text(min_size=1, max_size=200)
contents = st.builds(DeliverableIn, type=st.just("text"), value=texts, format=st.sampled_from([None, "markdown"]))
links = st.builds(DeliverableIn, type=st.just("url"), value=st.integers(0, 10**9).map(lambda n: f"{URL}/{n}?a=b#c"))
broken = st.sampled_from(
    [
        (DeliverableIn(), "type"),
        (DeliverableIn(type="text"), "value"),
        (DeliverableIn(type="url", value="javascript:alert(1)"), "value"),
        (DeliverableIn(type="url", value="//example.com"), "value"),
        (DeliverableIn(type="url", value="data:text/html,x"), "value"),
        (DeliverableIn(type="url", value=" https://example.com\r\nX: y"), "value"),
        (DeliverableIn(type="text", value="a", token="b"), "token"),
        (DeliverableIn(type="text", value="a", format="html"), "format"),
    ]
)


@given(st.lists(contents | links, max_size=MOST))
def test_what_is_right_is_kept_in_order_and_to_the_letter(items: list[DeliverableIn]) -> None:
    kept = check(items)
    assert [(one.type, one.value, one.token, one.format) for one in kept] == [
        (item.type, item.value, item.token, item.format) for item in items
    ]


@given(st.lists(contents | links, max_size=MOST - 1), broken, st.data())
def test_one_that_is_wrong_among_right_ones_is_refused_at_its_place(
    items: list[DeliverableIn], bad: tuple[DeliverableIn, str], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(items)))
    with pytest.raises(ValidationError) as caught:
        check([*items[:place], bad[0], *items[place:]])
    assert [fault["loc"] for fault in caught.value.members["errors"]] == [["deliverables", place, bad[1]]]


@given(st.text(max_size=60) | st.text("htps:/.@#?%[]\\ \t\r\na1é", max_size=40).map(lambda rest: f"http{rest}"))
def test_whatever_is_taken_for_a_url_can_stand_in_a_location_header(text: str) -> None:
    item = DeliverableIn(type="url", value=text)
    if fields_at_fault(item):
        assert fields_at_fault(item) == {"value"}
        return
    [kept] = check([item])
    url = kept.value or ""
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
    assert url.lower().startswith(("http://", "https://"))
    assert len(url) <= LONGEST_URL


@given(st.integers(LONGEST_TEXT - 1, LONGEST_TEXT + 1), st.sampled_from(["a", "ä", "\U0001f600"]))
def test_a_text_is_measured_in_characters(length: int, character: str) -> None:
    found = fields_at_fault(DeliverableIn(type="text", value=character * length))
    assert found == (set() if length <= LONGEST_TEXT else {"value"})
