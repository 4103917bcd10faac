"""Checking that a webhook came from your server, unchanged and just now.

    from purvey import webhooks

    event = webhooks.verify(raw_body, request.headers, secret)    # the raw bytes, before anything parses them

SignatureError
├── MissingHeader       there is no signature, or not all of the headers that belong to it
├── MalformedHeader     a header that is there makes no sense; often a prefix that is missing or too much
├── WrongTime           signed too long ago, or in the future: a replayed webhook, or a clock that is wrong
└── WrongSignature      the signature is of another body or another secret
    └── ChangedBody     the body looks parsed and written anew, which changes its bytes
"""

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence

from purvey.client.errors import PurveyError
from purvey.client.objects import Event
from purvey.signing import standard_key

TOLERANCE = 300.0
"""Seconds by which the time of a signature may differ from ours, either way (Standard Webhooks)."""

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""The headers of a request, as frameworks have them."""

_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
_OWN = "x-listbee-signature"
_HEX = re.compile(r"[0-9a-f]{64}")
_TIMESTAMPED = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class SignatureError(PurveyError):
    """A webhook is not to be believed; the message says why."""


class MissingHeader(SignatureError):
    """A header is missing that says who signed."""


class MalformedHeader(SignatureError):
    """A header makes no sense."""


class WrongTime(SignatureError):
    """It was not signed just now."""


class WrongSignature(SignatureError):
    """It was signed with another secret, or is not what was signed."""


class ChangedBody(WrongSignature):
    """It is not, byte for byte, what was signed: it looks parsed and written anew."""


def verify(
    body: bytes,
    headers: Headers,
    secret: str | Sequence[str],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> Event:
    """Return the event that a webhook brings, or raise SignatureError with the reason.

    `body` is what came over the wire, in bytes. `headers` may be a mapping, or pairs, as an ASGI server hands them on. Both kinds
    are understood, webhook-signature (Standard Webhooks) and X-ListBee-Signature, plain and timestamped; where both are there,
    the former counts, because it says when. `secret` is the listing's or the endpoint's; of several, one must fit. `now` is in
    Unix time (default: this machine's clock).
    """
    body, secrets = raw(body), listed(secret)
    found = lowered(headers)
    clock = time.time() if now is None else now
    if any(name in found for name in _STANDARD):
        _check_standard(body, found, secrets, clock, tolerance)
    elif _OWN in found:
        _check_own(body, found[_OWN], secrets, clock, tolerance)
    else:
        raise MissingHeader(
            "There is neither webhook-signature nor X-ListBee-Signature: whoever sent this did not sign it."
        )
    return _event(body)


def raw(body: bytes) -> bytes:
    """Return the body; raise TypeError where it was parsed or decoded already."""
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(
            f"`body` must be the raw bytes of the request, not {type(body).__name__}: parsed and written anew it differs."
        )
    return bytes(body)


def listed(secret: str | Sequence[str]) -> list[str]:
    """Return the secrets, of which one must fit; raise ValueError where there is none."""
    secrets = [secret] if isinstance(secret, str) else list(secret or ())
    if not secrets or not all(secrets):
        raise ValueError("There is no secret to check with.")
    return secrets


def lowered(headers: Headers) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {_text(name).lower(): _text(value).strip() for name, value in pairs}


def _text(part: str | bytes) -> str:
    if not isinstance(part, str | bytes):
        raise TypeError(f"A header's name and value are texts or bytes, not {type(part).__name__}.")
    return part if isinstance(part, str) else part.decode("latin-1")


def _check_standard(
    body: bytes, found: Mapping[str, str], secrets: Sequence[str], clock: float, tolerance: float
) -> None:
    missing = [name for name in _STANDARD if not found.get(name)]
    if missing:
        raise MissingHeader(f"The header {missing[0]} is missing; a proxy in between may drop it.")
    timestamp = found["webhook-timestamp"]
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        raise MalformedHeader(f"webhook-timestamp must be Unix seconds, not {timestamp!r}.")
    signatures = [_decoded(one) for one in found["webhook-signature"].split()]
    given = [one for one in signatures if one is not None]
    if not given:
        raise MalformedHeader(
            "webhook-signature has no signature of version 1: each begins with `v1,` and goes on in base64."
        )
    check_time(int(timestamp), clock, tolerance)
    message = b"%b.%b.%b" % (found["webhook-id"].encode(), timestamp.encode(), body)
    made = [hmac.digest(standard_key(secret), message, "sha256") for secret in secrets]
    if not any_equal(given, made):
        raise _why_not(body, secrets)


def _decoded(signature: str) -> bytes | None:
    version, comma, encoded = signature.partition(",")
    if version != "v1" or not comma:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None


def _check_own(body: bytes, header: str, secrets: Sequence[str], clock: float, tolerance: float) -> None:
    message = body
    if timestamped := _TIMESTAMPED.fullmatch(header):
        check_time(int(timestamped[1]), clock, tolerance)
        message, header = b"%b.%b" % (timestamped[1].encode(), body), timestamped[2]
    elif not _HEX.fullmatch(header):
        raise MalformedHeader(
            "X-ListBee-Signature must be 64 lower-case hex digits, or `t=<seconds>,v1=<64 hex digits>`; "
            "without a prefix such as `sha256=`."
        )
    made = [hmac.digest(secret.encode(), message, "sha256") for secret in secrets]
    if not any_equal([bytes.fromhex(header)], made):
        raise _why_not(body, secrets)


def any_equal(given: Sequence[bytes], made: Sequence[bytes]) -> bool:
    """Compare all with all, so that the time it takes tells nothing."""
    return any([hmac.compare_digest(one, other) for one in given for other in made])  # noqa: C419  # all of them


def check_time(timestamp: int, clock: float, tolerance: float) -> None:
    """Raise WrongTime for what was not signed just now."""
    late = clock - timestamp
    if abs(late) > tolerance:
        side = "ago" if late > 0 else "in the future"
        raise WrongTime(
            f"It was signed {abs(late):.0f} seconds {side}, and {tolerance:.0f} are allowed: it is an old one sent again, "
            "or the clock of this machine or of the server is wrong."
        )


def _why_not(body: bytes, secrets: Sequence[str]) -> WrongSignature:
    """Return the error that names the likely reason."""
    if looks_rewritten(body):
        return ChangedBody(
            "The signature fits another body: this one has spaces or escapes that the server does not write, so it was parsed and "
            "written anew on the way. Check the raw bytes of the request, before any framework decodes them."
        )
    if not all(secret.startswith("whsec_") for secret in secrets):
        hint = "; a secret that the server has made begins with `whsec_`"
    else:
        hint = ""
    return WrongSignature(
        f"The signature does not fit. Is this the secret of the listing or endpoint that sent it, and not rotated since{hint}? "
        "Is the body what came, byte for byte?"
    )


def looks_rewritten(body: bytes) -> bool:
    """Return whether the body is JSON, but not in the compact form that the server writes."""
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() != body


def _event(body: bytes) -> Event:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise SignatureError("It is signed, but is no JSON.") from error
    if not isinstance(document, dict):
        raise SignatureError("It is signed, but is no event.")
    return Event(document)
