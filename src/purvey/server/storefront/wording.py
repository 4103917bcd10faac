"""The sentences that depend on a state: a title and what it means for the buyer."""

from collections.abc import Mapping, Sequence

from purvey.server.orders.model import ContentType
from purvey.server.storefront.views import FieldType, GoneReason, PurchaseState

TEST_CARDS: Sequence[tuple[str, str]] = (
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 0259", "pays, and is disputed five seconds later"),
)


def terms(content_type: ContentType, hours: int, downloads: int) -> str | None:
    """Return what a buyer is told before paying about how long the content opens; None where the seller delivers by other means."""
    if content_type == "webhook":
        return None
    times = "once" if downloads == 1 else f"{downloads} times"
    return (
        f"It opens for {hours} {'hour' if hours == 1 else 'hours'} from its delivery or {times}, whichever ends first; then a "
        "fresh link is mailed on request, up to three times. A full refund ends the access."
    )


MISSING: Mapping[FieldType, str] = {
    "text": "Fill this in.",
    "email": "Give an e-mail address.",
    "date": "Give a date.",
    "number": "Give a number.",
    "select": "Choose one of these.",
    "checkbox": "Tick this to go on.",
}
"""What to do with a question that needs an answer and has none."""

GONE: Mapping[GoneReason, tuple[str, str]] = {
    "expired": (
        "This link has expired",
        "The time to open what you bought is over.",
    ),
    "exhausted": (
        "This link is used up",
        "What you bought has been opened as often as this link allows.",
    ),
    "held": (
        "This order is on hold",
        "The seller is looking at the payment for it. Until that is done, what you bought does not open.",
    ),
    "revoked": (
        "This link no longer works",
        "The seller has withdrawn access to what you bought.",
    ),
    "refunded": (
        "This order was refunded",
        "Your money was paid back, so what you bought can no longer be opened.",
    ),
    "disputed": (
        "The payment for this order was taken back",
        "Your bank returned the payment to you after a dispute, so what you bought can no longer be opened.",
    ),
}

PURCHASE_STATES: Mapping[PurchaseState, tuple[str, str]] = {
    "ready": ("good", "Ready"),
    "waiting": ("note", "Being prepared"),
    "late": ("bad", "Late, and being prepared"),
    "handed_off": ("note", "Delivered by the seller"),
    "expired": ("note", "Link expired"),
    "exhausted": ("note", "Link used up"),
    "held": ("note", "On hold"),
    "revoked": ("bad", "Withdrawn"),
    "refunded": ("bad", "Refunded"),
}
"""How a purchase in the library stands: its tone, and a word or two."""
DISPUTES: Mapping[str | None, str] = {
    None: "The payment is not disputed.",
    "needs_response": "The payment is disputed, and the seller is to answer.",
    "under_review": "The payment is disputed, and the bank has the seller's evidence.",
    "won": "The dispute was decided for the seller: the payment stands.",
    "lost": "The dispute was decided for the buyer: the money has gone back.",
}
"""How a dispute stands, as the sandbox tells it."""

ERRORS: Mapping[int, tuple[str, str]] = {
    404: (
        "Page not found",
        "There is nothing at this address. Check that the link is complete: mail programs sometimes break long ones.",
    ),
    405: ("That does not work here", "This page cannot be used in that way. Go back and try again from there."),
    410: ("No longer here", "What was at this address is gone."),
    413: ("Too much at once", "What you sent is larger than this page takes. Shorten it and try again."),
    422: ("That did not work", "Something in what you sent was not understood. Go back, check it, and try again."),
    429: ("Too many tries", "This page was asked for very often in a short time. Wait a minute, then try again."),
    500: (
        "Something went wrong on our side",
        "We have made a note of it. If you have just paid, do not pay again: a payment that went through is not lost.",
    ),
    503: (
        "Back in a moment",
        "The shop cannot be reached just now. If you have just paid, do not pay again: wait a minute and reload this page.",
    ),
}
