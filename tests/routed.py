"""The routes of the application as they are: what a test that speaks of every route goes by."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from fakes import FakeClock
from makers import SECRET_KEY
from purvey.server.app import build
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.settings import Settings


@dataclass(frozen=True)
class Route:
    """A method at a path such as /v1/listings/{listing_id}."""

    method: str
    path: str
    parameters: tuple[str, ...]
    handler: HTTPRouteHandler

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body_limit(self) -> int | None:
        """Bytes that its body may have, if it has one."""
        limit = self.handler.resolve_request_max_body_size()
        return limit if isinstance(limit, int) and self.takes_a_body else None

    @property
    def takes_a_body(self) -> bool:
        return self.method in {"POST", "PUT", "PATCH"}

    def target(self, values: Mapping[str, str], query: str = "") -> str:
        """Return the path with `values` in the place of its parameters, as they are."""
        return self.path.format(**values) + (f"?{query}" if query else "")


@lru_cache
def routes() -> tuple[Route, ...]:
    """Return every route, pages and documentation included, in the order of their names."""
    return routes_of(_application())


def routes_of(app: Litestar) -> tuple[Route, ...]:
    """Return the routes of `app`, without the answers to OPTIONS, which the framework makes."""
    found = [
        Route(str(method), route.path_format, tuple(route.path_parameters), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]
    return tuple(sorted(found, key=lambda route: route.name))


def quoted(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values as they stand in a path."""
    return {name: quote(value, safe="") for name, value in values.items()}


def _application() -> Any:
    """Build the application as `purvey serve` does; it is not asked anything, so its database is never reached."""
    return build(Settings(), Database.__new__(Database), FakeClock(), Keyring([SECRET_KEY])).web
