"""Every error that the client raises, in one tree.

PurveyError
├── NoAPIKey                      neither `api_key` nor PURVEY_API_KEY is set
├── NoAnswer                      the server could not be reached, or did not answer, however often it was tried
├── UnreadableAnswer              what answered is no Purvey server
└── APIError                      the server said no: `code`, `status`, `detail`, `param`, `request_id`, and more by its code
    ├── AuthenticationError     401  no key, or an unknown or revoked one
    ├── Forbidden               403
    ├── NotFound                404  unknown, or another account's
    ├── Conflict                409  the state of the object is in the way: `current_count`, `max_count`
    │   ├── NotInDraft          409  `current_status`, `required_status`
    │   ├── PublishFailed       409  `actions`, `next`
    │   ├── InvalidTransition   409  `current_status`, `allowed_statuses`
    │   ├── AlreadyFulfilled    409  with other content
    │   └── LockedField         409  `param`
    ├── RequestInProgress       409  a request with this Idempotency-Key is under way
    ├── Gone                    410
    │   ├── CursorExpired       410  the event has fallen off the log: `oldest_event_id`
    │   ├── GrantExpired        410
    │   ├── GrantExhausted      410
    │   └── GrantRevoked        410
    ├── PayloadTooLarge         413
    ├── ValidationError         422  `param` and `errors` name each field
    │   ├── InvalidPrice        422
    │   ├── RefundNotAllowed    422
    │   ├── MissingPayment      422
    │   ├── IdempotencyKeyInvalid 422
    │   └── IdempotencyKeyReuse 422  the key was used for another request
    ├── RateLimited             429  `retry_after` seconds from now
    └── ServerError             5xx  not your fault
        └── Unavailable         503  `retry_after`
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PurveyError(Exception):
    """Anything that the client raises."""


class NoAPIKey(PurveyError):
    """There is no API key to send."""


class NoAnswer(PurveyError):
    """No answer came. A POST or PUT may have been carried out: send it again with the same `idempotency_key`."""


class UnreadableAnswer(PurveyError):
    """The answer is none that a Purvey server gives."""


class APIError(PurveyError):
    """The server refused a request. Members of the problem that only some codes have are attributes too, None where absent."""

    code: str = "error"
    status: int = 0

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code") or self.code)
        self.detail = str(problem.get("detail") or f"The server answered {status}.")
        self.param: str | None = problem.get("param")
        self.request_id: str | None = headers.get("x-request-id")
        self.retry_after: float | None = retry_after(headers, problem)
        super().__init__(self.detail)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "problem":
            raise AttributeError(name)
        return self.problem.get(name)

    def __str__(self) -> str:
        said = f"{self.detail} ({self.code}, {self.status}"
        return said + (f", request {self.request_id})" if self.request_id else ")")


class AuthenticationError(APIError):
    """No API key was sent, or it is unknown or revoked."""

    code = "authentication_error"


class Forbidden(APIError):
    """The caller may not have this."""

    code = "forbidden"


class NotFound(APIError):
    """There is no such object in this account."""

    code = "not_found"


class Conflict(APIError):
    """The state of the object is in the way of what was asked."""

    code = "conflict"


class NotInDraft(Conflict):
    """Only a draft may be changed in this way."""

    code = "not_in_draft"


class PublishFailed(Conflict):
    """The listing cannot be published yet; `actions` says what is missing."""

    code = "publish_failed"


class InvalidTransition(Conflict):
    """The order's state does not allow it; `allowed_statuses` would."""

    code = "invalid_transition"


class AlreadyFulfilled(Conflict):
    """The order was fulfilled with other content before."""

    code = "already_fulfilled"


class LockedField(Conflict):
    """The field was fixed when the listing was published."""

    code = "locked_field"


class RequestInProgress(APIError):
    """A request with the same Idempotency-Key is under way."""

    code = "idempotency_request_in_progress"


class Gone(APIError):
    """It was there and is no more."""

    code = "gone"


class CursorExpired(Gone):
    """The event has fallen off the log, and others that you may not have seen with it. `oldest_event_id` is the oldest there is."""

    code = "cursor_expired"


class GrantExpired(Gone):
    """The grant's time is over."""

    code = "grant_expired"


class GrantExhausted(Gone):
    """The grant's downloads are used up."""

    code = "grant_exhausted"


class GrantRevoked(Gone):
    """Access was withdrawn."""

    code = "grant_revoked"


class PayloadTooLarge(APIError):
    """The body, or the file, is larger than the server takes; `limit` is in bytes."""

    code = "payload_too_large"


class ValidationError(APIError):
    """Something is wrong with what was sent; `errors` has an entry for each field."""

    code = "validation_error"


class InvalidPrice(ValidationError):
    """The price is not a whole, non-negative number of minor units within the currency's limits."""

    code = "invalid_price"


class RefundNotAllowed(ValidationError):
    """The order cannot be refunded, or not by so much."""

    code = "refund_not_allowed"


class MissingPayment(ValidationError):
    """Nothing was paid that could be given back."""

    code = "missing_payment"


class IdempotencyKeyInvalid(ValidationError):
    """The Idempotency-Key is empty or too long."""

    code = "idempotency_key_invalid"


class IdempotencyKeyReuse(ValidationError):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reuse"


class RateLimited(APIError):
    """Too many requests; come again in `retry_after` seconds."""

    code = "rate_limited"


class ServerError(APIError):
    """The server failed, through no fault of yours."""

    code = "internal_error"


class Unavailable(ServerError):
    """The server cannot work at the moment; nothing is half done."""

    code = "unavailable"


def _below(kind: type[APIError]) -> list[type[APIError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]


class _Kinds:
    by_code: ClassVar[dict[str, type[APIError]]] = {kind.code: kind for kind in _below(APIError)}
    by_status: ClassVar[dict[int, type[APIError]]] = {
        401: AuthenticationError,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: Gone,
        413: PayloadTooLarge,
        422: ValidationError,
        429: RateLimited,
        503: Unavailable,
    }


def error_of(status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> APIError:
    """Return the error that an answer stands for: by its code, else by its status."""
    fallback = _Kinds.by_status.get(status, ServerError if status >= 500 else APIError)
    return _Kinds.by_code.get(str(problem.get("code")), fallback)(status, problem, headers)


def retry_after(headers: Mapping[str, str], problem: Mapping[str, Any]) -> float | None:
    """Return the seconds that the server asks to wait, if it does."""
    said = headers.get("retry-after", problem.get("retry_after"))
    try:
        return max(0.0, float(said)) if said is not None else None
    except (TypeError, ValueError):
        return None
