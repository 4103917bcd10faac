"""Rate limits on routes: 429 with `Retry-After`, and on every counted answer how much is left."""

from ipaddress import ip_address
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from purvey.server.kit.problem import RateLimited
from purvey.server.kit.rate_limits import RateLimits
from purvey.server.kit.web.record import add_header

AnyConnection = ASGIConnection[Any, Any, Any, Any]


async def by_address(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Limit a route by the caller's address; a guard, for routes that need no API key."""
    await count(connection, f"ip {network_of(connection)}")


async def count(connection: AnyConnection, caller: str) -> None:
    """Count a request of `caller` and say in its answer what is left; raise RateLimited when there is nothing left."""
    limits: RateLimits | None = connection.app.state.get("rate_limits")
    allowance = await limits.take(caller, category_of(connection.scope)) if limits else None
    if allowance is None:
        return
    add_header(connection.scope, b"x-ratelimit-limit", b"%d" % allowance.limit)
    add_header(connection.scope, b"x-ratelimit-remaining", b"%d" % allowance.remaining)
    add_header(connection.scope, b"x-ratelimit-reset", b"%d" % allowance.full_at)
    if not allowance.allowed:
        raise RateLimited(
            f"More than {allowance.limit} requests a minute. Come again in {allowance.retry_after} seconds.",
            retry_after=allowance.retry_after,
        )


def category_of(scope: Scope) -> str:
    """Return what a route's requests are counted under: `orders` for everything under /v1/orders, `checkout` for /checkout/..."""
    parts = str(scope["path"]).strip("/").split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "v1" else parts[0]


def network_of(connection: AnyConnection) -> str:
    """Return the address that a request came from; of IPv6 the /64 network, which is one household or machine."""
    host = connection.client.host if connection.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        address = address.ipv4_mapped or address
    return str(address) if address.version == 4 else f"{address.exploded[:19]}::/64"
