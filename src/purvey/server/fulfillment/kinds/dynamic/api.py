"""The routes about dynamic callbacks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
from litestar import get, post
from litestar.params import FromPath

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.api import answer
from purvey.server.fulfillment.kinds.dynamic import actions
from purvey.server.fulfillment.kinds.dynamic.model import Attempt, CallbackStatus
from purvey.server.fulfillment.kinds.dynamic.trial import CallTrials, TestCallReport
from purvey.server.kit.idempotency import Claim
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, Recorded, Then, once, problems
from purvey.server.orders.wire import OrderOut


class CallbackOut(msgspec.Struct, frozen=True, kw_only=True):
    """The call that a dynamic order makes to its seller's server, with every attempt, the first one first.

    `id` is the key of every attempt, the header X-Shoppex-Idempotency-Key, and `body` what is sent, the same each time. `answer` of
    an attempt is there when it brought nothing; what brought something is the order's `delivered_items`.
    """

    id: str
    object: Literal["callback"] = "callback"
    order_id: str
    listing_id: str
    status: CallbackStatus
    body: msgspec.Raw
    attempts: Sequence[Attempt]
    created_at: datetime
    finished_at: datetime | None


@post(
    "/v1/orders/{order_id:str}/retry",
    status_code=200,
    tags=["Orders"],
    responses=problems(
        _404="This account has no such order.",
        _409="invalid_transition: the order is not dynamic, has been fulfilled, or was refunded.",
    ),
)
@once()
async def retry(
    order_id: FromPath[str],
    tools: Given[Tools],
    account: Given[Account],
    fulfillment: Given[Fulfillment],
    claim: Claim | None,
) -> OrderOut | Recorded:
    """Have your server called again for a dynamic order: the same key and body, three attempts anew.

    While a call is under way nothing changes.
    """
    return answer(await actions.call_again(tools, fulfillment, account.id, order_id, claim))


@get(
    "/v1/orders/{order_id:str}/callback",
    tags=["Orders"],
    responses=problems(_404="This account has no such order, or it is not dynamic."),
)
async def read_callback(order_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> CallbackOut:
    """Return the call that a dynamic order makes to your server, and what came of each attempt."""
    told = await actions.read(tools, account.id, order_id)
    return CallbackOut(
        id=told.callback.key,
        order_id=told.callback.order_id,
        listing_id=told.callback.listing_id,
        status=told.callback.status,
        body=msgspec.Raw(told.callback.body.encode()),
        attempts=told.attempts,
        created_at=told.callback.created_at,
        finished_at=told.callback.finished_at,
    )


@post(
    "/v1/listings/{listing_id:str}/test-callback",
    status_code=200,
    tags=["Listings"],
    responses=problems(
        _404="This account has no such listing.", _409="It has no dynamic_webhook.", _429="Ten times a minute at most."
    ),
)
@once()
async def test_callback(
    listing_id: FromPath[str], tools: Given[Tools], account: Given[Account], call_trials: Given[CallTrials]
) -> TestCallReport | Then[TestCallReport]:
    """Call your server with a sample order, once, and see request, answer, and how it would be stored. Nothing is."""
    ready = await call_trials.prepare(tools, account, listing_id)
    return Then(ready, lambda: call_trials.send(tools, ready))


routes = [for_sellers(retry, read_callback, test_callback)]
