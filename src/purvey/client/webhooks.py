"""Webhook endpoints, what they were or will be sent, and telling again."""

from datetime import datetime
from typing import Any, Required, TypedDict, Unpack

from purvey.client.calls import Call, ListCall
from purvey.client.deliveries import (
    Delivery,
    DeliveryWithAttempts,
    Endpoint,
    EndpointTest,
    Explanation,
    ListenSession,
    Replay,
)
from purvey.client.methods import AsyncGroup, AsyncMethod, AsyncPages, Group, Method, Pages


class MoreOfAnEndpoint(TypedDict, total=False):
    """What an endpoint may be told beside its URL: no `events` means all of them, `rate_limit` is in requests a second."""

    name: str
    events: list[str]
    listing_id: str | None
    enabled: bool
    signature_format: str
    rate_limit: float | None


class EndpointFields(MoreOfAnEndpoint, total=False):
    """What may be changed of an endpoint."""

    url: str


class NewEndpoint(MoreOfAnEndpoint, total=False):
    """What a new endpoint is told: a URL at least."""

    url: Required[str]


def create_endpoint(*, idempotency_key: str | None = None, **fields: Unpack[NewEndpoint]) -> Call[Endpoint]:
    """Make an endpoint. This answer alone has its secret."""
    return Call("POST", "/v1/webhooks", Endpoint, body=fields, idempotency_key=idempotency_key)


def list_endpoints(*, limit: int | None = None, cursor: str | None = None) -> ListCall[Endpoint]:
    """List the account's endpoints, the newest first."""
    return ListCall("/v1/webhooks", Endpoint, query={"limit": limit, "cursor": cursor})


def get_endpoint(endpoint_id: str) -> Call[Endpoint]:
    """Return one endpoint."""
    return Call("GET", "/v1/webhooks/{endpoint_id}", Endpoint, {"endpoint_id": endpoint_id})


def update_endpoint(
    endpoint_id: str, *, idempotency_key: str | None = None, **fields: Unpack[EndpointFields]
) -> Call[Endpoint]:
    """Change the fields that are given."""
    path = "/v1/webhooks/{endpoint_id}"
    return Call("PATCH", path, Endpoint, {"endpoint_id": endpoint_id}, body=fields, idempotency_key=idempotency_key)


def delete_endpoint(endpoint_id: str) -> Call[None]:
    """Delete an endpoint."""
    return Call("DELETE", "/v1/webhooks/{endpoint_id}", _nothing, {"endpoint_id": endpoint_id})


def rotate_endpoint_secret(
    endpoint_id: str, *, overlap_seconds: int = 0, idempotency_key: str | None = None
) -> Call[Endpoint]:
    """Replace the secret; this answer alone has the new one. The old one signs on for `overlap_seconds`."""
    path, body = "/v1/webhooks/{endpoint_id}/rotate-secret", {"overlap_seconds": overlap_seconds}
    return Call("POST", path, Endpoint, {"endpoint_id": endpoint_id}, body=body, idempotency_key=idempotency_key)


def send_test(
    endpoint_id: str,
    *,
    type: str | None = None,  # noqa: A002  # the field's name on the wire
    idempotency_key: str | None = None,
) -> Call[EndpointTest]:
    """Send a made-up event to an endpoint, now, and return what was sent and answered."""
    path, body = "/v1/webhooks/{endpoint_id}/test", {"type": type} if type else None
    values = {"endpoint_id": endpoint_id}
    return Call("POST", path, EndpointTest, values, body=body, idempotency_key=idempotency_key, timeout=30.0)


def replay(
    endpoint_id: str,
    *,
    after: str | datetime | None = None,
    before: str | datetime | None = None,
    types: list[str] | None = None,
    scope: str | None = None,
    dry_run: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[Replay]:
    """Have a stretch of the log told to an endpoint once more; with `dry_run`, only count it.

    `after` and `before` are instants or ids of events, both left out themselves.
    """
    told: dict[str, Any] = {"after": after, "before": before, "types": types, "scope": scope, "dry_run": dry_run}
    body = {name: one for name, one in told.items() if one is not None}
    path = "/v1/webhooks/{endpoint_id}/replay"
    return Call("POST", path, Replay, {"endpoint_id": endpoint_id}, body=body, idempotency_key=idempotency_key)


def get_replay(replay_id: str) -> Call[Replay]:
    """Return how far a replay has got."""
    return Call("GET", "/v1/replays/{replay_id}", Replay, {"replay_id": replay_id})


def list_deliveries(
    endpoint_id: str,
    *,
    status: str | None = None,
    event_id: str | None = None,
    order_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Delivery]:
    """List what an endpoint was or will be sent, the newest first."""
    query = {"status": status, "event_id": event_id, "order_id": order_id, "limit": limit, "cursor": cursor}
    return ListCall("/v1/webhooks/{endpoint_id}/deliveries", Delivery, {"endpoint_id": endpoint_id}, query)


def get_delivery(delivery_id: str) -> Call[DeliveryWithAttempts]:
    """Return one delivery with its attempts."""
    return Call("GET", "/v1/deliveries/{delivery_id}", DeliveryWithAttempts, {"delivery_id": delivery_id})


def retry_delivery(delivery_id: str, *, idempotency_key: str | None = None) -> Call[Delivery]:
    """Have a delivery attempted at once."""
    path = "/v1/deliveries/{delivery_id}/retry"
    return Call("POST", path, Delivery, {"delivery_id": delivery_id}, idempotency_key=idempotency_key)


def explain_delivery(delivery_id: str) -> Call[Explanation]:
    """Say why a delivery did or did not go, what holds it, and what to do about it."""
    return Call("GET", "/v1/deliveries/{delivery_id}/explanation", Explanation, {"delivery_id": delivery_id})


def begin_listening(*, idempotency_key: str | None = None) -> Call[ListenSession]:
    """Return the secret with which events are signed that are handed on to a program on this machine."""
    return Call("POST", "/v1/listen-sessions", ListenSession, idempotency_key=idempotency_key)


def _nothing(_: object) -> None:
    return None


class Webhooks(Group):
    """The endpoints that are told of events."""

    create = Method(create_endpoint)
    list = Pages(list_endpoints)
    get = Method(get_endpoint)
    update = Method(update_endpoint)
    delete = Method(delete_endpoint)
    rotate_secret = Method(rotate_endpoint_secret)
    test = Method(send_test)
    replay = Method(replay)
    get_replay = Method(get_replay)
    listen = Method(begin_listening)
    deliveries = Pages(list_deliveries)


class AsyncWebhooks(AsyncGroup):
    """The endpoints that are told of events."""

    create = AsyncMethod(create_endpoint)
    list = AsyncPages(list_endpoints)
    get = AsyncMethod(get_endpoint)
    update = AsyncMethod(update_endpoint)
    delete = AsyncMethod(delete_endpoint)
    rotate_secret = AsyncMethod(rotate_endpoint_secret)
    test = AsyncMethod(send_test)
    replay = AsyncMethod(replay)
    get_replay = AsyncMethod(get_replay)
    listen = AsyncMethod(begin_listening)
    deliveries = AsyncPages(list_deliveries)


class Deliveries(Group):
    """One event for one endpoint each."""

    get = Method(get_delivery)
    retry = Method(retry_delivery)
    explain = Method(explain_delivery)


class AsyncDeliveries(AsyncGroup):
    """One event for one endpoint each."""

    get = AsyncMethod(get_delivery)
    retry = AsyncMethod(retry_delivery)
    explain = AsyncMethod(explain_delivery)
