"""How an exception becomes an answer: always problem details (RFC 9457), never a stack trace."""

from collections.abc import Callable
from typing import Any

import structlog
from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from litestar.typing import FieldDefinition

from purvey.server.kit.database import UNDONE
from purvey.server.kit.problem import (
    CONTENT_TYPE,
    FieldError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ProblemError,
    Unavailable,
    ValidationError,
    invalid,
)
from purvey.server.kit.web import body
from purvey.server.kit.web.faults import sentence
from purvey.server.kit.web.record import is_head, is_options, request_id

log = structlog.get_logger()
AnyRequest = Request[Any, Any, Any]


JSON, HTML = "application/json", "text/html"
Explained = tuple[ProblemError, dict[str, str]]
Explain = Callable[[AnyRequest, Any], Explained]
"""Turns an exception into a problem, and headers that its answer needs."""
Page = Callable[[ProblemError, str], Response[str]]
"""Shows a problem to a person, given the request's id."""


def handlers(page: Page | None = None) -> ExceptionHandlersMap:
    """Return the handlers for our own errors, the framework's, and everything else.

    Whoever prefers HTML, as browsers do, gets the problem as a `page`, if there is one; programs get problem details.
    """
    kinds: dict[type[Exception], Explain] = {
        ProblemError: _problem,
        HTTPException: _http,
        **dict.fromkeys(UNDONE, _undone),
        Exception: _unforeseen,
    }
    return {kind: _for_whoever_asks(explain, page) for kind, explain in kinds.items()}


def _for_whoever_asks(explain: Explain, page: Page | None) -> Callable[[AnyRequest, Any], Response[Any]]:
    def handle(request: AnyRequest, error: Exception) -> Response[Any]:
        problem, headers = explain(request, error)
        if is_options(request.scope) and problem.status == 405:
            return Response(b"", status_code=204, headers=headers)
        if page is None or preferred(request, JSON, HTML) != HTML:
            return answer(problem, headers)
        shown = page(problem, request_id(request.scope))
        shown.headers.update(headers)
        return shown

    return handle


def preferred(request: AnyRequest, *kinds: str) -> str | None:
    """Return which of the media types the client would rather have; None if it wants none of them, or says nonsense."""
    try:
        return request.accept.best_match(list(kinds))
    except (ValueError, OverflowError):
        return None


def answer(problem: ProblemError, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return the response that carries `problem`, with the headers that its status asks for."""
    headers = dict(headers or {})
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if (retry_after := problem.members.get("retry_after")) is not None:
        headers["Retry-After"] = str(retry_after)
    return Response(problem.encode(), status_code=problem.status, headers=headers, media_type=CONTENT_TYPE)


def _problem(_: AnyRequest, error: ProblemError) -> Explained:
    if error.status >= 500:
        log.error("request.failed", code=error.code, reason=error.detail)
    return error, {}


def _http(request: AnyRequest, error: HTTPException) -> Explained:
    if error.status_code == 405:
        return _method_not_allowed(request, error)
    return _translated(request, error), {}


def _undone(request: AnyRequest, error: Exception) -> Explained:
    """Two changes were in each other's way, and PostgreSQL undid this one. With an Idempotency-Key it was run again by itself."""
    log.warning("request.undone", request_id=request_id(request.scope), error=type(error).__name__)
    return Unavailable("Another change was in the way, so nothing was done; try again.", retry_after=1), {}


def _unforeseen(request: AnyRequest, error: Exception) -> Explained:
    log.error("request.broke", request_id=request_id(request.scope), exc_info=error)
    return _internal(request), {}


def _internal(request: AnyRequest) -> InternalError:
    return InternalError(
        f"This failed here, through no fault of yours. It is in the log as {request_id(request.scope)}."
    )


def _method_not_allowed(request: AnyRequest, error: HTTPException) -> Explained:
    methods = {method.strip() for method in (error.headers or {}).get("allow", "").split(",") if method.strip()}
    methods.add("OPTIONS")
    if "GET" in methods:
        methods.add("HEAD")
    allow = ", ".join(sorted(methods))
    return MethodNotAllowed(f"{_asked(request)} is not possible here, only {allow}."), {"Allow": allow}


def _asked(request: AnyRequest) -> str:
    return "HEAD" if is_head(request.scope) else request.method


def _translated(request: AnyRequest, error: HTTPException) -> ProblemError:
    match error.status_code:
        case 404:
            return NotFound("There is nothing at this address.")
        case 413:
            limit = request.route_handler.resolve_request_max_body_size()
            return PayloadTooLarge(
                f"The body has more than {limit} bytes, which is the most that is taken here.", limit=limit
            )
        case 400:
            return _bad_request(request, error)
        case 503:
            return Unavailable("The server is busy; try again in a moment.", retry_after=1)
        case _:
            log.error("request.broke", request_id=request_id(request.scope), exc_info=error)
            return _internal(request)


def _bad_request(request: AnyRequest, error: HTTPException) -> ProblemError:
    entries = error.extra if isinstance(error.extra, list) else []
    if any(entry.get("source") == "body" for entry in entries):
        return body.missing(body.JsonBody.types.get(request.route_handler.handler_id, Any))
    parameters = request.route_handler.parsed_fn_signature.parameters
    found = [_parameter_fault(entry, parameters.get(entry["key"])) for entry in entries if entry.get("key")]
    unplaced = FieldError(loc=[], msg=f"{error.detail}.", type="request")
    return invalid(found) if found else ValidationError(unplaced["msg"], errors=[unplaced])


def _parameter_fault(entry: dict[str, Any], field: FieldDefinition | None) -> FieldError:
    kind = entry.get("source", ParamType.QUERY)
    said = sentence(entry["message"], field.annotation if field else None)
    return FieldError(loc=[entry["key"]], msg=said, type=f"{getattr(kind, 'value', kind)}_parameter")
