"""What a seller types after `purvey listen`, `events` and `deliveries`: understood, or refused before anything is asked."""

import pytest
from click.testing import CliRunner, Result

from purvey.server.cli.following import deliveries, events, listen
from purvey.server.cli.remote import whole_url, words

KEY = {"PURVEY_API_KEY": "lb_key", "PURVEY_API_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("http://localhost:3000/hook", "http://localhost:3000/hook"),
        ("https://[::1]:3000/hook?x=1", "https://[::1]:3000/hook?x=1"),
        ("localhost:3000/hook", "http://localhost:3000/hook"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
    ],
)
def test_a_url_may_be_typed_without_its_scheme(typed: str, meant: str) -> None:
    assert whole_url(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        *("", "http://", "ftp://localhost/", "file:///etc/passwd", "http://localhost:99999/", "http://localhost:0/"),
        *("http://[::1", "http://a b/", "http://localhost/hä", "http://localhost:x/", "http://localhost/\nx"),
    ],
)
def test_what_is_no_url_is_refused_before_anything_is_asked(typed: str) -> None:
    refused = CliRunner().invoke(listen, ["--forward-to", typed], env=KEY)
    assert refused.exit_code == 2
    assert "http://localhost:3000/hook" in refused.output
    refused = CliRunner().invoke(events, ["tail"], env=KEY | {"PURVEY_API_URL": typed or "?"})
    assert_told(refused, "PURVEY_API_URL must be the server's address")


@pytest.mark.parametrize("key", ["", " ", "lb_ä", "lb_a\nb"])
def test_what_is_no_key_is_said_to_be_none(key: str) -> None:
    assert_told(CliRunner().invoke(events, ["tail"], env=KEY | {"PURVEY_API_KEY": key}), "PURVEY_API_KEY")


def test_no_delivery_is_asked_for_as_if_it_were_one() -> None:
    assert "begins with dlv_" in CliRunner().invoke(deliveries, ["explain", ""], env=KEY).output


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError("timed out"), "it took too long"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_why_nobody_answered_is_said_without_a_number(error: Exception, said: str) -> None:
    assert words(error) == said


def assert_told(ended: Result, words: str) -> None:
    assert ended.exit_code == 1
    assert words in ended.output
    assert isinstance(ended.exception, SystemExit)
