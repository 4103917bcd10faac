"""Checking dynamic callbacks: what the server signs is believed, and whatever is wrong is told apart."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey import callbacks
from purvey.server.fulfillment.kinds.dynamic.signing import request_headers
from purvey.webhooks import ChangedBody, MalformedHeader, MissingHeader, SignatureError, WrongSignature, WrongTime

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = 1_776_421_380
EXAMPLE = json.loads((Path(__file__).parents[1] / "story" / "dynamic_example.json").read_text())
KEY = EXAMPLE["deliveryId"]
BODY = json.dumps(EXAMPLE, separators=(",", ":")).encode()


def signed(secret: str = SECRET, body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    return request_headers(key=key, body=body, secret=secret, at=datetime.fromtimestamp(NOW, UTC), version="1")


def test_what_the_server_signs_is_believed_and_read() -> None:
    order = callbacks.verify(BODY, signed(), SECRET, now=NOW + 299)
    assert (order.key, order.id, order.listing_id, order.account_id) == (
        KEY,
        EXAMPLE["invoiceId"],
        EXAMPLE["productId"],
        EXAMPLE["shopId"],
    )
    assert (order.buyer_email, order.title, order.total, order.currency) == (
        "buyer@example.com",
        "Pro Pack",
        Decimal("29.99"),
        "USD",
    )
    assert (order.checkout_data, order.body, order.is_test) == ({"discord_username": "tetra"}, EXAMPLE, False)
    headers = {name.upper(): value for name, value in signed().items()}
    assert callbacks.verify(BODY, headers, ["other", SECRET], now=NOW) == order


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (dict.fromkeys(signed()), MissingHeader, "did not sign it"),
        ({"X-Shoppex-Delivery-Id": None}, MissingHeader, "x-shoppex-delivery-id"),
        ({"X-Shoppex-Timestamp": None}, MissingHeader, "x-shoppex-timestamp"),
        ({"X-Shoppex-Signature-V2": None}, MissingHeader, "x-shoppex-signature-v2"),
        ({"X-Shoppex-Signature-V2": f"v1=,t={NOW},h=" + "0" * 63}, MalformedHeader, "64 lower-case"),
        ({"X-Shoppex-Signature-V2": f"v1,t={NOW},h=" + "A" * 64}, MalformedHeader, "64 lower-case"),
        ({"X-Shoppex-Timestamp": str(NOW - 1)}, MalformedHeader, "somebody has changed it"),
        ({"X-Shoppex-Idempotency-Key": "another"}, MalformedHeader, "that was signed"),
        (
            {"X-Shoppex-Signature-V2": f"v1,t={NOW - 301},h=" + "0" * 64, "X-Shoppex-Timestamp": str(NOW - 301)},
            WrongTime,
            "301 seconds ago",
        ),
        (
            {"X-Shoppex-Delivery-Id": "another", "X-Shoppex-Idempotency-Key": "another"},
            WrongSignature,
            "dynamic_webhook_secret",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str | None], kind: type[SignatureError], words: str) -> None:
    headers = {name: value for name, value in (signed() | changes).items() if value is not None}
    with pytest.raises(SignatureError, match=words) as raised:
        callbacks.verify(BODY, headers, SECRET, now=NOW)
    assert type(raised.value) is kind


def test_another_secret_and_a_body_written_anew_are_told_apart() -> None:
    with pytest.raises(ChangedBody, match="raw bytes"):
        callbacks.verify(json.dumps(EXAMPLE).encode(), signed(), SECRET, now=NOW)
    with pytest.raises(WrongSignature, match="signing_secret") as raised:
        callbacks.verify(BODY, signed(), "another secret", now=NOW)
    assert type(raised.value) is WrongSignature
    for body in (b"no json", b"[]", b"{}", b'{"invoice_id":"ord_1"}'):
        with pytest.raises(SignatureError, match="is no dynamic callback"):
            callbacks.verify(body, signed(body=body), SECRET, now=NOW)
    with pytest.raises(TypeError, match="raw bytes"):
        callbacks.verify(BODY.decode(), signed(), SECRET, now=NOW)  # type: ignore[arg-type]  # what people try


@given(st.sampled_from(sorted(name for name in signed() if name.startswith("X-Shoppex-"))), st.text(), st.binary())
def test_nothing_that_is_made_up_is_believed(name: str, value: str, body: bytes) -> None:
    changed = signed() | {name: value}
    cases = [(BODY, changed), (body, signed())]
    for sent, headers in cases:
        if (sent, headers) == (BODY, signed()) or (sent == BODY and name in {"X-Shoppex-Signature", *ALGORITHMS}):
            continue
        with pytest.raises(SignatureError):
            callbacks.verify(sent, headers, SECRET, now=NOW)


ALGORITHMS = ("X-Shoppex-Signature-Algorithm", "X-Shoppex-Signature-V2-Algorithm")
"""What only describes."""
