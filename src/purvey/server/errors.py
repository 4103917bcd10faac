"""Every error that leaves the server, in one tree.

ProblemError
├── BadSignature            400  bad_signature: a notice that its provider did not sign
├── AuthenticationError     401  no key, or an unknown or revoked one
├── CardDeclined            402  card_declined: another card may be tried
├── Forbidden               403  forbidden: for others, or from elsewhere
├── NotFound                404  unknown, or another account's
├── MethodNotAllowed        405  the route has other methods
├── Conflict                409  conflict: the object is in the way of what was asked
│   ├── NotInDraft          409  not_in_draft: only a draft may be changed so
│   ├── PublishFailed       409  publish_failed: `actions` says what is missing
│   ├── InvalidTransition   409  invalid_transition: the order's state does not allow it
│   ├── AlreadyFulfilled    409  already_fulfilled: with other content
│   └── LockedField         409  locked_field: fixed since the listing was published, or changed elsewhere
├── IdempotencyRequestInProgress  409  idempotency_request_in_progress: its answer comes in a moment
├── Gone                    410
│   ├── CursorExpired       410  cursor_expired: the event was let go; `oldest_event_id` is the oldest there is
│   ├── GrantExpired        410  grant_expired: 48 hours are over
│   ├── GrantExhausted      410  grant_exhausted: all downloads are used up
│   └── GrantRevoked        410  grant_revoked: refunded, or withdrawn by the seller
├── PreconditionFailed      412  precondition_failed: If-Match names another version than the one there is
├── PayloadTooLarge         413
├── RangeNotSatisfiable     416  range_not_satisfiable: the part that was asked for lies beyond the end
├── ValidationError         422  validation_error: `param` and `errors[]` name each field
│   └── InvalidPrice        422  invalid_price
├── RefundNotAllowed        422  refund_not_allowed: free, refunded, or more than is left
├── MissingPayment          422  missing_payment: nobody here can reach the payment
├── IdempotencyKeyInvalid   422  idempotency_key_invalid: empty, or too long
├── IdempotencyKeyReuse     422  idempotency_key_reuse: for another request
├── RateLimited             429  rate_limited: `retry_after` seconds from now
├── Unavailable             503  the database is away
└── InternalError           500  ours to mend
"""

from purvey.server.kit.problem import (
    FieldError,
    IdempotencyKeyInvalid,
    IdempotencyKeyReuse,
    IdempotencyRequestInProgress,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ProblemError,
    RateLimited,
    Unavailable,
    ValidationError,
    invalid,
)

__all__ = [
    "AlreadyFulfilled",
    "AuthenticationError",
    "BadSignature",
    "CardDeclined",
    "Conflict",
    "CursorExpired",
    "FieldError",
    "Forbidden",
    "Gone",
    "GrantExhausted",
    "GrantExpired",
    "GrantRevoked",
    "IdempotencyKeyInvalid",
    "IdempotencyKeyReuse",
    "IdempotencyRequestInProgress",
    "InternalError",
    "InvalidPrice",
    "InvalidTransition",
    "LockedField",
    "MethodNotAllowed",
    "MissingPayment",
    "NotFound",
    "NotInDraft",
    "PayloadTooLarge",
    "PreconditionFailed",
    "ProblemError",
    "PublishFailed",
    "RangeNotSatisfiable",
    "RateLimited",
    "RefundNotAllowed",
    "Unavailable",
    "ValidationError",
    "invalid",
    "sold_out",
    "unknown",
]


class AuthenticationError(ProblemError):
    """No API key was sent, or it is unknown or revoked."""

    code, status = "authentication_error", 401


class BadSignature(ProblemError):
    """A payment notice was not signed by the provider that it claims to come from, or too long ago."""

    code, status = "bad_signature", 400


class CardDeclined(ProblemError):
    """The card was declined; another one may be tried."""

    code, status = "card_declined", 402


class Forbidden(ProblemError):
    """The caller may not have this; it is for others, or for who asks from elsewhere."""

    code, status = "forbidden", 403


class Conflict(ProblemError):
    """The state of the object is in the way of what was asked."""

    code, status = "conflict", 409


class NotInDraft(Conflict):
    """Only a draft may be changed in this way."""

    code = "not_in_draft"


class PublishFailed(Conflict):
    """The listing cannot be published yet; `actions` lists what is missing, `next` is the first of them."""

    code = "publish_failed"


class InvalidTransition(Conflict):
    """The order's state does not allow the transition; `allowed_statuses` would."""

    code = "invalid_transition"


class AlreadyFulfilled(Conflict):
    """The order was fulfilled with other content before."""

    code = "already_fulfilled"


class LockedField(Conflict):
    """The field was fixed when the listing was published, or belongs to another object and is changed there."""

    code = "locked_field"


class Gone(ProblemError):
    """It was there and is no more."""

    code, status = "gone", 410


class CursorExpired(Gone):
    """The event was let go, being too old, and others with it that may not have been seen; `oldest_event_id` is the oldest left."""

    code = "cursor_expired"


class GrantExpired(Gone):
    """The grant's time is over (FU-11)."""

    code = "grant_expired"


class GrantExhausted(Gone):
    """The grant's downloads are used up (FU-11)."""

    code = "grant_exhausted"


class GrantRevoked(Gone):
    """Access was withdrawn: by a refund, a lost dispute, or the seller."""

    code = "grant_revoked"


class PreconditionFailed(ProblemError):
    """The header If-Match names another version of the file than the one there is."""

    code, status = "precondition_failed", 412


class RangeNotSatisfiable(ProblemError):
    """The part of the file that was asked for lies beyond its end; `Content-Range` says how many bytes it has."""

    code, status = "range_not_satisfiable", 416


class InvalidPrice(ValidationError):
    """The price is not a whole, non-negative number of minor units within the currency's limits."""

    code = "invalid_price"


def sold_out(name: str) -> Conflict:
    """Return the error for a listing of which none is left."""
    return Conflict(f"{name} is sold out.", current_count=0)


class RefundNotAllowed(ProblemError):
    """There is nothing to give back, less than was asked for, or the provider will not; `refundable_amount` says what is left."""

    code, status = "refund_not_allowed", 422


class MissingPayment(ProblemError):
    """The order's payment is with a provider that is not in use here any more."""

    code, status = "missing_payment", 422


LONGEST_SHOWN = 100
"""Characters of an unknown id that are repeated; what was sent instead of one may be of any length."""


def unknown(noun: str, object_id: str) -> NotFound:
    """Return the error for an id that this account cannot see, whether it exists elsewhere or not."""
    shown = object_id if len(object_id) <= LONGEST_SHOWN else f"{object_id[:LONGEST_SHOWN]}..."
    return NotFound(f"No {noun} with the id {shown!r}.")
