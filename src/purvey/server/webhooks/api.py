"""The routes of endpoints and deliveries. Another account's object is exactly like an unknown one: 404."""

from typing import Annotated

from litestar import delete, get, post, route
from litestar.enums import HttpMethod
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.kit.paging import read_cursor
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Cursor, Given, Limit, Page, Then, once, problems
from purvey.server.webhooks import actions
from purvey.server.webhooks.explaining import Explanation
from purvey.server.webhooks.model import Delivery, DeliveryFilters, DeliveryStatus, DeliveryWithAttempts, Replay
from purvey.server.webhooks.trial import Trials, report
from purvey.server.webhooks.wire import (
    EndpointChanges,
    EndpointOut,
    EndpointRotation,
    ListenSession,
    NewEndpoint,
    ReplayRequest,
    TestOrder,
    TestReport,
)

TAGS = ["Webhooks"]
UNKNOWN = "This account has no such webhook endpoint."
CALLBACK = "locked_field: the endpoint is a listing's callback, whose URL and secret change through the listing."


@post("/v1/webhooks", tags=TAGS, responses=problems(_409="There are as many endpoints as there may be."))
@once()
async def create_webhook(data: JSONBody[NewEndpoint], tools: Given[Tools], account: Given[Account]) -> EndpointOut:
    """Make an endpoint that is told of events. This answer alone shows its secret."""
    return await actions.create_endpoint(tools, account.id, data)


@get("/v1/webhooks", tags=TAGS)
async def list_webhooks(
    tools: Given[Tools], account: Given[Account], *, limit: Limit = 20, cursor: Cursor = None
) -> Page[EndpointOut]:
    """List the account's endpoints and the callbacks of its listings, the newest first."""
    found = await actions.page_of_endpoints(tools, account.id, after=read_cursor(cursor), limit=limit)
    return Page(data=list(found.rows), has_more=found.has_more, cursor=found.cursor)


@get("/v1/webhooks/{endpoint_id:str}", tags=TAGS, responses=problems(_404=UNKNOWN))
async def read_webhook(endpoint_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> EndpointOut:
    """Return one endpoint of either kind, and how its URL has answered of late."""
    return await actions.read_endpoint(tools, account.id, endpoint_id)


@route(
    "/v1/webhooks/{endpoint_id:str}",
    http_method=[HttpMethod.PUT, HttpMethod.PATCH],
    status_code=200,
    tags=TAGS,
    responses=problems(_404=UNKNOWN, _409=CALLBACK),
)
@once(wakes=True)
async def change_webhook(
    endpoint_id: FromPath[str], data: JSONBody[EndpointChanges], tools: Given[Tools], account: Given[Account]
) -> EndpointOut:
    """Change the fields that are sent. What waits follows to a new URL; `enabled: false` parks it, true resumes it."""
    return await actions.change_endpoint(tools, account.id, endpoint_id, data)


@delete("/v1/webhooks/{endpoint_id:str}", tags=TAGS, responses=problems(_404=UNKNOWN, _409=CALLBACK))
async def delete_webhook(endpoint_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> None:
    """Delete an endpoint. What waited for it is parked; its deliveries can still be read."""
    await actions.delete_endpoint(tools, account.id, endpoint_id)


@post(
    "/v1/webhooks/{endpoint_id:str}/rotate-secret",
    status_code=200,
    tags=TAGS,
    responses=problems(_404=UNKNOWN, _409=CALLBACK),
)
@once()
async def rotate_webhook_secret(
    endpoint_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    data: JSONBody[EndpointRotation | None] = None,
) -> EndpointOut:
    """Replace the secret; this answer alone shows the new one. The old one signs beside it for `overlap_seconds`.

    Only one older secret signs: what signed before that ends with this.
    """
    overlap = (data or EndpointRotation()).overlap_seconds
    return await actions.rotate_secret(tools, account.id, endpoint_id, overlap)


@post("/v1/webhooks/{endpoint_id:str}/test", status_code=200, tags=TAGS, responses=problems(_404=UNKNOWN))
@once()
async def send_test_event(
    endpoint_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    trials: Given[Trials],
    data: JSONBody[TestOrder | None] = None,
) -> TestReport | Then[TestReport]:
    """Send a sample event now, and show what was sent and what came back. It is no event of the log; ten a minute at most."""
    wanted = (data or TestOrder()).type
    ready = await trials.prepare(tools, account.id, endpoint_id, wanted)
    return Then(report(ready, None), lambda: trials.send(ready))


@post(
    "/v1/webhooks/{endpoint_id:str}/replay",
    status_code=202,
    tags=TAGS,
    responses=problems(_404=f"{UNKNOWN} Or no such event, where one is named.", _409="The endpoint is disabled."),
)
@once(wakes=True)
async def replay_webhook(
    endpoint_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    data: JSONBody[ReplayRequest | None] = None,
) -> Replay:
    """Tell an endpoint again what it wants of the log, or of a stretch of it: new deliveries of the same events."""
    return await actions.begin_replay(tools, account.id, endpoint_id, data or ReplayRequest())


@get("/v1/replays/{replay_id:str}", tags=TAGS, responses=problems(_404="This account has no such replay."))
async def read_replay(replay_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Replay:
    """Return how far a replay has got."""
    return await actions.read_replay(tools, account.id, replay_id)


@get(
    "/v1/webhooks/{endpoint_id:str}/deliveries",
    tags=TAGS,
    responses=problems(_404="This account never had such a webhook endpoint."),
)
async def list_deliveries(
    endpoint_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    *,
    status: Annotated[DeliveryStatus | None, QueryParameter(description="Only deliveries in this status.")] = None,
    event_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List what an endpoint was or will be sent, the newest first."""
    wanted = DeliveryFilters(status=status, event_id=event_id, order_id=order_id)
    found = await actions.page_of_deliveries(
        tools, account.id, endpoint_id, wanted, after=read_cursor(cursor), limit=limit
    )
    return Page(data=list(found.rows), has_more=found.has_more, cursor=found.cursor)


@get("/v1/deliveries/{delivery_id:str}", tags=TAGS, responses=problems(_404="This account has no such delivery."))
async def read_delivery(
    delivery_id: FromPath[str], tools: Given[Tools], account: Given[Account]
) -> DeliveryWithAttempts:
    """Return one delivery with every attempt: the answer's status and beginning, or where it failed and why."""
    return await actions.read_delivery(tools, account.id, delivery_id)


@get(
    "/v1/deliveries/{delivery_id:str}/explanation",
    tags=TAGS,
    responses=problems(_404="This account has no such delivery."),
)
async def explain_delivery(delivery_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Explanation:
    """Say why a delivery did or did not go, what holds it, and what to do about it."""
    return await actions.explain_delivery(tools, account.id, delivery_id)


@post("/v1/listen-sessions", tags=TAGS)
@once()
async def begin_listening(tools: Given[Tools], account: Given[Account]) -> ListenSession:
    """Return the secret with which `purvey listen` signs what it hands to a local program; it stays the same."""
    return ListenSession(secret=actions.listen_secret(tools, account.id))


@post(
    "/v1/deliveries/{delivery_id:str}/retry",
    status_code=202,
    tags=TAGS,
    responses=problems(_404="This account has no such delivery.", _409="Its endpoint is disabled or deleted."),
)
@once(wakes=True)
async def retry_delivery(delivery_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> Delivery:
    """Attempt a delivery at once. One that is over is made anew: the answer is the delivery that is attempted."""
    return await actions.retry_delivery(tools, account.id, delivery_id)


routes = [
    for_sellers(
        create_webhook,
        list_webhooks,
        read_webhook,
        change_webhook,
        delete_webhook,
        rotate_webhook_secret,
        send_test_event,
        replay_webhook,
        read_replay,
        list_deliveries,
        read_delivery,
        retry_delivery,
        explain_delivery,
        begin_listening,
    )
]
