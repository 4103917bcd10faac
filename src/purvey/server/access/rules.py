"""Who may open what, and until when. Pure; access is a function of the money and the grant, derived anew at each look."""

from datetime import datetime, timedelta

from purvey.server.access.model import Door, Grant, NewGrant
from purvey.server.orders.model import Order, PaymentStatus, Status

PURPOSE = "download"
"""What a download link is signed for."""


def new_grant(order: Order, grant_id: str, now: datetime) -> NewGrant:
    """Return the grant of a fulfilled `order`: its hours and downloads count from `now` (FU-11)."""
    return NewGrant(
        account_id=order.account_id,
        id=grant_id,
        order_id=order.id,
        max_downloads=order.grant_downloads,
        expires_at=now + timedelta(hours=order.grant_after),
    )


def look(order: Order, grant: Grant | None, now: datetime) -> Door:
    """Return what the link of `order` shows at `now`. `grant` is its live grant, if there is one."""
    if order.payment_status is PaymentStatus.REFUNDED or order.dispute_status == "lost":
        return Door.REVOKED
    if order.status is Status.HANDED_OFF:
        return Door.HANDED_OFF
    if order.status is not Status.FULFILLED:
        return Door.WAITING
    if grant is None:
        return Door.REVOKED
    if now >= grant.expires_at:
        return Door.EXPIRED
    return Door.EXHAUSTED if grant.downloads >= grant.max_downloads else Door.OPEN


def link_message(grant_id: str, deliverable_id: str, expires: int) -> str:
    """Return what the signature of a download link covers; `expires` is in seconds since 1970."""
    return f"{grant_id}/{deliverable_id}/{expires}"
