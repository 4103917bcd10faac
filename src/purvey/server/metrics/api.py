"""The route /metrics, and who may read it."""

import hmac
from ipaddress import ip_address
from typing import Any

from litestar import Request, Response, get

from purvey.server.errors import Forbidden
from purvey.server.kit.web import Given, problems
from purvey.server.metrics.measures import Measures

AnyRequest = Request[Any, Any, Any]

TEXT_FORMAT = "text/plain; version=0.0.4"
"""The media type of Prometheus' text format."""

PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers that a reverse proxy adds: whoever sends one does not speak for this machine."""


@get(
    "/metrics",
    tags=["Running"],
    media_type="text/plain",
    responses=problems(_403="Asked from elsewhere than this machine, without the token."),
)
async def metrics(request: AnyRequest, measures: Given[Measures]) -> Response[bytes]:
    """Give what this installation measures, in Prometheus' text format.

    It answers this machine; elsewhere it asks for `Authorization: Bearer` with PURVEY_METRICS_TOKEN.
    """
    if not (is_local(request) or knows(request, measures.token)):
        raise Forbidden(
            "The metrics are for this machine. From elsewhere, send `Authorization: Bearer` with the value of PURVEY_METRICS_TOKEN."
        )
    return Response(await measures.page(), media_type=TEXT_FORMAT)


def is_local(request: AnyRequest) -> bool:
    """Return whether a request was made on this machine, for this machine.

    Neither one that a reverse proxy passed on was, nor one for a name that only leads here, as a web page might have it asked for.
    """
    if any(name in request.headers for name in PASSED_ON):
        return False
    return is_loopback(request.client.host if request.client else "") and is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine to itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def knows(request: AnyRequest, token: str | None) -> bool:
    """Return whether the request carries the token; never without one."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    return (
        bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), str(token).encode())
    )


routes = [metrics]
