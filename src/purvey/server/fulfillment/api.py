"""The routes by which a seller's program brings what it made: `deliver` and `fulfill` are two spellings of one action."""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account, Caller
from purvey.server.deliverables.model import Content
from purvey.server.deliverables.rules import DeliverableIn, check
from purvey.server.errors import FieldError, invalid
from purvey.server.files import actions as files
from purvey.server.files.model import Wanted
from purvey.server.files.rules import wanted
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Changed, Deliver
from purvey.server.kit.idempotency import Claim
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import MIB, Body, Given, Recorded, once, problems
from purvey.server.orders import actions as orders
from purvey.server.orders.wire import OrderOut
from purvey.server.webhooks import actions as webhooks

MetadataValue = Annotated[str, msgspec.Meta(max_length=500)]
Metadata = Annotated[dict[Annotated[str, msgspec.Meta(max_length=40)], MetadataValue], msgspec.Meta(max_length=50)]


class Goods(Body):
    """What the buyer is to receive, in one of three spellings.

    Flat, `{"type": "text", "value": "..."}` (DF-11); a list, `{"deliverables": [...]}` of up to three (FU-7); or one,
    `{"deliverable": {...}}`. A body without any of them is an error: nothing is guessed (DF-12).
    """

    type: str | None = None
    value: str | None = None
    token: str | None = None
    format: str | None = None
    deliverables: list[DeliverableIn] | None = None
    deliverable: DeliverableIn | None = None
    metadata: Metadata | None = None


class RedeliveryAck(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries were made. None is no error: then no enabled endpoint wants the order's events."""

    object: Literal["redelivery_ack"] = "redelivery_ack"
    order_id: str
    scheduled_attempts: int


def content_of(goods: Goods) -> tuple[Content, ...]:
    """Return the checked deliverables of a request, or raise ValidationError naming the field."""
    flat = [name for name in ("type", "value", "token", "format") if getattr(goods, name) is not None]
    spellings = [name for name in ("deliverables", "deliverable") if getattr(goods, name) is not None] + flat[:1]
    if len(spellings) > 1:
        raise invalid(
            [FieldError(loc=[spellings[1]], msg=f"give either this or `{spellings[0]}`, not both", type="conflict")]
        )
    if goods.deliverables is not None:
        return check(goods.deliverables, at=_place(goods), least=1)
    flat_one = DeliverableIn(type=goods.type, value=goods.value, token=goods.token, format=goods.format)
    return check([goods.deliverable or flat_one], at=_place(goods), numbered=False)


def files_of(goods: Goods, content: Sequence[Content]) -> list[Wanted]:
    """Return the files that a request names, and where."""
    return wanted(content, _place(goods), numbered=goods.deliverables is not None)


def _place(goods: Goods) -> tuple[str, ...]:
    if goods.deliverables is not None:
        return ("deliverables",)
    return () if goods.deliverable is None else ("deliverable",)


def answer(changed: Changed) -> OrderOut | Recorded:
    """Return what a route answers that changed an order. The order has been encoded once already; it is sent as it is."""
    return Recorded(changed.shown) if changed.recorded else cast("OrderOut", msgspec.Raw(changed.shown))


@post(
    ["/v1/orders/{order_id:str}/deliver", "/v1/orders/{order_id:str}/fulfill"],
    status_code=200,
    tags=["Orders"],
    request_max_body_size=4 * MIB,
    responses=problems(
        _404="This account has no such order.",
        _409="The order is not waiting for content (invalid_transition), or was fulfilled with other content (already_fulfilled).",
    ),
)
@once()
async def deliver(
    order_id: FromPath[str],
    data: JSONBody[Goods],
    account: Given[Account],
    fulfillment: Given[Fulfillment],
    tools: Given[Tools],
    claim: Claim | None,
) -> OrderOut | Recorded:
    """Fulfil an order: the buyer gets the content and a mail, and order.fulfilled is told.

    The same content again changes nothing, the metadata included.
    """
    content = content_of(data)
    async with files.present(tools, account.id, files_of(data, content)):
        return answer(await fulfillment.deliver(Deliver(account.id, order_id, content, data.metadata, claim)))


@post(
    "/v1/orders/{order_id:str}/redeliver",
    status_code=202,
    tags=["Orders"],
    responses=problems(_404="This account has no such order."),
)
@once(wakes=True)
async def redeliver_order(
    order_id: FromPath[str], tools: Given[Tools], account: Given[Account], caller: Given[Caller]
) -> RedeliveryAck:
    """Tell the order's events once more, at once, to each enabled endpoint that wants them (EV-13). The events stay the same.

    At most 10 times an hour for one order, and 100 times an hour with one key.
    """
    order = await orders.read(tools, account.id, order_id)
    scheduled = await webhooks.redeliver(tools, account.id, order.id, caller.key_id)
    return RedeliveryAck(order_id=order.id, scheduled_attempts=scheduled)


routes = [for_sellers(deliver, redeliver_order)]
