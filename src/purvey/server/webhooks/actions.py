"""What sellers do with endpoints and deliveries. Each function that writes is one transaction."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from purvey.server.errors import Conflict, FieldError, invalid, unknown
from purvey.server.kit.database import Connection
from purvey.server.kit.paging import Position, Slice, slice_of
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import checks, store
from purvey.server.webhooks.model import Delivery, DeliveryStatus, DeliveryWithAttempts, Endpoint
from purvey.server.webhooks.rules import STANDARD_PREFIX
from purvey.server.webhooks.wire import EndpointChanges, EndpointOut, NewEndpoint, endpoint_out


async def create_endpoint(tools: Tools, account_id: str, data: NewEndpoint) -> EndpointOut:
    """Make an endpoint of the account's own and return it with its secret, which is shown this once.

    Raises ValidationError, and Conflict when the account has as many as it may have.
    """
    fields = checks.fields_of(data, private_urls=tools.private_urls)
    secret = _new_secret(tools)
    made = _blank(tools, account_id, fields, secret)
    async with tools.database.transaction() as connection:
        count = await store.own_endpoints(connection, account_id)
        if count >= checks.MOST:
            message = f"There are {count} endpoints, the most there may be; delete one that is not needed."
            raise Conflict(message, current_count=count, max_count=checks.MOST)
        await _require_listing(connection, account_id, fields)
        await store.make_endpoint(connection, made)
    return endpoint_out(made, secret[-4:], tools.clock.now(), secret)


async def page_of_endpoints(tools: Tools, account_id: str, *, after: Position | None, limit: int) -> Slice[EndpointOut]:
    """Return a page of the account's endpoints and of its listings' callbacks, the newest first."""
    found = await store.endpoints_page(tools.database, account_id, after=after, limit=limit + 1)
    cut = slice_of(found, limit, lambda endpoint: Position(endpoint.created_at, endpoint.id))
    return Slice([_shown(tools, endpoint) for endpoint in cut.rows], cut.has_more, cut.cursor)


async def read_endpoint(tools: Tools, account_id: str, endpoint_id: str) -> EndpointOut:
    """Return one endpoint of either kind, or raise NotFound."""
    found = await store.endpoint(tools.database, account_id, endpoint_id)
    if found is None:
        raise unknown("webhook endpoint", endpoint_id)
    return _shown(tools, found)


async def change_endpoint(tools: Tools, account_id: str, endpoint_id: str, data: EndpointChanges) -> EndpointOut:
    """Change the fields that `data` has. What waits follows to a new URL; disabling parks it, and enabling resumes it.

    Raises NotFound, ValidationError, LockedField for what a callback takes from its listing, Conflict for enabling a callback
    whose listing names no URL.
    """
    fields = checks.fields_of(data, private_urls=tools.private_urls)
    async with tools.database.transaction() as connection:
        before = await _locked(tools, connection, account_id, endpoint_id, fields.get("url"))
        changed = msgspec.structs.replace(before, **fields)
        checks.require_changeable(before, changed)
        if changed.listing_id != before.listing_id:
            await _require_listing(connection, account_id, fields)
        if changed != before:
            await store.set_endpoint(connection, msgspec.structs.replace(changed, updated_at=tools.clock.now()))
        after = await store.endpoint(connection, account_id, endpoint_id)
    return _shown(tools, after or changed)


async def rotate_secret(tools: Tools, account_id: str, endpoint_id: str, overlap_seconds: int) -> EndpointOut:
    """Replace the secret by a new one, which is shown this once; the old one signs beside it for `overlap_seconds`.

    Raises NotFound, and LockedField for a listing's callback.
    """
    secret, now = _new_secret(tools), tools.clock.now()
    until = now + timedelta(seconds=overlap_seconds) if overlap_seconds else None
    async with tools.database.transaction() as connection:
        before = await _locked(tools, connection, account_id, endpoint_id)
        checks.require_own(before, "secret")
        sealed = tools.keyring.seal(secret)
        changed = msgspec.structs.replace(before, secret=sealed, previous_until=until, updated_at=now)
        await store.set_secret(connection, changed, until)
    return endpoint_out(changed, secret[-4:], now, secret)


async def delete_endpoint(tools: Tools, account_id: str, endpoint_id: str) -> None:
    """Delete an endpoint of the account's own; what waited for it is parked, and all its deliveries can still be read.

    Raises NotFound, and LockedField for a listing's callback.
    """
    async with tools.database.transaction() as connection:
        endpoint = await _locked(tools, connection, account_id, endpoint_id)
        checks.require_own(endpoint, "url")
        await store.delete_endpoint(connection, endpoint, tools.clock.now())


async def page_of_deliveries(
    tools: Tools,
    account_id: str,
    endpoint_id: str,
    status: DeliveryStatus | None,
    *,
    after: Position | None,
    limit: int,
) -> Slice[Delivery]:
    """Return deliveries of an endpoint, the newest first, or raise NotFound when the account has no such endpoint."""
    if not await store.has_endpoint(tools.database, account_id, endpoint_id):
        raise unknown("webhook endpoint", endpoint_id)
    found = await store.deliveries_page(tools.database, account_id, endpoint_id, status, after=after, limit=limit + 1)
    return slice_of(found, limit, lambda delivery: Position(delivery.created_at, delivery.id))


async def read_delivery(tools: Tools, account_id: str, delivery_id: str) -> DeliveryWithAttempts:
    """Return one delivery with its attempts, or raise NotFound."""
    found = await store.delivery(tools.database, account_id, delivery_id)
    if found is None:
        raise unknown("delivery", delivery_id)
    tried = await store.attempts(tools.database, account_id, delivery_id)
    return DeliveryWithAttempts(**msgspec.structs.asdict(found), attempts=tried)


async def _locked(
    tools: Tools, connection: Connection, account_id: str, endpoint_id: str, url: str | None = None
) -> Endpoint:
    found = await store.locked(connection, account_id, endpoint_id, url, tools.clock.now())
    if found is None:
        raise unknown("webhook endpoint", endpoint_id)
    return found


async def _require_listing(connection: Connection, account_id: str, fields: Mapping[str, Any]) -> None:
    listing_id = fields.get("listing_id")
    if listing_id is not None and not await store.has_listing(connection, account_id, listing_id):
        message = "is no listing of this account; null means the events of all listings"
        raise invalid([FieldError(loc=["listing_id"], msg=message, type="unknown")])


def _blank(tools: Tools, account_id: str, fields: Mapping[str, Any], secret: str) -> Endpoint:
    now = tools.clock.now()
    told: dict[str, Any] = {
        "id": tools.ids.new("whk_"),
        "account_id": account_id,
        "kind": "account",
        "listing_id": None,
        "name": checks.host_of(fields["url"]),
        "events": [],
        "status": "enabled",
        "signature_format": "body",
        "rate_per_second": None,
        "secret": tools.keyring.seal(secret),
        "previous_until": None,
        "created_at": now,
        "updated_at": now,
        **fields,
    }
    return Endpoint(**told, disabled_reason="by_seller" if told["status"] == "disabled" else None)


def _new_secret(tools: Tools) -> str:
    return STANDARD_PREFIX + base64.b64encode(tools.ids.random_bytes(32)).decode()


def _shown(tools: Tools, endpoint: Endpoint) -> EndpointOut:
    return endpoint_out(endpoint, tools.keyring.open(endpoint.secret)[-4:], tools.clock.now())
