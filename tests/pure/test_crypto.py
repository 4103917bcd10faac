"""Secrets at rest and signatures: what was sealed opens, what was touched does not, and keys can be rotated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.crypto import SHORTEST_KEY, Keyring, WrongKeyError, hmac_sha256_hex, sha256

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32
RING = Keyring([OLD])
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_what_was_sealed_opens(text: str) -> None:
    assert RING.open(RING.seal(text)) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert RING.seal("whsec_1") != RING.seal("whsec_1")


def test_a_sealed_text_does_not_show() -> None:
    assert b"whsec_1" not in RING.seal("whsec_1")


@given(texts, st.data())
def test_a_sealed_text_with_any_bit_turned_does_not_open(text: str, data: st.DataObject) -> None:
    sealed = bytearray(RING.seal(text))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WrongKeyError):
        RING.open(bytes(sealed))


def test_a_sealed_text_cut_short_anywhere_does_not_open() -> None:
    sealed = RING.seal("whsec_1")
    for length in range(len(sealed)):
        with pytest.raises(WrongKeyError):
            RING.open(sealed[:length])


@given(st.binary(max_size=64))
def test_garbage_does_not_open(garbage: bytes) -> None:
    with pytest.raises(WrongKeyError):
        RING.open(garbage)


def test_another_key_does_not_open() -> None:
    with pytest.raises(WrongKeyError):
        Keyring([OTHER]).open(RING.seal("whsec_1"))


def test_after_a_rotation_old_and_new_secrets_open() -> None:
    rotated = Keyring([NEW, OLD])
    assert rotated.open(RING.seal("sealed before")) == "sealed before"
    assert rotated.open(rotated.seal("sealed after")) == "sealed after"


def test_after_a_rotation_the_new_key_seals() -> None:
    sealed = Keyring([NEW, OLD]).seal("whsec_1")
    assert Keyring([NEW]).open(sealed) == "whsec_1"
    with pytest.raises(WrongKeyError):
        RING.open(sealed)


@given(texts, texts)
def test_a_signature_fits_its_message_only(message: str, other: str) -> None:
    signature = RING.sign("download", message)
    assert RING.verify("download", message, signature)
    assert RING.verify("download", other, signature) == (other == message)


@given(texts)
def test_a_signature_that_was_not_made_here_is_refused(signature: str) -> None:
    assert not RING.verify("download", "grt_1/del_1/0", signature)


def test_a_signature_is_good_for_its_purpose_only() -> None:
    assert not RING.verify("sandbox", "message", RING.sign("download", "message"))


def test_after_a_rotation_old_signatures_hold_and_new_ones_are_the_new_key_s() -> None:
    rotated = Keyring([NEW, OLD])
    assert rotated.verify("download", "message", RING.sign("download", "message"))
    assert rotated.sign("download", "message") == Keyring([NEW]).sign("download", "message")
    assert not RING.verify("download", "message", rotated.sign("download", "message"))


def test_signing_and_sealing_use_keys_of_their_own() -> None:
    assert RING.sign("seal", "") != hmac_sha256_hex(OLD.encode(), b"")


@pytest.mark.parametrize("keys", [[], [""], ["k" * (SHORTEST_KEY - 1)], [OLD, "short"]])
def test_a_missing_or_short_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="at least 32 characters"):
        Keyring(keys)


def test_hmac_is_that_of_rfc_4231() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256_hex(b"Jefe", b"what do ya want for nothing?") == expected


def test_sha256_is_of_the_utf8_bytes() -> None:
    assert sha256("é").hex() == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
