"""Problem details (RFC 9457): the one shape in which an error leaves the server."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar, TypedDict

import msgspec

CONTENT_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An error that a caller can read and act on.

    A subclass fixes `code` (stable, for programs) and `status` (HTTP). An instance says what happened in `detail`,
    names the field at fault in `param`, and carries extension members such as `allowed_statuses`.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, param: str | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the problem object, ready to be encoded."""
        return {
            "type": f"/docs/errors#{self.code.replace('_', '-')}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "param": self.param,
            **self.members,
        }

    def encode(self) -> bytes:
        """Return the problem object as JSON bytes."""
        return msgspec.json.encode(self.document())


class FieldError(TypedDict):
    """One entry of `errors[]`: where (`loc`), what was wrong (`msg`), and its kind (`type`)."""

    loc: list[str | int]
    msg: str
    type: str


class NotFound(ProblemError):
    """The object does not exist, or belongs to another account, which is told apart by nobody."""

    code, status = "not_found", 404


class MethodNotAllowed(ProblemError):
    """The route is there, but not for this method; the header `Allow` lists those that it has."""

    code, status = "method_not_allowed", 405


class PayloadTooLarge(ProblemError):
    """The request body is over the route's limit."""

    code, status = "payload_too_large", 413


class ValidationError(ProblemError):
    """The request is well-formed and means nothing valid; `errors[]` has an entry for each field at fault."""

    code, status = "validation_error", 422


def invalid(errors: Sequence[FieldError]) -> ValidationError:
    """Return the error for a request with `errors` (at least one); the first one gives `param` and `detail`."""
    first = errors[0]
    param = ".".join(str(part) for part in first["loc"])
    return ValidationError(f"{param}: {first['msg']}", param=param, errors=list(errors))


class IdempotencyKeyInvalid(ProblemError):
    """The header `Idempotency-Key` is empty or longer than 255 characters."""

    code, status = "idempotency_key_invalid", 422


class IdempotencyKeyReuse(ProblemError):
    """The `Idempotency-Key` was used for a request with another body or query within 24 hours."""

    code, status = "idempotency_key_reuse", 422


class IdempotencyRequestInProgress(ProblemError):
    """A request with this `Idempotency-Key` is under way; its answer can be had in a moment."""

    code, status = "idempotency_request_in_progress", 409


class RateLimited(ProblemError):
    """Too many requests within a minute; `retry_after` (and the header `Retry-After`) says in how many seconds to come again."""

    code, status = "rate_limited", 429


class InternalError(ProblemError):
    """Something failed that the caller cannot mend. The details are in the log, never in the answer."""

    code = "internal_error"
    status = 500


class Unavailable(ProblemError):
    """The database cannot be reached, or ended the connection in mid-air. Nothing was half done; try again."""

    code = "unavailable"
    status = 503
