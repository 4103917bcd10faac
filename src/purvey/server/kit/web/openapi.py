"""OpenAPI 3.1 from the code: what Litestar describes, put right where this application answers differently."""

from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

import purvey
from purvey.server.kit.problem import CONTENT_TYPE, NotFound
from purvey.server.kit.web.answers import Problem
from purvey.server.kit.web.body import JsonBody

DESCRIPTION = """\
Sell digital goods and get them to the buyer. JSON over HTTP; times are RFC 3339 in UTC; money is a whole number of minor
units with an upper-case ISO 4217 code. Send `Authorization: Bearer lb_...`. Errors are problem details (RFC 9457), listed at
/docs/errors; programs branch on `code`."""

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]
"""What a route that needs an API key declares as its `security`."""

_EVERYWHERE = {
    "422": "The request means nothing valid; `errors` names each field at fault.",
    "500": "Something failed on the server's side; the log has it under the request id.",
    "503": "The database is away for a moment; try again.",
}
_WITH_BODY = {"413": "The body is larger than what is taken here; `limit` says how many bytes that is."}
_WITH_KEY = {"401": "The API key is missing, unknown or revoked."}
_COUNTED = {"429": "Too many requests within a minute; `retry_after` says when to come again."}
_WITH_IDEMPOTENCY_KEY = {"409": "idempotency_request_in_progress: a request with this key is under way."}
_PLAIN = {"200": "OK", "201": "Made", "202": "Accepted", "204": "Done; no body"}
_REFERENCE = "#/components/schemas/{name}"


def problems(**by_status: str) -> dict[int, ResponseSpec]:
    """Describe a route's errors: `responses=problems(_404="No such listing.")`. 422, 500 and 503 are added everywhere."""
    return {
        int(status.lstrip("_")): ResponseSpec(
            Problem, description=what, media_type=CONTENT_TYPE, generate_examples=False
        )
        for status, what in by_status.items()
    }


def config() -> OpenAPIConfig:
    """Return Litestar's configuration. Its own pages load from a CDN; they are shut, and `document` is served instead."""
    return OpenAPIConfig(
        title="Purvey",
        version=purvey.__version__,
        description=DESCRIPTION,
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="An API key of a seller, `lb_...`.")
            }
        ),
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        openapi_router=Router("/openapi", route_handlers=[], include_in_schema=False, before_request=_shut),
        render_plugins=[JsonRenderPlugin()],
    )


def document(app: Litestar) -> dict[str, Any]:
    """Return the OpenAPI document of `app`."""
    described: dict[str, Any] = app.openapi_schema.to_schema()
    (problem,), schemas = msgspec.json.schema_components([Problem], ref_template=_REFERENCE)
    described["components"].setdefault("schemas", {}).update(schemas)
    _close_bodies(described["components"]["schemas"])
    for path, methods in described["paths"].items():
        for operation in methods.values():
            if isinstance(operation, dict):
                _put_right(path, operation, problem)
    return described


def _close_bodies(schemas: dict[str, dict[str, Any]]) -> None:
    """Say of each body that takes no unknown field that it does not; Litestar leaves that out."""
    _, bodies = msgspec.json.schema_components(tuple(JsonBody.types.values()), ref_template=_REFERENCE)
    for name, body in bodies.items():
        if name in schemas and body.get("additionalProperties") is False:
            schemas[name]["additionalProperties"] = False


async def _shut(_: object) -> None:
    raise NotFound("There is nothing at this address; the OpenAPI document is at /openapi.json.")


def _operation_id(handler: HTTPRouteHandler, method: Method, path: list[str | PathParameterDefinition]) -> str:
    """Return the handler's name, with what tells its paths and methods apart if it has several."""
    parts = [handler.handler_name]
    if len(handler.paths) > 1:
        parts += [part for part in path if isinstance(part, str)][-1:]
    if len(handler.http_methods) > 1:
        parts.append(method.lower())
    return "_".join(parts)


def _errors_of(path: str, operation: dict[str, Any]) -> dict[str, str]:
    """Return the errors that an operation shares with all of its kind."""
    found = _EVERYWHERE | (_WITH_KEY if operation.get("security") else {})
    if "requestBody" in operation:
        found |= _WITH_BODY
    if path.startswith("/v1/") and path != "/v1/ping":
        found |= _COUNTED
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
        found |= _WITH_IDEMPOTENCY_KEY
    return found


def _put_right(path: str, operation: dict[str, Any], problem: dict[str, Any]) -> None:
    responses = operation["responses"]
    if CONTENT_TYPE not in responses.get("400", {}).get("content", {}):
        responses.pop("400", None)
    for status, response in responses.items():
        response["description"] = _PLAIN.get(status, response["description"])
    for status, description in _errors_of(path, operation).items():
        responses.setdefault(status, {"description": description, "content": {CONTENT_TYPE: {"schema": problem}}})
    for content in (operation.get("requestBody") or {}).get("content", {}).values():
        if {"type": "null"} in content["schema"].get("oneOf", []):
            operation["requestBody"]["required"] = False
