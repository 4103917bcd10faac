"""What an order becomes. Pure: the instant and all ids come in as arguments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from purvey.server.errors import InvalidTransition
from purvey.server.orders.model import TABLE, Order, PaymentStatus, Status, Step

CORRECT = "correct_email"
"""The step by which a seller corrects the buyer's address."""


def settle(order: Order, status: Status, now: datetime, *, deliverables: Sequence[str] | None = None) -> Order:
    """Return `order` moved on to `status` at `now`, with its content when it is fulfilled.

    Raises InvalidTransition when the table does not allow the move.
    """
    require(order, status)
    return msgspec.structs.replace(
        order,
        version=order.version + 1,
        status=status,
        deliverables=tuple(deliverables) if deliverables is not None else order.deliverables,
        fulfilled_at=now if status is Status.FULFILLED else None,
        handed_off_at=now if status is Status.HANDED_OFF else None,
    )


def change(order: Order, **fields: Any) -> Order:
    """Return `order` one version on, with other `fields`; its status stays."""
    return msgspec.structs.replace(order, version=order.version + 1, **fields)


def require(order: Order, status: Status) -> None:
    """Raise InvalidTransition unless `order` may move to `status`; a refunded order moves nowhere."""
    allowed = list(TABLE.sources(status))
    if order.payment_status is PaymentStatus.REFUNDED:
        raise InvalidTransition(
            f"Order {order.id} was refunded and is delivered no more.",
            current_status=order.status,
            payment_status=order.payment_status,
            allowed_statuses=allowed,
        )
    if not TABLE.allows(order.status, status):
        raise InvalidTransition(
            f"Order {order.id} is {order.status}; only {' or '.join(allowed)} can become {status}.",
            current_status=order.status,
            allowed_statuses=allowed,
        )


def steps(before: Order | None, moves: Sequence[tuple[str, Order]], actor: str) -> list[Step]:
    """Return the history of `moves`, each an action and the order after it; `before` is None for an order that is new."""
    found = []
    for action, after in moves:
        found.append(
            Step(
                account_id=after.account_id,
                order_id=after.id,
                version=after.version,
                action=action,
                from_status=before.status if before else None,
                to_status=after.status,
                actor=actor,
            )
        )
        before = after
    return found
