"""How a webhook is signed: the headers of one request. Standard Webhooks 1.0, and X-ListBee-* (DF-8)."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from purvey import __version__

STANDARD_PREFIX = "whsec_"  # marks a secret, is none
"""What follows it in a secret is the key in base64, as Standard Webhooks has it."""

USER_AGENT = f"Purvey/{__version__}"


def headers(
    *,
    event_id: str,
    event_type: str,
    body: bytes,
    secrets: Sequence[str],
    timestamp: int,
    signature_format: Literal["body", "timestamped"] = "body",
) -> dict[str, str]:
    """Return the headers of a request that is sent at `timestamp` (Unix time). `secrets` sign, the present one first.

    X-ListBee-Signature is made with the last of them, the older one during an overlap (DF-8); webhook-signature lists all.
    """
    message = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-ListBee-Event": event_type,
        "X-ListBee-Signature": _own_signature(secrets[-1], timestamp, body, signature_format),
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join([_standard_signature(secret, message) for secret in secrets]),
    }


@lru_cache(maxsize=1024)
def standard_key(secret: str) -> bytes:
    """Return the key for Standard Webhooks: what follows `whsec_`, decoded from base64; else the secret itself, as UTF-8."""
    encoded = secret.removeprefix(STANDARD_PREFIX)
    if encoded != secret:
        try:
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True) or secret.encode()
        except binascii.Error:
            pass
    return secret.encode()


def _own_signature(secret: str, timestamp: int, body: bytes, signature_format: Literal["body", "timestamped"]) -> str:
    key = secret.encode()
    match signature_format:
        case "body":
            return hmac.digest(key, body, "sha256").hex()
        case "timestamped":
            return f"t={timestamp},v1={hmac.digest(key, b'%d.%b' % (timestamp, body), 'sha256').hex()}"


def _standard_signature(secret: str, message: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(standard_key(secret), message, "sha256")).decode()
