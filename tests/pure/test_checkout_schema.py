"""A checkout schema, and buyers who answer it well and badly."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.errors import ValidationError
from purvey.server.listings.answers import check_answers, check_schema, in_form_order
from purvey.server.listings.model import CheckoutField


def field(key: str = "q", kind: Any = "text", **rest: Any) -> CheckoutField:
    return CheckoutField(key=key, type=kind, label=rest.pop("label", "Question"), **rest)


SIZES = field("size", "select", options=["S", "L"])


def faults(error: ValidationError) -> list[tuple[list[str | int], str]]:
    return [(fault["loc"], fault["msg"]) for fault in error.members["errors"]]


def refused(fields: list[CheckoutField], answers: dict[str, Any]) -> list[tuple[list[str | int], str]]:
    with pytest.raises(ValidationError) as caught:
        check_answers(fields, answers)
    return faults(caught.value)


def outcome_of(one: CheckoutField, answer: Any) -> dict[str, object] | ValidationError:
    try:
        return check_answers([one], {one.key: answer})
    except ValidationError as error:
        return error


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ([field(f"k{n}") for n in range(11)], ["checkout_schema"]),
        ([field("a"), field("b"), field("a")], ["checkout_schema", 2, "key"]),
        ([field(kind="select")], ["checkout_schema", 0, "options"]),
        ([field(kind="select", options=["a", "a"])], ["checkout_schema", 0, "options"]),
        ([field(kind="select", options=[" a"])], ["checkout_schema", 0, "options"]),
        ([field(options=["a"])], ["checkout_schema", 0, "options"]),
        ([field(kind="date", options=["a"])], ["checkout_schema", 0, "options"]),
        ([field(kind="number", max_length=3)], ["checkout_schema", 0, "max_length"]),
    ],
)
def test_a_schema_that_makes_no_form_is_refused_by_place(fields: list[CheckoutField], loc: list[str | int]) -> None:
    with pytest.raises(ValidationError) as caught:
        check_schema(fields)
    assert [fault[0] for fault in faults(caught.value)] == [loc]


def test_ten_fields_of_all_types_make_a_form() -> None:
    kinds: list[Any] = ["text", "date", "checkbox", "email", "number"] * 2
    check_schema([field(f"k{n}", kind) for n, kind in enumerate(kinds)])
    check_schema([SIZES, field("t", max_length=5000)])


def test_the_form_follows_sort_order_and_keeps_equal_ones_in_place() -> None:
    fields = [field("a", sort_order=1), field("b"), field("c"), field("d", sort_order=1)]
    assert [one.key for one in in_form_order(fields)] == ["b", "c", "a", "d"]


def test_good_answers_come_back_normalised_and_in_the_schemas_order() -> None:
    fields = [
        field("name"),
        field("born", "date"),
        SIZES,
        field("terms", "checkbox"),
        field("mail", "email"),
        field("count", "number"),
        field("ratio", "number"),
        field("note", required=False),
    ]
    answers = {
        "ratio": "2.5",
        "count": "3",
        "mail": " Ada@example.com ",
        "terms": "on",
        "size": "L",
        "born": "1990-05-15",
        "name": "  Ada\nLovelace ",
        "note": "",
    }
    checked = check_answers(fields, answers)
    assert checked == {
        "name": "Ada\nLovelace",
        "born": "1990-05-15",
        "size": "L",
        "terms": True,
        "mail": "Ada@example.com",
        "count": 3,
        "ratio": 2.5,
    }
    assert list(checked) == ["name", "born", "size", "terms", "mail", "count", "ratio"]


@pytest.mark.parametrize(
    ("one", "answer", "message"),
    [
        (field(), None, "is required"),
        (field(), "  ", "is required"),
        (field(), 5, "must be a text"),
        (field(), ["a"], "must be a text"),
        (field(), "a\x00b", "must not contain the character U+0000, which no text can hold"),
        (field(), "\udc80", "must not contain the character U+DC80, which no text can hold"),
        (field(), "x" * 501, "has 501 characters; at most 500 are allowed"),
        (field(max_length=3), "four", "has 4 characters; at most 3 are allowed"),
        (SIZES, "M", "must be one of S, L"),
        (SIZES, ["S"], "must be one of S, L"),
        (field(kind="date"), "2023-02-29", "must be a date of the calendar, written like 1990-05-15"),
        (field(kind="date"), "15.05.1990", "must be a date of the calendar, written like 1990-05-15"),
        (field(kind="date"), "1990-5-15", "must be a date of the calendar, written like 1990-05-15"),
        (field(kind="date"), "19900515", "must be a date of the calendar, written like 1990-05-15"),
        (field(kind="date"), "１９９０-05-15", "must be a date of the calendar, written like 1990-05-15"),
        (field(kind="date"), 19900515, "must be a text"),
        (field(kind="checkbox"), False, "must be ticked"),
        (field(kind="checkbox"), "false", "must be ticked"),
        (field(kind="checkbox"), "yes", "must be true or false"),
        (field(kind="checkbox"), 1, "must be true or false"),
        (field(kind="number"), "one", "must be a number"),
        (field(kind="number"), True, "must be a number"),
        (field(kind="number"), float("nan"), "must be a number"),
        (field(kind="number"), float("inf"), "must be a number"),
        (field(kind="number"), "1e999", "must be a number"),
        (field(kind="number"), 10**16, f"must be between -{10**15} and {10**15}"),
    ],
)
def test_a_bad_answer_is_told_what_would_be_right(one: CheckoutField, answer: Any, message: str) -> None:
    assert refused([one], {one.key: answer}) == [(["checkout_data", one.key], message)]


def test_a_bad_address_is_told_why() -> None:
    ((loc, message),) = refused([field(kind="email")], {"q": "ada at example.com"})
    assert loc == ["checkout_data", "q"]
    assert "exactly one @" in message


def test_all_faults_are_named_at_once_unknown_keys_with_the_nearest() -> None:
    assert refused([field("name"), field("size", "number")], {"nam": "Ada", "size": "big"}) == [
        (["checkout_data", "nam"], "`nam` is not asked for here; did you mean `name`?"),
        (["checkout_data", "name"], "is required"),
        (["checkout_data", "size"], "must be a number"),
    ]


def test_an_optional_checkbox_may_be_false() -> None:
    one = field(kind="checkbox", required=False)
    assert check_answers([one], {"q": False}) == {"q": False}
    assert check_answers([one], {}) == {}


@given(st.dates())
def test_every_date_of_the_calendar_is_taken_as_it_is(day: date) -> None:
    assert check_answers([field(kind="date")], {"q": day.isoformat()}) == {"q": day.isoformat()}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KINDS: Any = ["text", "date", "checkbox", "email", "number"]


@given(st.sampled_from(KINDS), st.booleans(), JSON)
def test_whatever_is_answered_is_taken_or_refused_and_taking_it_again_changes_nothing(
    kind: Any, required: bool, answer: Any
) -> None:
    one = field(kind=kind, required=required)
    outcome = outcome_of(one, answer)
    if isinstance(outcome, ValidationError):
        assert outcome.param == "checkout_data.q"
    else:
        assert outcome_of(one, outcome.get("q")) == outcome
        assert set(outcome) <= {"q"}
        assert all(isinstance(value, str | int | float) for value in outcome.values())


@given(JSON)
def test_a_select_gives_back_one_of_its_options(answer: Any) -> None:
    outcome = outcome_of(SIZES, answer)
    if isinstance(answer, str) and answer.strip() in {"S", "L"}:
        assert outcome == {"size": answer.strip()}
    else:
        assert isinstance(outcome, ValidationError)
