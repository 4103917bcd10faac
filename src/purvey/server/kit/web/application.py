"""The web application, put together from the rooms' routes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from purvey.server.kit.ids import Ids
from purvey.server.kit.web import failures, odd_text, openapi
from purvey.server.kit.web.answers import json_bytes
from purvey.server.kit.web.binding import Route, bound
from purvey.server.kit.web.body import BODY_LIMIT, JsonBody
from purvey.server.kit.web.record import Record
from purvey.server.kit.web.reference import errors_page, reference_page


def make_app(
    routes: Sequence[Route],
    *,
    ids: Ids,
    given: Mapping[str, Any],
    error_page: failures.Page | None = None,
    body_limit: int = BODY_LIMIT,
    **options: Any,
) -> Litestar:
    """Return the ASGI application that serves `routes`, /openapi.json and /docs.

    `given` are the objects that handlers receive by name (`tools: Given[Tools]`); guards find them in the application's
    state. `error_page` shows a problem to whoever prefers HTML. `body_limit` is in bytes. `options` (lifespan, middleware, ...)
    go to Litestar as they are.
    """
    app = Litestar(
        route_handlers=[bound(route, given) for route in (*routes, *_documentation())],
        state=State(dict(given)),
        dto=JsonBody,
        return_dto=None,
        before_request=odd_text.refuse,
        exception_handlers=failures.handlers(error_page),
        request_max_body_size=body_limit,
        openapi_config=openapi.config(),
        logging_config=None,
        **options,
    )
    app.asgi_handler = Record(app.asgi_handler, ids)
    return app


def _documentation() -> list[HTTPRouteHandler]:
    """Return the routes of the documentation; each page is made once, when it is first asked for."""
    made: dict[str, bytes] = {}

    def described(app: Litestar) -> bytes:
        if "openapi" not in made:
            made["openapi"] = msgspec.json.encode(openapi.document(app))
        return made["openapi"]

    @get("/openapi.json", include_in_schema=False)
    async def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
        return json_bytes(described(request.app))

    @get("/docs", include_in_schema=False, media_type="text/html")
    async def reference(request: Request[Any, Any, Any]) -> str:
        return reference_page(msgspec.json.decode(described(request.app)))

    @get("/docs/errors", include_in_schema=False, media_type="text/html")
    async def errors() -> str:
        return errors_page()

    return [openapi_document, reference, errors]
