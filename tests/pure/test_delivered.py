"""What a dynamic order brought, as its buyer sees it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.fulfillment.kinds.dynamic import answers
from purvey.server.fulfillment.kinds.dynamic.model import Failed, Items
from purvey.server.storefront import views
from purvey.server.storefront.delivered import items_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def shown(text: str) -> tuple[views.Item, ...]:
    return items_of(msgspec.Raw(text.encode()))


def rows(**values: Any) -> list[views.Row]:
    [table] = shown(json.dumps({"dynamic_response": values, "deliveryType": "DYNAMIC", "count": 1}))
    assert isinstance(table, views.ValuesItem)
    return list(table.rows)


def test_the_text_comes_first_and_the_values_after() -> None:
    text, table = shown(
        '{"service_text": "Hi", "dynamic_response": {"a": 1}, "extra": true, "deliveryType": "DYNAMIC", "count": 1}'
    )
    assert text == views.TextItem("Hi")
    assert isinstance(table, views.ValuesItem)
    assert [(row.name, row.value) for row in table.rows] == [("A", "1"), ("Extra", "Yes")]


def test_a_text_alone_is_shown_as_one() -> None:
    assert shown('{"dynamic_response": "dyn_1", "count": 1}') == (views.TextItem("dyn_1"),)


def test_nothing_is_said_to_be_nothing() -> None:
    [item] = shown('{"deliveryType": "DYNAMIC", "count": 1}')
    assert isinstance(item, views.TextItem)
    assert "no details" in item.text


def test_values_within_values_are_named_by_their_way() -> None:
    found = rows(account={"userName": "ada", "roles": ["a", "b"]}, empty={}, none=None)
    assert [(row.within, row.name, row.value) for row in found] == [
        (("Account",), "User name", "ada"),
        (("Account", "Roles"), "1", "a"),
        (("Account", "Roles"), "2", "b"),
        ((), "Empty", "{}"),
        ((), "None", ""),
    ]


def test_numbers_are_shown_as_they_were_spelled() -> None:
    [table] = shown(
        '{"dynamic_response": {"n": 12345678901234567890123, "x": 1.10, "deep": {"a": {"b": {"c": [1.0]}}}}}'
    )
    assert isinstance(table, views.ValuesItem)
    assert [row.value for row in table.rows] == ["12345678901234567890123", "1.10", "[\n  1.0\n]"]
    shown('{"dynamic_response": {"n": ' + "9" * 5000 + "}}")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "Password",
            "db_password",
            "dbPassword",
            "secret",
            "clientSecret",
            "token",
            "access_token",
            "accessToken",
        ),
        *(
            "key",
            "api_key",
            "apiKey",
            "APIKey",
            "license_key",
            "licence",
            "pin",
            "private_key",
            "seed",
            "credentials",
            "authToken",
        ),
    ],
)
def test_what_is_called_a_secret_is_masked(name: str) -> None:
    [row] = rows(**{name: "x1"})
    assert row.secret


@pytest.mark.parametrize(
    "name", ["user", "monkey", "keyboard", "author", "expires_at", "passenger", "spin", "tokenizer", "url"]
)
def test_what_only_sounds_like_one_is_not(name: str) -> None:
    [row] = rows(**{name: "x1"})
    assert not row.secret


def test_what_lies_within_a_secret_is_masked_too() -> None:
    assert [row.secret for row in rows(license_keys=["A", "B"], secrets={"user": "x"})] == [True, True, True]


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://example.com/a?b", True),
        ("http://example.com", True),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://[", False),
        ("https://a.example/ and more", False),
        ("data:text/html,x", False),
    ],
)
def test_only_a_web_address_can_be_followed(value: str, link: object) -> None:
    [row] = rows(address=value)
    assert (row.url is not None) is link


@given(values)
def test_whatever_is_accepted_is_shown(value: Any) -> None:
    read = answers.read(json.dumps(value).encode())
    if isinstance(read, Items):
        assert items_of(read.delivered)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_stored_as_a_json_object_or_refused(body: bytes) -> None:
    read = answers.read(body)
    if isinstance(read, Failed):
        assert read.reason.startswith("unsupported_response: ")
    else:
        stored = json.loads(bytes(read.delivered))
        assert stored["deliveryType"]
        assert items_of(read.delivered)


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_an_object_is_stored_to_the_letter(given_object: dict[str, Any]) -> None:
    read = answers.read(json.dumps(given_object).encode())
    assert isinstance(read, Items)
    inner = given_object["data"] if isinstance(given_object.get("data"), dict) else given_object
    assert json.loads(bytes(read.delivered)) == {"deliveryType": "DYNAMIC", "count": 1} | inner


@pytest.mark.parametrize(
    "body",
    [b'{"a": "\\ud800"}', b'"\\udfff"', b"[" * 100_000, b'{"a":' * 200 + b"1" + b"}" * 200, b'{"\\ud800": 1}'],
)
def test_half_characters_and_bottomless_depths_are_refused(body: bytes) -> None:
    assert isinstance(answers.read(body), Failed)
