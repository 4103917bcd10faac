"""Signatures of notices, links and webhooks: each fits what it was made for, and nothing that differs from it by a bit."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from fakes import START, FakeClock
from purvey.server.access.rules import PURPOSE, link_message
from purvey.server.kit.crypto import Keyring, WrongKeyError, hmac_sha256_hex
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.safe_http.outcome import Answer, Failure, Timings
from purvey.server.kit.tools import Tools
from purvey.server.payments.model import Payment
from purvey.server.payments.provider import BadSignatureError
from purvey.server.payments.sandbox.provider import SIGNATURE_HEADER, Sandbox
from purvey.server.webhooks.model import Delivered, Disable, GiveUp, RetryAt, Secrets
from purvey.server.webhooks.rules import JITTER, LONGEST_RETRY_AFTER, SCHEDULE, decide, request_headers

secret_keys = st.lists(st.text(min_size=32, max_size=40).filter(str.isascii), min_size=1, max_size=4, unique=True)
messages = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
parts = st.text("abcXYZ019_", min_size=1, max_size=24)
webhook_keys = st.binary(min_size=16, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


def turned(data: st.DataObject, text: str) -> str:
    """Return `text` with one bit of one character turned."""
    place = data.draw(st.integers(0, len(text) - 1))
    changed = chr(ord(text[place]) ^ 1 << data.draw(st.integers(0, 6)))
    return text[:place] + changed + text[place + 1 :]


@given(secret_keys, messages, st.data())
def test_what_any_earlier_key_sealed_opens_as_long_as_that_key_is_in_the_list(
    keys: list[str], message: str, data: st.DataObject
) -> None:
    sealer = data.draw(st.sampled_from(keys))
    sealed = Keyring([sealer]).seal(message)
    order = data.draw(st.permutations(keys))
    assert Keyring(order).open(sealed) == message
    without = [key for key in keys if key != sealer]
    if without:
        with pytest.raises(WrongKeyError):
            Keyring(without).open(sealed)


@given(secret_keys, messages, st.sampled_from(["download", "sandbox", "x"]), st.data())
def test_what_any_earlier_key_signed_holds_for_its_purpose_and_message_only(
    keys: list[str], message: str, purpose: str, data: st.DataObject
) -> None:
    signer = data.draw(st.sampled_from(keys))
    signature = Keyring([signer]).sign(purpose, message)
    ring = Keyring(data.draw(st.permutations(keys)))
    assert ring.verify(purpose, message, signature)
    assert not ring.verify(f"{purpose}2", message, signature)
    assert not ring.verify(purpose, f"{message}.", signature)
    assert not ring.verify(purpose, message, turned(data, signature))
    assert not ring.verify(purpose, message, signature[:-1])
    without = [key for key in keys if key != signer]
    assert not without or not Keyring(without).verify(purpose, message, signature)


@given(parts, parts, st.integers(0, 2**40), st.data())
def test_a_download_link_with_any_bit_turned_is_refused(
    grant: str, deliverable: str, expires: int, data: st.DataObject
) -> None:
    ring = Keyring(["k" * 32])
    signature = ring.sign(PURPOSE, link_message(grant, deliverable, expires))
    assert ring.verify(PURPOSE, link_message(grant, deliverable, expires), signature)
    assert not ring.verify(PURPOSE, link_message(turned(data, grant), deliverable, expires), signature)
    assert not ring.verify(PURPOSE, link_message(grant, turned(data, deliverable), expires), signature)
    assert not ring.verify(
        PURPOSE, link_message(grant, deliverable, expires ^ 1 << data.draw(st.integers(0, 40))), signature
    )


@given(parts, st.integers(0, 10**8), st.data())
def test_a_notice_whose_signature_or_time_has_a_bit_turned_is_refused(
    reference: str, amount: int, data: st.DataObject
) -> None:
    tools = Tools(Database.__new__(Database), FakeClock(), Ids(), Keyring(["k" * 32]), "http://shop.test")
    sandbox = Sandbox(tools, lambda: None)
    payment = Payment("sandbox", reference, "chk_1", amount, "USD")
    headers, body = sandbox.report(payment)
    assert sandbox.read(headers, body).said == payment
    with pytest.raises(BadSignatureError):
        sandbox.read({SIGNATURE_HEADER: turned(data, headers[SIGNATURE_HEADER])}, body)


@given(st.binary(max_size=200), webhook_keys, st.none() | webhook_keys, st.data())
def test_a_webhook_with_any_bit_turned_is_refused_by_its_receiver(
    body: bytes, secret: str, previous: str | None, data: st.DataObject
) -> None:
    headers = request_headers(
        event_id="evt_1",
        event_type="order.paid",
        body=b'{"a":' + body.hex().encode().join([b'"', b'"']) + b"}",
        secrets=Secrets(secret, previous),
        signature_format=data.draw(st.sampled_from(["body", "timestamped"])),
        at=datetime.now(UTC),
    )
    sent = b'{"a":"' + body.hex().encode() + b'"}'
    for key in filter(None, (secret, previous)):
        Webhook(key).verify(sent, headers)
        changed = bytearray(sent)
        changed[data.draw(st.integers(0, len(sent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
            Webhook(key).verify(bytes(changed), headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(sent, headers | {"webhook-id": "evt_2"})
    own = headers["X-ListBee-Signature"].rpartition("v1=")[2]
    time = headers["webhook-timestamp"].encode() + b"."
    assert own in {hmac_sha256_hex((previous or secret).encode(), message) for message in (sent, time + sent)}


def answer(status: int, retry_after: str | None) -> Answer:
    named = () if retry_after is None else (("Retry-After", retry_after),)
    return Answer(status, named, b"", False, "192.0.2.1", 3, Timings(0, 0, 0, 0, 0))


outcomes = st.just(Failure("connect", "nobody listens", 3, None)) | st.builds(
    answer, st.integers(100, 599), st.none() | st.text(max_size=40) | st.integers(-(10**12), 10**12).map(str)
)


@given(st.integers(1, 7), outcomes, st.timedeltas(timedelta(0), timedelta(days=60)), st.floats(0, 1))
def test_the_next_attempt_lies_ahead_and_within_bounds(
    attempt: int, outcome: Answer | Failure, after: timedelta, chance: float
) -> None:
    now = START + after
    verdict = decide(attempt, outcome, first_at=START, now=now, chance=chance)
    status = outcome.status if isinstance(outcome, Answer) else 0
    if 200 <= status < 300:
        assert verdict == Delivered()
    elif status == 410:
        assert verdict == Disable()
    elif attempt == len(SCHEDULE):
        assert verdict == GiveUp()
    else:
        assert isinstance(verdict, RetryAt)
        latest = max(START + SCHEDULE[attempt] * (1 + JITTER), now + SCHEDULE[attempt] / 2, now + LONGEST_RETRY_AFTER)
        assert now < verdict.at <= latest + timedelta(microseconds=1)
        assert verdict.at >= START + SCHEDULE[attempt] * (1 - JITTER) - timedelta(microseconds=1)
