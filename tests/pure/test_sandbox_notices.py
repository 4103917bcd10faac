"""The sandbox's notices: a true one is read, and nothing else, however it looks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools
from purvey.server.payments.model import Payment
from purvey.server.payments.provider import BadSignatureError
from purvey.server.payments.sandbox.provider import SIGNATURE_HEADER, TOLERANCE, Sandbox

KEYRING = Keyring(["a secret key of the tests, long enough"])
PAYMENT = Payment("sandbox", "pay_1", "chk_1", 500, "USD")


def sandbox(clock: FakeClock, keyring: Keyring = KEYRING) -> Sandbox:
    """Return a sandbox without a database: neither reporting nor verifying touches one."""
    tools = Tools(Database.__new__(Database), clock, Ids(), keyring, "http://shop.test")
    return Sandbox(tools, lambda: None)


def signed(body: bytes, clock: FakeClock) -> dict[str, str]:
    """Return the headers that sign any `body` with the right key."""
    timestamp = int(clock.now().timestamp())
    signature = KEYRING.sign("sandbox", f"{timestamp}.{body.decode(errors='replace')}")
    return {SIGNATURE_HEADER: f"t={timestamp},v1={signature}"}


def test_a_true_notice_is_read() -> None:
    provider = sandbox(FakeClock())
    headers, body = provider.report(PAYMENT)
    notice = provider.read(headers, body)
    assert (notice.provider, notice.type, notice.said) == ("sandbox", "payment.succeeded", PAYMENT)
    assert notice.payload == body.decode()


def test_a_payment_reported_again_has_the_same_notice_id() -> None:
    clock = FakeClock()
    provider = sandbox(clock)
    first = provider.read(*provider.report(PAYMENT))
    clock.advance(hours=2)
    assert provider.read(*provider.report(PAYMENT)).id == first.id


def test_two_payments_have_two_notice_ids() -> None:
    provider = sandbox(FakeClock())
    other = msgspec.structs.replace(PAYMENT, reference="pay_2")
    assert provider.read(*provider.report(PAYMENT)).id != provider.read(*provider.report(other)).id


@pytest.mark.parametrize("seconds", [0, 1, TOLERANCE, -1, -TOLERANCE])
def test_a_notice_within_the_tolerance_is_taken(seconds: int) -> None:
    clock = FakeClock()
    provider = sandbox(clock)
    headers, body = provider.report(PAYMENT)
    clock.advance(seconds=seconds)
    assert provider.read(headers, body).said == PAYMENT


@pytest.mark.parametrize("seconds", [TOLERANCE + 1, -TOLERANCE - 1, 86_400])
def test_a_notice_out_of_the_tolerance_is_refused(seconds: int) -> None:
    clock = FakeClock()
    provider = sandbox(clock)
    headers, body = provider.report(PAYMENT)
    clock.advance(seconds=seconds)
    with pytest.raises(BadSignatureError, match="more than 300 seconds ago, or in the future"):
        provider.read(headers, body)


@given(st.data())
def test_a_body_with_any_bit_turned_is_refused(data: st.DataObject) -> None:
    provider = sandbox(FakeClock())
    headers, body = provider.report(PAYMENT)
    changed = bytearray(body)
    changed[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadSignatureError):
        provider.read(headers, bytes(changed))


@pytest.mark.parametrize("rest", [b" ", b"\n", b"{}"])
def test_a_body_with_something_behind_it_is_refused(rest: bytes) -> None:
    provider = sandbox(FakeClock())
    headers, body = provider.report(PAYMENT)
    with pytest.raises(BadSignatureError, match="does not fit the body"):
        provider.read(headers, body + rest)


def test_a_renewed_timestamp_does_not_make_an_old_notice_new() -> None:
    clock = FakeClock()
    provider = sandbox(clock)
    headers, body = provider.report(PAYMENT)
    signature = headers[SIGNATURE_HEADER].partition("v1=")[2]
    clock.advance(days=1)
    renewed = {SIGNATURE_HEADER: f"t={int(clock.now().timestamp())},v1={signature}"}
    with pytest.raises(BadSignatureError, match="does not fit the body"):
        provider.read(renewed, body)


def test_a_notice_of_another_installation_is_refused() -> None:
    clock = FakeClock()
    headers, body = sandbox(clock, Keyring(["x" * 32])).report(PAYMENT)
    with pytest.raises(BadSignatureError, match="does not fit the body"):
        sandbox(clock).read(headers, body)


def test_a_notice_signed_before_a_key_rotation_is_taken() -> None:
    clock = FakeClock()
    headers, body = sandbox(clock, Keyring(["o" * 32])).report(PAYMENT)
    rotated = sandbox(clock, Keyring(["n" * 32, "o" * 32]))
    assert rotated.read(headers, body).said == PAYMENT


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t=,v1=",
        "t=1776421380",
        "v1=00",
        "t=1776421380,v1=",
        "t=-1,v1=00",
        "t=1.5,v1=00",
        "t=0x10,v1=00",
        "t= 1776421380,v1=00",
        "t=²,v1=00",
        "1776421380,00",
        "t:1776421380;v1:00",
    ],
)
def test_a_malformed_header_is_refused_with_its_right_form(header: str) -> None:
    with pytest.raises(BadSignatureError, match="must read t=<unix seconds>,v1=<hex>"):
        sandbox(FakeClock()).read({SIGNATURE_HEADER: header}, b"{}")


def test_a_missing_header_is_refused() -> None:
    _, body = sandbox(FakeClock()).report(PAYMENT)
    with pytest.raises(BadSignatureError, match="must read"):
        sandbox(FakeClock()).read({}, body)


def test_a_timestamp_of_ten_thousand_digits_is_refused() -> None:
    with pytest.raises(BadSignatureError):
        sandbox(FakeClock()).read({SIGNATURE_HEADER: f"t={'9' * 10_000},v1=00"}, b"{}")


@given(st.text() | st.builds("t={},v1={}".format, st.text() | st.integers(), st.text()), st.binary())
def test_garbage_is_refused_and_breaks_nothing(header: str, body: bytes) -> None:
    with pytest.raises(BadSignatureError):
        sandbox(FakeClock()).read({SIGNATURE_HEADER: header}, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"not json",
        b'{"id":"notice_1","type":"payment.succeeded"}',
        b'{"id":1,"type":"payment.succeeded","payment":{}}',
        msgspec.json.encode({"id": "notice_1", "type": "payment.succeeded", "payment": {"amount": "500"}}),
        b'{"id":"\xff"}',
    ],
)
def test_a_body_that_is_signed_but_is_no_notice_is_refused(body: bytes) -> None:
    clock = FakeClock()
    with pytest.raises(BadSignatureError, match="is not what the sandbox sends"):
        sandbox(clock).read(signed(body, clock), body)
