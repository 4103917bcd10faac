"""The headers of a callback, and the two signatures that say from whom it comes (DW-6 to DW-9)."""

import hmac
from datetime import datetime

from purvey.server.kit.crypto import hmac_sha256_hex


def request_headers(*, key: str, body: bytes, secret: str | None, at: datetime, version: str) -> dict[str, str]:
    """Return the headers of one attempt, which begins at `at`; without a `secret` nothing is signed (DW-7).

    The v2 signature covers the key, the time and the body, and is made anew for each attempt: a receiver refuses one that is more
    than five minutes old. The other one, over the body alone, is for receivers of before.
    """
    timestamp = int(at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Purvey/{version}",
        "X-Shoppex-Idempotency-Key": key,
        "X-Shoppex-Delivery-Id": key,
        "X-Shoppex-Timestamp": str(timestamp),
    }
    if secret is None:
        return headers
    signature = hmac_sha256_hex(secret.encode(), b"%b.%d.%b" % (key.encode(), timestamp, body))
    return headers | {
        "X-Shoppex-Signature-V2": f"v1,t={timestamp},h={signature}",
        "X-Shoppex-Signature-V2-Algorithm": "HMAC-SHA256",
        "X-Shoppex-Signature": hmac.digest(secret.encode(), body, "sha512").hex(),
        "X-Shoppex-Signature-Algorithm": "HMAC-SHA512",
    }
