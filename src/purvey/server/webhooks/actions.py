"""What sellers do with endpoints and deliveries. Each function that writes is one transaction."""

import base64
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from purvey import signing
from purvey.server.errors import Conflict, FieldError, NotFound, RateLimited, invalid, unknown
from purvey.server.kit.database import Connection
from purvey.server.kit.paging import Position, Slice, slice_of
from purvey.server.kit.text import check_instant
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import checks, store
from purvey.server.webhooks.explaining import Explanation, explain
from purvey.server.webhooks.model import Delivery, DeliveryFilters, DeliveryWithAttempts, Endpoint, Replay, ReplayPlan
from purvey.server.webhooks.rules import PER_KEY, PER_ORDER, REPLAY_BATCH, REPLAY_BUSY
from purvey.server.webhooks.wire import EndpointChanges, EndpointOut, NewEndpoint, ReplayRequest, endpoint_out


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
    wanted: DeliveryFilters,
    *,
    after: Position | None,
    limit: int,
) -> Slice[Delivery]:
    """Return deliveries of an endpoint, the newest first, or raise NotFound when the account has no such endpoint."""
    if not await store.has_endpoint(tools.database, account_id, endpoint_id):
        raise unknown("webhook endpoint", endpoint_id)
    found = await store.deliveries_page(tools.database, account_id, endpoint_id, wanted, after=after, limit=limit + 1)
    return slice_of(found, limit, lambda delivery: Position(delivery.created_at, delivery.id))


async def read_delivery(tools: Tools, account_id: str, delivery_id: str) -> DeliveryWithAttempts:
    """Return one delivery with its attempts, or raise NotFound."""
    found = await store.delivery(tools.database, account_id, delivery_id)
    if found is None:
        raise unknown("delivery", delivery_id)
    tried = await store.attempts(tools.database, account_id, delivery_id)
    return DeliveryWithAttempts(**msgspec.structs.asdict(found), attempts=tried)


async def retry_delivery(tools: Tools, account_id: str, delivery_id: str) -> Delivery:
    """Attempt a delivery at once and return it: a waiting one now instead of later, else the event again as a new delivery.

    Raises NotFound, and Conflict when its endpoint is disabled or deleted.
    """
    async with tools.database.transaction() as connection:
        before = await store.delivery(connection, account_id, delivery_id)
        if before is None:
            raise unknown("delivery", delivery_id)
        retried = await store.retry(connection, account_id, delivery_id, tools.clock.now())
        after = await store.delivery(connection, account_id, retried) if retried else None
        there = after is not None or await store.endpoint(connection, account_id, before.endpoint_id) is not None
    if after is None:
        raise _disabled(before.endpoint_id) if there else _deleted(before)
    return after


async def redeliver(tools: Tools, account_id: str, order_id: str, key_id: str) -> int:
    """Tell each event of an order once more to each enabled endpoint that wants it, at once (EV-13); return how many that makes.

    Raises RateLimited when it was asked ten times within an hour for the order, or a hundred times with the key.
    """
    now = tools.clock.now()
    told = await store.redeliver(tools.database, account_id, order_id, key_id, PER_ORDER, PER_KEY, now)
    if told.again_at is not None:
        seconds = math.ceil((told.again_at - now).total_seconds())
        message = f"Redelivery is limited to {PER_ORDER} an hour for an order and {PER_KEY} for a key; come again in {seconds} s."
        raise RateLimited(message, retry_after=max(1, seconds))
    return told.scheduled


async def begin_replay(tools: Tools, account_id: str, endpoint_id: str, data: ReplayRequest) -> Replay:
    """Tell an endpoint again what it wants of a stretch of the log; what is much is told bit by bit, by the queue.

    Raises NotFound for an unknown endpoint or event, ValidationError for a bound that is neither instant nor event, Conflict when
    the endpoint is disabled.
    """
    async with tools.database.transaction() as connection:
        endpoint = await store.endpoint(connection, account_id, endpoint_id)
        if endpoint is None:
            raise unknown("webhook endpoint", endpoint_id)
        if endpoint.status != "enabled" and not data.dry_run:
            raise _disabled(endpoint_id)
        after_sequence, after = await _bound(connection, account_id, "after", data.after)
        before_sequence, before = await _bound(connection, account_id, "before", data.before)
        plan = ReplayPlan(
            account_id=account_id,
            id=tools.ids.new("rpl_"),
            endpoint_id=endpoint_id,
            types=[str(one) for one in data.types or ()],
            scope=data.scope,
            after_sequence=after_sequence,
            before_sequence=before_sequence,
            after=after,
            before=before,
            dry_run=data.dry_run,
        )
        return await store.begin_replay(connection, plan, REPLAY_BATCH, REPLAY_BUSY, tools.clock.now())


async def read_replay(tools: Tools, account_id: str, replay_id: str) -> Replay:
    """Return how far a replay has got, or raise NotFound."""
    found = await store.replay(tools.database, account_id, replay_id)
    if found is None:
        raise unknown("replay", replay_id)
    return found


def listen_secret(tools: Tools, account_id: str) -> str:
    """Return the secret with which `purvey listen` signs for an account: always the same, so that a program is told it once."""
    key = bytes.fromhex(tools.keyring.sign("listen", account_id))
    return signing.STANDARD_PREFIX + base64.b64encode(key).decode()


async def explain_delivery(tools: Tools, account_id: str, delivery_id: str) -> Explanation:
    """Return why a delivery did or did not go, or raise NotFound."""
    found = await read_delivery(tools, account_id, delivery_id)
    facts = await store.facts_of(tools.database, account_id, delivery_id)
    return explain(found, facts, tools.clock.now())


async def _bound(
    connection: Connection, account_id: str, name: str, text: str | None
) -> tuple[int | None, datetime | None]:
    """Return the place or the instant that bounds a replay; raise NotFound for an unknown event, ValidationError for neither."""
    if not text:
        return None, None
    if text.startswith("evt_"):
        sequence = await store.sequence_of(connection, account_id, text)
        if sequence is None:
            raise NotFound(f"No event with the id {text!r}.", param=name)
        return sequence, None
    try:
        return None, check_instant(text)
    except ValueError as error:
        message = f"{error}, or the id of an event"
        raise invalid([FieldError(loc=[name], msg=message, type="instant")]) from None


def _disabled(endpoint_id: str) -> Conflict:
    how = f'PATCH /v1/webhooks/{endpoint_id} {{"enabled": true}}'
    return Conflict(f"Endpoint {endpoint_id} is disabled, and is told nothing; enable it first: {how}.")


def _deleted(delivery: Delivery) -> Conflict:
    return Conflict(
        f"Endpoint {delivery.endpoint_id} was deleted, and is told nothing more; the event can be read: "
        f"GET /v1/events/{delivery.event_id}."
    )


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
    return signing.STANDARD_PREFIX + base64.b64encode(tools.ids.random_bytes(32)).decode()


def _shown(tools: Tools, endpoint: Endpoint) -> EndpointOut:
    return endpoint_out(endpoint, tools.keyring.open(endpoint.secret)[-4:], tools.clock.now())
