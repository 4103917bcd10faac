"""Orders: what was bought, how far it has got, and what a seller does about it."""

from datetime import datetime
from typing import Any

from purvey.client.calls import Call, ListCall
from purvey.client.methods import AsyncGroup, AsyncMethod, AsyncPages, Group, Method, Pages
from purvey.client.objects import Callback, Evidence, HistoryEntry, Order, RedeliveryAck, Refund


def list_orders(
    *,
    status: str | None = None,
    listing_id: str | None = None,
    buyer_email: str | None = None,
    created_after: str | datetime | None = None,
    created_before: str | datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Order]:
    """List the account's orders, the newest first; all filters given must fit."""
    query = {
        "status": status,
        "listing_id": listing_id,
        "buyer_email": buyer_email,
        "created_after": created_after,
        "created_before": created_before,
        "limit": limit,
        "cursor": cursor,
    }
    return ListCall("/v1/orders", Order, query=query)


def get_order(order_id: str) -> Call[Order]:
    """Return one order."""
    return Call("GET", "/v1/orders/{order_id}", Order, {"order_id": order_id})


def update_order(order_id: str, *, buyer_email: str, idempotency_key: str | None = None) -> Call[Order]:
    """Correct the buyer's e-mail address; the link goes there anew."""
    path, body = "/v1/orders/{order_id}", {"buyer_email": buyer_email}
    return Call("PATCH", path, Order, {"order_id": order_id}, body=body, idempotency_key=idempotency_key)


def order_history(order_id: str) -> ListCall[HistoryEntry]:
    """Read every change of an order, oldest first."""
    return ListCall("/v1/orders/{order_id}/history", HistoryEntry, {"order_id": order_id})


def order_refunds(order_id: str) -> ListCall[Refund]:
    """Read the refunds of an order."""
    return ListCall("/v1/orders/{order_id}/refunds", Refund, {"order_id": order_id})


def order_evidence(order_id: str) -> Call[Evidence]:
    """Return what proves that an order was delivered."""
    return Call("GET", "/v1/orders/{order_id}/evidence", Evidence, {"order_id": order_id})


def deliver_order(
    order_id: str,
    *,
    type: str,  # noqa: A002  # the field's name on the wire
    value: str | None = None,
    token: str | None = None,
    format: str | None = None,  # noqa: A002  # same
    idempotency_key: str | None = None,
) -> Call[Order]:
    """Fulfil an order with one deliverable: `type` url or text with its `value`, or file with its `token`.

    The same content again changes nothing; other content raises AlreadyFulfilled.
    """
    told = {"type": type, "value": value, "token": token, "format": format}
    body = {name: one for name, one in told.items() if one is not None}
    path = "/v1/orders/{order_id}/deliver"
    return Call("POST", path, Order, {"order_id": order_id}, body=body, idempotency_key=idempotency_key)


def fulfill_order(
    order_id: str,
    *,
    deliverables: list[dict[str, Any]],
    metadata: dict[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Order]:
    """Fulfil an order with up to three deliverables. Again as with `deliver`."""
    body: dict[str, Any] = {"deliverables": deliverables} | ({"metadata": metadata} if metadata is not None else {})
    path = "/v1/orders/{order_id}/fulfill"
    return Call("POST", path, Order, {"order_id": order_id}, body=body, idempotency_key=idempotency_key)


def refund_order(
    order_id: str, *, amount: int | None = None, reason: str | None = None, idempotency_key: str | None = None
) -> Call[Order]:
    """Give money back, all that is left unless `amount`, in minor units, says less."""
    told = {"amount": amount, "reason": reason}
    body = {name: one for name, one in told.items() if one is not None}
    path = "/v1/orders/{order_id}/refund"
    return Call("POST", path, Order, {"order_id": order_id}, body=body, idempotency_key=idempotency_key)


def resend_order(order_id: str, *, idempotency_key: str | None = None) -> Call[Order]:
    """Mail the buyer a fresh link."""
    path = "/v1/orders/{order_id}/resend"
    return Call("POST", path, Order, {"order_id": order_id}, idempotency_key=idempotency_key)


def revoke_grants(order_id: str, *, idempotency_key: str | None = None) -> Call[Order]:
    """Withdraw the buyer's access."""
    path = "/v1/orders/{order_id}/grants/revoke"
    return Call("POST", path, Order, {"order_id": order_id}, idempotency_key=idempotency_key)


def release_order(order_id: str, *, idempotency_key: str | None = None) -> Call[Order]:
    """Let the buyer of an order that is on hold, because its payment may be fraud, have what was bought."""
    path = "/v1/orders/{order_id}/release"
    return Call("POST", path, Order, {"order_id": order_id}, idempotency_key=idempotency_key)


def redeliver_order(order_id: str, *, idempotency_key: str | None = None) -> Call[RedeliveryAck]:
    """Have all events of an order told again."""
    path = "/v1/orders/{order_id}/redeliver"
    return Call("POST", path, RedeliveryAck, {"order_id": order_id}, idempotency_key=idempotency_key)


def retry_order(order_id: str, *, idempotency_key: str | None = None) -> Call[Order]:
    """Have your server called again for a dynamic order: the same key and body, three attempts anew."""
    path = "/v1/orders/{order_id}/retry"
    return Call("POST", path, Order, {"order_id": order_id}, idempotency_key=idempotency_key)


def read_callback(order_id: str) -> Call[Callback]:
    """Return the call that a dynamic order makes to your server, and what came of each attempt."""
    return Call("GET", "/v1/orders/{order_id}/callback", Callback, {"order_id": order_id})


class Orders(Group):
    """What was bought, and how far it has got."""

    list = Pages(list_orders)
    get = Method(get_order)
    update = Method(update_order)
    history = Pages(order_history)
    evidence = Method(order_evidence)
    refunds = Pages(order_refunds)
    deliver = Method(deliver_order)
    fulfill = Method(fulfill_order)
    refund = Method(refund_order)
    resend = Method(resend_order)
    revoke_grants = Method(revoke_grants)
    release = Method(release_order)
    redeliver = Method(redeliver_order)
    retry = Method(retry_order)
    callback = Method(read_callback)


class AsyncOrders(AsyncGroup):
    """What was bought, and how far it has got."""

    list = AsyncPages(list_orders)
    get = AsyncMethod(get_order)
    update = AsyncMethod(update_order)
    history = AsyncPages(order_history)
    evidence = AsyncMethod(order_evidence)
    refunds = AsyncPages(order_refunds)
    deliver = AsyncMethod(deliver_order)
    fulfill = AsyncMethod(fulfill_order)
    refund = AsyncMethod(refund_order)
    resend = AsyncMethod(resend_order)
    revoke_grants = AsyncMethod(revoke_grants)
    release = AsyncMethod(release_order)
    redeliver = AsyncMethod(redeliver_order)
    retry = AsyncMethod(retry_order)
    callback = AsyncMethod(read_callback)
