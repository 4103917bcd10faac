"""The dynamic callback as its receiver sees it: checking that it came from your server, unchanged and just now.

    from purvey import callbacks

    order = callbacks.verify(raw_body, request.headers, secret)   # the raw bytes, before anything parses them

`order.key` is the same however often the order's call is made: **answer a key that you know as you did before**, instead of making
the goods twice. The errors are those of `purvey.webhooks`.
"""

import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from purvey.webhooks import (
    TOLERANCE,
    ChangedBody,
    Headers,
    MalformedHeader,
    MissingHeader,
    SignatureError,
    WrongSignature,
    any_equal,
    check_time,
    listed,
    looks_rewritten,
    lowered,
    raw,
)

_KEY = "x-shoppex-delivery-id"
_KEY_AGAIN = "x-shoppex-idempotency-key"
_TIMESTAMP = "x-shoppex-timestamp"
_SIGNATURE = "x-shoppex-signature-v2"
_V2 = re.compile(r"v1,t=([0-9]{1,12}),h=([0-9a-f]{64})")
_SAMPLE = "ord_test_"


@dataclass(frozen=True, kw_only=True)
class DynamicOrder:
    """A paid order, as the dynamic callback tells of it.

    `key` is to be answered the same each time. `total` is what was paid, in units of `currency` (dollars, not cents). `paid_at` is
    RFC 3339 in UTC. `body` is everything that was sent.
    """

    key: str
    id: str
    listing_id: str
    account_id: str
    title: str
    buyer_email: str
    quantity: int
    total: Decimal
    currency: str
    checkout_data: dict[str, Any]
    metadata: dict[str, str]
    paid_at: str
    body: Mapping[str, Any]

    @property
    def is_test(self) -> bool:
        """Whether nobody bought it: a seller has asked for a test of the callback."""
        return self.id.startswith(_SAMPLE)


def verify(
    body: bytes,
    headers: Headers,
    secret: str | Sequence[str],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> DynamicOrder:
    """Return the order that a callback is for, or raise SignatureError with the reason.

    `body` is what came over the wire, in bytes; the header that counts is X-Shoppex-Signature-V2. `secret` is the listing's
    dynamic_webhook_secret; of several, one must fit. `now` is in Unix time (default: this machine's clock).
    """
    body, secrets = raw(body), listed(secret)
    found = lowered(headers)
    key, timestamp, digest = _told(found)
    check_time(timestamp, time.time() if now is None else now, tolerance)
    message = b"%b.%d.%b" % (key.encode(), timestamp, body)
    if not any_equal([bytes.fromhex(digest)], [hmac.digest(one.encode(), message, "sha256") for one in secrets]):
        raise _why_not(body)
    return _order(key, body)


def _told(found: Mapping[str, str]) -> tuple[str, int, str]:
    """Return the key, the time and the digest that the headers have."""
    missing = [name for name in (_SIGNATURE, _KEY, _TIMESTAMP) if not found.get(name)]
    if len(missing) == 3:
        raise MissingHeader("There is no X-Shoppex-Signature-V2: whoever sent this did not sign it.")
    if missing:
        raise MissingHeader(f"The header {missing[0]} is missing; a proxy in between may drop it.")
    match = _V2.fullmatch(found[_SIGNATURE])
    if match is None:
        raise MalformedHeader("X-Shoppex-Signature-V2 must be `v1,t=<seconds>,h=<64 lower-case hex digits>`.")
    if match[1] != found[_TIMESTAMP]:
        raise MalformedHeader("X-Shoppex-Timestamp is not the time in X-Shoppex-Signature-V2: somebody has changed it.")
    if found.get(_KEY_AGAIN, found[_KEY]) != found[_KEY]:
        raise MalformedHeader("X-Shoppex-Idempotency-Key is not the X-Shoppex-Delivery-Id that was signed.")
    return found[_KEY], int(match[1]), match[2]


def _why_not(body: bytes) -> WrongSignature:
    """Return the error that names the likely reason."""
    if looks_rewritten(body):
        return ChangedBody(
            "The signature fits another body: this one has spaces or escapes that the server does not write, so it was parsed and "
            "written anew on the way. Check the raw bytes of the request, before any framework decodes them."
        )
    return WrongSignature(
        "The signature does not fit. Is this the dynamic_webhook_secret of the listing (not its signing_secret), and not rotated "
        "since? Is the body what came, byte for byte?"
    )


def _order(key: str, body: bytes) -> DynamicOrder:
    try:
        told = json.loads(body)
        return DynamicOrder(
            key=key,
            id=told["invoice_id"],
            listing_id=told["product_id"],
            account_id=told["shop_id"],
            title=told["product_title"],
            buyer_email=told["customer_email"],
            quantity=told["quantity"],
            total=Decimal(told["invoice"]["total"]),
            currency=told["invoice"]["currency"],
            checkout_data=told["custom_fields"],
            metadata=told["line_item"]["metadata"],
            paid_at=told["invoice"]["updated_at"],
            body=told,
        )
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise SignatureError("It is signed, but is no dynamic callback.") from error
