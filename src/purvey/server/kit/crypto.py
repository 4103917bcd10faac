"""Secrets at rest, signatures, and hashes.

Each entry of the secret key list gives, by HKDF (RFC 5869), one key to seal with (AES-256-GCM) and one for each purpose of
signing. The first entry seals and signs; all of them open and verify, so that a key can be rotated by putting a new one in front.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from purvey.server.kit.ids import RandomBytes

SHORTEST_KEY = 32
"""Characters that a secret key must have at least."""

_NONCE = 12
_KEY_ID = 4


class WrongKeyError(Exception):
    """The sealed value was not sealed with any of the secret keys given."""


def sha256(text: str) -> bytes:
    """Return the SHA-256 of `text` as UTF-8: how keys and tokens of high entropy are stored."""
    return hashlib.sha256(text.encode()).digest()


def hmac_sha256_hex(key: bytes, message: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 (RFC 2104) of `message`."""
    return hmac.digest(key, message, "sha256").hex()


class Keyring:
    """Seals, opens, signs and verifies with a list of secret keys."""

    def __init__(self, secret_keys: Sequence[str], random_bytes: RandomBytes = os.urandom) -> None:
        if not secret_keys or any(len(key) < SHORTEST_KEY for key in secret_keys):
            raise ValueError(f"each secret key needs at least {SHORTEST_KEY} characters")
        self._secret_keys = tuple(secret_keys)
        self._random_bytes = random_bytes
        self._ciphers = {_key_id(key): AESGCM(_derive(key, "seal")) for key in self._secret_keys}
        self._purposes: dict[str, tuple[bytes, ...]] = {}

    def seal(self, text: str) -> bytes:
        """Encrypt `text` with the first key: key id, nonce, ciphertext with its tag."""
        return self.seal_bytes(text.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt what `seal` returned; raise WrongKeyError when no key fits."""
        return self.open_bytes(sealed).decode()

    def seal_bytes(self, message: bytes) -> bytes:
        """Encrypt `message` as `seal` does a text."""
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = self._random_bytes(_NONCE)
        return key_id + nonce + cipher.encrypt(nonce, message, None)

    def open_bytes(self, sealed: bytes) -> bytes:
        """Decrypt what `seal_bytes` returned; raise WrongKeyError when no key fits."""
        cipher = self._ciphers.get(sealed[:_KEY_ID])
        nonce, ciphertext = sealed[_KEY_ID : _KEY_ID + _NONCE], sealed[_KEY_ID + _NONCE :]
        try:
            if cipher is not None and len(nonce) == _NONCE:
                return cipher.decrypt(nonce, ciphertext, None)
        except InvalidTag:
            pass
        raise WrongKeyError("sealed with a secret key that is not in the list")

    def sign(self, purpose: str, message: str) -> str:
        """Return the hex HMAC-SHA256 of `message` under the first key's key for `purpose`."""
        return hmac_sha256_hex(self._signing_keys(purpose)[0], message.encode())

    def verify(self, purpose: str, message: str, signature: str) -> bool:
        """Return whether any key signed `message` for `purpose`; takes the same time for every wrong signature."""
        given = signature.encode()
        expected = [hmac_sha256_hex(key, message.encode()).encode() for key in self._signing_keys(purpose)]
        return any([hmac.compare_digest(one, given) for one in expected])  # noqa: C419  # compares all of them, always

    def _signing_keys(self, purpose: str) -> tuple[bytes, ...]:
        if purpose not in self._purposes:
            self._purposes[purpose] = tuple(_derive(key, f"sign:{purpose}") for key in self._secret_keys)
        return self._purposes[purpose]


def _key_id(secret_key: str) -> bytes:
    return _derive(secret_key, "id")[:_KEY_ID]


def _derive(secret_key: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"purvey:{purpose}".encode()).derive(secret_key.encode())
