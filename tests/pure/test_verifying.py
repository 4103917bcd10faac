"""Checking webhooks: what the server signs is believed, and whatever is wrong is told apart."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from purvey import signing, webhooks
from purvey.webhooks import (
    ChangedBody,
    MalformedHeader,
    MissingHeader,
    SignatureError,
    WrongSignature,
    WrongTime,
    verify,
)

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OWN = "a secret of the seller's own"
NOW = 1_776_421_380
BODY = b'{"object":"event","id":"evt_1","type":"order.paid","data":{"id":"ord_1","buyer":"J\xc3\xb6rg"}}'


def signed(
    secrets: tuple[str, ...] = (SECRET,),
    body: bytes = BODY,
    kind: Literal["body", "timestamped"] = "body",
    at: int = NOW,
) -> dict[str, str]:
    return signing.headers(
        event_id="evt_1", event_type="order.paid", body=body, secrets=secrets, timestamp=at, signature_format=kind
    )


def only(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: headers[name] for name in names}


STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
LISTBEE = ("X-ListBee-Signature",)


@pytest.mark.parametrize("secret", [SECRET, OWN])
@pytest.mark.parametrize("kind", ["body", "timestamped"])
@pytest.mark.parametrize("names", [STANDARD, LISTBEE, (*STANDARD, *LISTBEE)])
def test_what_the_server_signs_is_believed(secret: str, kind: Any, names: tuple[str, ...]) -> None:
    headers = only(signed((secret,), kind=kind), *names)
    event = verify(BODY, headers, secret, now=NOW + 299)
    assert (event.type, event.data.id) == ("order.paid", "ord_1")
    assert (
        verify(BODY, {name.upper(): value for name, value in headers.items()}, ["other", secret], now=NOW).id == "evt_1"
    )


def test_either_secret_of_a_rotation_is_believed() -> None:
    headers = only(signed((SECRET, OWN)), *STANDARD)
    assert verify(BODY, headers, SECRET, now=NOW) == verify(BODY, headers, OWN, now=NOW)


def test_what_another_library_signs_is_believed_and_the_other_way_round() -> None:
    other = standardwebhooks.Webhook(SECRET)
    told = other.sign("evt_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    assert verify(BODY, {**signed(), "webhook-signature": told}, SECRET, now=NOW).id == "evt_1"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (dict.fromkeys((*STANDARD, *LISTBEE)), MissingHeader, "did not sign it"),
        ({"webhook-id": None}, MissingHeader, "webhook-id"),
        ({"webhook-timestamp": "soon"}, MalformedHeader, "Unix seconds"),
        ({"webhook-timestamp": str(NOW - 301)}, WrongTime, "301 seconds ago"),
        ({"webhook-timestamp": str(NOW + 301)}, WrongTime, "in the future"),
        ({"webhook-signature": "v2,abc"}, MalformedHeader, "v1,"),
        ({"webhook-signature": "abc"}, MalformedHeader, "v1,"),
        ({"webhook-signature": "v1,AAAA"}, WrongSignature, "does not fit"),
        ({"webhook-id": "evt_2"}, WrongSignature, "does not fit"),
        ({**dict.fromkeys(STANDARD), "X-ListBee-Signature": "sha256=" + "0" * 64}, MalformedHeader, "sha256="),
        ({**dict.fromkeys(STANDARD), "X-ListBee-Signature": "0" * 64}, WrongSignature, "does not fit"),
        (
            {**dict.fromkeys(STANDARD), "X-ListBee-Signature": f"t={NOW - 999},v1=" + "0" * 64},
            WrongTime,
            "999 seconds ago",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str | None], kind: type[SignatureError], words: str) -> None:
    headers = {name: value for name, value in (signed() | changes).items() if value is not None}
    with pytest.raises(SignatureError, match=words) as raised:
        verify(BODY, headers, SECRET, now=NOW)
    assert type(raised.value) is kind


@pytest.mark.parametrize("names", [STANDARD, LISTBEE])
def test_a_body_that_was_written_anew_is_told_from_a_wrong_secret(names: tuple[str, ...]) -> None:
    headers = only(signed(), *names)
    for body in (json.dumps(json.loads(BODY)).encode(), json.dumps(json.loads(BODY), separators=(",", ":")).encode()):
        with pytest.raises(ChangedBody, match="raw bytes"):
            verify(body, headers, SECRET, now=NOW)
    with pytest.raises(WrongSignature, match="begins with `whsec_`") as raised:
        verify(BODY, headers, OWN, now=NOW)
    assert type(raised.value) is WrongSignature


def test_headers_may_be_the_pairs_of_an_asgi_server() -> None:
    pairs = [(name.lower().encode(), value.encode()) for name, value in signed().items()]
    assert verify(BODY, pairs, SECRET, now=NOW).id == verify(BODY, signed(), SECRET, now=NOW).id == "evt_1"
    lists: Any = {name: [value] for name, value in signed().items()}
    with pytest.raises(TypeError, match="are texts or bytes, not list"):
        verify(BODY, lists, SECRET, now=NOW)


def test_only_bytes_and_a_secret_are_taken() -> None:
    with pytest.raises(TypeError, match="raw bytes"):
        verify(BODY.decode(), signed(), SECRET, now=NOW)  # type: ignore[arg-type]  # what people try
    nothing: list[Any] = ["", [], None]
    for secret in nothing:
        with pytest.raises(ValueError, match="no secret"):
            verify(BODY, signed(), secret, now=NOW)
    for body in (b"no json", b"[]"):
        with pytest.raises(SignatureError, match="is signed, but"):
            verify(body, signed(body=body), SECRET, now=NOW)


@given(st.sampled_from([*STANDARD, *LISTBEE]), st.text(), st.binary())
def test_nothing_that_is_made_up_is_believed(name: str, value: str, body: bytes) -> None:
    for headers in (only(signed(), *STANDARD) | {name: value}, {name: value}):
        if headers == signed() or body == BODY:
            continue
        with pytest.raises(webhooks.SignatureError):
            verify(body, headers, SECRET, now=NOW)
