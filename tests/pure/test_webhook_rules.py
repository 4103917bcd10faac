"""What a webhook's request carries, and when it is sent again."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from fakes import START
from purvey import __version__
from purvey.server.kit.safe_http.outcome import Answer, Failure, Timings
from purvey.server.webhooks.model import STATES, Delivered, DeliveryStatus, Disable, GiveUp, RetryAt, Secrets
from purvey.server.webhooks.rules import SCHEDULE, decide, excerpt, request_headers
from purvey.signing import standard_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLDER = "whsec_" + base64.b64encode(b"an older secret, long enough").decode()
BODY = '{"object":"event","id":"evt_1","type":"order.paid","data":{"name":"Zoë"}}'.encode()
FAILURE = Failure("connect", "nobody listens", 3, None)


def answer(status: int, **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, named, b"", False, "192.0.2.1", 3, Timings(0, 0, 0, 0, 0))


def headers_with(secrets: Secrets, at: datetime = START, *, timestamped: bool = False) -> dict[str, str]:
    return request_headers(
        event_id="evt_1",
        event_type="order.paid",
        body=BODY,
        secrets=secrets,
        signature_format="timestamped" if timestamped else "body",
        at=at,
    )


def test_a_request_says_what_it_is() -> None:
    headers = headers_with(Secrets(SECRET))
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"Purvey/{__version__}"
    assert headers["X-ListBee-Event"] == "order.paid"
    assert headers["webhook-id"] == "evt_1"
    assert headers["webhook-timestamp"] == "1776421380"


def test_the_signature_is_the_plain_hex_of_the_body_under_the_whole_secret() -> None:
    expected = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    assert headers_with(Secrets(SECRET))["X-ListBee-Signature"] == expected


def test_a_known_body_and_secret_give_a_known_signature() -> None:
    headers = request_headers(
        event_id="evt_1",
        event_type="order.paid",
        body=b"what do ya want for nothing?",
        secrets=Secrets("Jefe"),
        signature_format="body",
        at=START,
    )
    # RFC 4231, test case 2.
    assert headers["X-ListBee-Signature"] == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_the_timestamped_signature_covers_the_time_too() -> None:
    expected = hmac.new(SECRET.encode(), b"1776421380." + BODY, hashlib.sha256).hexdigest()
    assert headers_with(Secrets(SECRET), timestamped=True)["X-ListBee-Signature"] == f"t=1776421380,v1={expected}"


def test_the_standard_library_of_standard_webhooks_accepts_the_request() -> None:
    headers = headers_with(Secrets(SECRET), at=datetime.now(UTC))
    assert Webhook(SECRET).verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers)


def test_during_an_overlap_both_secrets_verify_and_the_plain_signature_keeps_the_older_one() -> None:
    headers = headers_with(Secrets(SECRET, previous=OLDER), at=datetime.now(UTC))
    for secret in (SECRET, OLDER):
        Webhook(secret).verify(BODY, headers)
    assert headers["X-ListBee-Signature"] == hmac.new(OLDER.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_c2VjcmV0", b"secret"),
        ("whsec_c2VjcmV0cw", b"secrets"),
        ("whsec_c2VjcmV0cw==", b"secrets"),
        ("my own secret", b"my own secret"),
        ("whsec_not base64!", b"whsec_not base64!"),
        ("whsec_", b"whsec_"),
    ],
)
def test_the_standard_key_is_what_is_encoded_after_the_prefix_or_else_the_secret(secret: str, key: bytes) -> None:
    assert standard_key(secret) == key


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_are_delivered(status: int) -> None:
    assert decide(7, answer(status), first_at=START, now=START, chance=0.5) == Delivered()


@pytest.mark.parametrize(
    "outcome", [answer(100), answer(301), answer(304), answer(400), answer(404), answer(500), FAILURE]
)
def test_everything_else_is_tried_again_and_after_the_seventh_given_up(outcome: Answer | Failure) -> None:
    assert isinstance(decide(6, outcome, first_at=START, now=START, chance=0.5), RetryAt)
    assert decide(7, outcome, first_at=START, now=START, chance=0.5) == GiveUp()


def test_gone_disables_whatever_the_attempt() -> None:
    for attempt in (1, 7):
        assert decide(attempt, answer(410), first_at=START, now=START, chance=0.5) == Disable()


def test_without_jitter_the_attempts_are_where_the_schedule_says() -> None:
    times, now = [START], START
    while isinstance(verdict := decide(len(times), FAILURE, first_at=START, now=now, chance=0.5), RetryAt):
        now = verdict.at
        times.append(now)
    assert [at - START for at in times] == [
        timedelta(0),
        timedelta(seconds=30),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=6),
        timedelta(hours=24),
    ]


@given(attempt=st.integers(1, 6), chance=st.floats(0, 1))
def test_jitter_moves_an_attempt_by_a_fifth_of_its_time_at_most(attempt: int, chance: float) -> None:
    verdict = decide(attempt, FAILURE, first_at=START, now=START, chance=chance)
    assert isinstance(verdict, RetryAt)
    planned = SCHEDULE[attempt]
    assert 0.8 * planned - timedelta(microseconds=1) <= verdict.at - START <= 1.2 * planned + timedelta(microseconds=1)


def test_chance_spreads_the_attempts_from_end_to_end() -> None:
    ends = [decide(1, FAILURE, first_at=START, now=START, chance=chance) for chance in (0, 1)]
    assert ends == [RetryAt(START + timedelta(seconds=24)), RetryAt(START + timedelta(seconds=36))]


def test_attempts_that_come_late_are_not_used_up_all_at_once() -> None:
    late = START + timedelta(days=3)
    verdict = decide(4, FAILURE, first_at=START, now=late, chance=0.5)
    assert verdict == RetryAt(late + timedelta(minutes=45))


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_may_ask_for_a_longer_wait(status: int) -> None:
    assert decide(1, answer(status, Retry_After="90"), first_at=START, now=START, chance=0.5) == RetryAt(
        START + timedelta(seconds=90)
    )


def test_a_receiver_may_name_the_time_as_a_date() -> None:
    outcome = answer(503, retry_after="Fri, 17 Apr 2026 11:23:00 GMT")
    assert decide(1, outcome, first_at=START, now=START, chance=0.5) == RetryAt(START + timedelta(hours=1))


@pytest.mark.parametrize("asked", ["999999999", "Fri, 17 Apr 2099 11:23:00 GMT"])
def test_a_receiver_is_waited_for_a_day_at_most(asked: str) -> None:
    outcome = answer(429, Retry_After=asked)
    assert decide(1, outcome, first_at=START, now=START, chance=0.5) == RetryAt(START + timedelta(hours=24))


@pytest.mark.parametrize(
    "asked", ["", "0", "5", "-5", "soon", "9" * 30, "1e3", "Fri, 17 Apr 2020 11:23:00 GMT", "Fri, 99 Foo 2026", "١٢٣"]
)
def test_a_wait_that_is_shorter_or_makes_no_sense_changes_nothing(asked: str) -> None:
    outcome = answer(429, Retry_After=asked)
    assert decide(1, outcome, first_at=START, now=START, chance=0.5) == RetryAt(START + timedelta(seconds=30))


def test_only_being_too_busy_is_a_reason_to_ask_for_a_wait() -> None:
    outcome = answer(500, Retry_After="900")
    assert decide(1, outcome, first_at=START, now=START, chance=0.5) == RetryAt(START + timedelta(seconds=30))


def test_a_wait_does_not_prolong_the_last_attempt() -> None:
    assert decide(7, answer(503, Retry_After="60"), first_at=START, now=START, chance=0.5) == GiveUp()


def test_what_is_kept_of_an_answer_can_be_stored_and_has_an_end() -> None:
    assert excerpt(b"fine") == "fine"
    assert excerpt(b"a\x00b\xffc") == "a�b�c"
    assert excerpt("ü".encode() * 5000) == "ü" * 2048
    assert len(excerpt(b"x" * 100_000)) == 2048


def test_a_delivery_that_ended_is_left_by_nothing() -> None:
    assert STATES.sources(DeliveryStatus.DELIVERED) == (DeliveryStatus.WAITING,)
    for end in (DeliveryStatus.DELIVERED, DeliveryStatus.GIVEN_UP):
        assert not any(STATES.allows(end, after) for after in DeliveryStatus)
