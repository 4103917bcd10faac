"""Schemas and answers made up by Hypothesis: what fits is taken, and one thing that does not is refused by its name."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.errors import ValidationError
from purvey.server.listings.answers import LARGEST_NUMBER, MOST_FIELDS, check_answers, check_schema, in_form_order
from purvey.server.listings.model import CheckoutField
from purvey.server.storefront import forms

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"
TYPES: Any = ["text", "select", "date", "checkbox", "email", "number"]
keys = st.text(LETTERS, min_size=1, max_size=50)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20).filter(
    lambda text: text == text.strip() != ""
)
numbers = st.integers(-LARGEST_NUMBER, LARGEST_NUMBER) | st.floats(-LARGEST_NUMBER, LARGEST_NUMBER)


@st.composite
def schemas(draw: st.DrawFn) -> list[CheckoutField]:
    """Make a schema that is in order."""
    names = draw(st.lists(keys, min_size=1, max_size=MOST_FIELDS, unique=True))
    return [draw(fields(name)) for name in names]


@st.composite
def fields(draw: st.DrawFn, key: str) -> CheckoutField:
    """Make a question called `key`."""
    kind = draw(st.sampled_from(TYPES))
    return CheckoutField(
        key=key,
        type=kind,
        label=draw(words),
        required=draw(st.booleans()),
        options=draw(st.lists(words, min_size=1, max_size=50, unique=True)) if kind == "select" else None,
        max_length=draw(st.none() | st.integers(20, 5000)) if kind == "text" else None,
        sort_order=draw(st.integers(0, 1_000_000)),
    )


@st.composite
def right(draw: st.DrawFn, field: CheckoutField) -> Any:
    """Make an answer that fits."""
    match field.type:
        case "text":
            return draw(words)
        case "select":
            return draw(st.sampled_from(field.options or []))
        case "date":
            return draw(st.dates()).isoformat()
        case "checkbox":
            return True if field.required else draw(st.booleans())
        case "email":
            return f"{draw(st.text('abcxyz019', min_size=1, max_size=20))}@example.com"
        case "number":
            return draw(numbers)


@st.composite
def answered(draw: st.DrawFn) -> tuple[list[CheckoutField], dict[str, Any]]:
    """Make a schema with answers that fit; what is optional may be missing."""
    schema = draw(schemas())
    given_ = [field for field in schema if field.required or draw(st.booleans())]
    return schema, {field.key: draw(right(field)) for field in given_}


def wrong(field: CheckoutField) -> st.SearchStrategy[Any]:
    """Return answers that do not fit the question, whoever asks it."""
    odd: list[Any] = [[], {}, [1], {"a": None}, 10**400, -(10**400), float("nan"), float("inf"), "a\x00b", "\ud800"]
    by_type: dict[str, list[Any]] = {
        "text": [1, True, 1.5, "x" * ((field.max_length or 500) + 1)],
        "select": [1, True, "".join(field.options or []) + "x"],
        "date": [1, True, "1990-02-30", "1990-5-15", "today", "0000-00-00"],
        "checkbox": [1, 0, "yes", 1.0],
        "email": [1, True, "ada", "ada@", "@example.com", "a b@example.com"],
        "number": [True, "one", LARGEST_NUMBER + 1, "1e400", "0x10", "1_000", "٣"],
    }
    return st.sampled_from([*odd, *by_type[field.type]])


def refused(schema: list[CheckoutField], answers: dict[str, Any]) -> list[list[str | int]]:
    """Return the places of what is refused; fail if nothing is."""
    with pytest.raises(ValidationError) as caught:
        check_answers(schema, answers)
    assert caught.value.encode()
    return [fault["loc"] for fault in caught.value.members["errors"]]


@given(schemas())
def test_a_schema_in_order_is_taken_and_its_form_has_every_field_once(schema: list[CheckoutField]) -> None:
    check_schema(schema)
    form = in_form_order(schema)
    assert sorted(field.key for field in form) == sorted(field.key for field in schema)
    assert [field.sort_order for field in form] == sorted(field.sort_order for field in schema)


@given(schemas(), st.data())
def test_a_key_that_stands_twice_is_refused_at_its_second_place(
    schema: list[CheckoutField], data: st.DataObject
) -> None:
    again = data.draw(fields(data.draw(st.sampled_from([field.key for field in schema]))))
    with pytest.raises(ValidationError) as caught:
        check_schema([*schema, again])
    assert ["checkout_schema", len(schema), "key"] in [fault["loc"] for fault in caught.value.members["errors"]]


@given(answered())
def test_answers_that_fit_come_back_as_they_were_given(made: tuple[list[CheckoutField], dict[str, Any]]) -> None:
    schema, answers = made
    checked = check_answers(schema, answers)
    assert checked == answers
    assert list(checked) == [field.key for field in schema if field.key in answers]
    assert check_answers(schema, checked) == checked


@given(answered(), st.data())
def test_one_wrong_answer_among_right_ones_is_refused_by_its_key(
    made: tuple[list[CheckoutField], dict[str, Any]], data: st.DataObject
) -> None:
    schema, answers = made
    field = data.draw(st.sampled_from(schema))
    assert refused(schema, answers | {field.key: data.draw(wrong(field))}) == [["checkout_data", field.key]]


@given(answered(), st.data(), st.sampled_from([None, "", "  "]))
def test_a_required_answer_that_is_missing_is_named(
    made: tuple[list[CheckoutField], dict[str, Any]], data: st.DataObject, nothing: str | None
) -> None:
    schema, answers = made
    field = data.draw(st.sampled_from(schema))
    without = {key: answer for key, answer in answers.items() if key != field.key}
    for told in (without, without | {field.key: nothing}):
        if field.required:
            assert refused(schema, told) == [["checkout_data", field.key]]
        else:
            assert field.key not in check_answers(schema, told)


@given(answered(), st.text(max_size=60), st.none() | st.text())
def test_an_answer_that_nobody_asked_for_is_named(
    made: tuple[list[CheckoutField], dict[str, Any]], key: str, answer: str | None
) -> None:
    schema, answers = made
    if key not in {field.key for field in schema}:
        assert refused(schema, answers | {key: answer}) == [["checkout_data", key]]


@given(answered())
def test_what_a_browser_posts_means_the_same_as_what_a_program_sends(
    made: tuple[list[CheckoutField], dict[str, Any]],
) -> None:
    schema, answers = made
    whole = {key: answer for key, answer in answers.items() if not isinstance(answer, float)}
    schema = [field for field in schema if field.key in whole]
    posted = {
        forms.field_name(key): ("on" if answer is True else str(answer))
        for key, answer in whole.items()
        if answer is not False
    }
    read = forms.answers({field.key: field.type for field in schema}, posted)
    told = {key: answer for key, answer in check_answers(schema, whole).items() if answer is not False}
    as_lines = {
        key: answer.replace("\r\n", "\n") if isinstance(answer, str) else answer for key, answer in told.items()
    }
    assert check_answers(schema, read) == as_lines


@given(st.dates(date(1000, 1, 1)))
def test_a_date_with_anything_around_it_but_blanks_is_none(day: date) -> None:
    field = CheckoutField(key="q", type="date", label="Q")
    for text in (f"{day}T00:00:00", f"{day}Z", f"x{day}", f"{day}0", f"+{day}"):
        assert refused([field], {"q": text}) == [["checkout_data", "q"]]
    assert check_answers([field], {"q": f" {day}\n"}) == {"q": str(day)}
