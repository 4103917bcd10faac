"""Who may open what, and until when. Pure; access is a function of the money and the grant, derived anew at each look."""

import re
import unicodedata
from datetime import datetime, timedelta
from urllib.parse import quote

from purvey.server.access.model import Door, Grant, NewGrant
from purvey.server.orders.model import Order, PaymentStatus, Status

PURPOSE = "download"
"""What a download link is signed for."""


_NOT_PLAIN = re.compile(r"[^ !#$&+.0-9A-Z^_`a-z{|}~()@,;=\[\]-]")
"""What no quoted file name holds: control characters, quotes, and what some browsers take apart (%, \\, /, :, *, ?, <, >)."""
_ATTR_CHARS = "!#$&+.^_`|~-"
"""What stands in an extended parameter as it is, beside letters and digits (RFC 8187, section 3.2.1)."""


def new_grant(order: Order, grant_id: str, now: datetime) -> NewGrant:
    """Return the grant of a fulfilled `order`: its hours and downloads count from `now` (FU-11)."""
    return NewGrant(
        account_id=order.account_id,
        id=grant_id,
        order_id=order.id,
        max_downloads=order.grant_downloads,
        expires_at=now + timedelta(hours=order.grant_after),
    )


def is_withdrawn(order: Order) -> bool:
    """Return whether the money of `order` is gone: then nothing of it ever opens again."""
    return order.payment_status is PaymentStatus.REFUNDED or order.dispute_status == "lost"


def is_barred(order: Order) -> bool:
    """Return whether nothing of `order` opens, whatever its grant says. The SQL function `orders_withdrawn` says the same."""
    return is_withdrawn(order) or order.held_at is not None


def look(order: Order, grant: Grant | None, now: datetime) -> Door:
    """Return what the link of `order` shows at `now`. `grant` is its live grant, if there is one."""
    if is_withdrawn(order):
        return Door.REVOKED
    if order.status is Status.HANDED_OFF:
        return Door.HANDED_OFF
    if order.held_at is not None:
        return Door.HELD
    return _granted(grant, now) if order.status is Status.FULFILLED else Door.WAITING


def _granted(grant: Grant | None, now: datetime) -> Door:
    if grant is None:
        return Door.REVOKED
    if now >= grant.expires_at:
        return Door.EXPIRED
    return Door.EXHAUSTED if grant.downloads >= grant.max_downloads else Door.OPEN


def link_message(grant_id: str, deliverable_id: str, expires: int) -> str:
    """Return what the signature of a download link covers; `expires` is in seconds since 1970."""
    return f"{grant_id}/{deliverable_id}/{expires}"


def disposition(filename: str) -> str:
    """Return the Content-Disposition that has a browser save what it gets, under this name (RFC 6266, RFC 8187).

    The first form is for programs that know no other: ASCII, with nothing in it that one of them might trip over.
    """
    ascii_name = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    plain = _NOT_PLAIN.sub("_", ascii_name).strip(". ") or "file"
    first = f'attachment; filename="{plain}"'
    return first if plain == filename else f"{first}; filename*=UTF-8''{quote(filename, safe=_ATTR_CHARS)}"
