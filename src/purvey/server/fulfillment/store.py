"""The one statement that writes a transition, for one order or for a batch of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from purvey.server.fulfillment.model import Transition
from purvey.server.kit.database import Database
from purvey.server.orders.model import TABLE, Order

COMMIT = """
SELECT fulfillment_commit(
    $1::order_new[], $2::order_change[], $3::order_step[], $4::deliverable_new[], $5::text[], $6::grant_new[], $7::refund_note[],
    $8::message_new[], $9::text[], $10::job_new[], $11::callback_new[], $12::callback_result[], $13::notice_new[], $14::key_sale[],
    $15::text[], $16::idempotency_answer[], $17::event_new[], $18)
"""


async def commit(database: Database, transitions: Sequence[Transition], now: datetime) -> set[str]:
    """Write the transitions and return the ids of the orders that were really made or changed.

    It is guarded, so that it may run again after a lost connection: the second run changes nothing that the first one did. What
    the first run changed it returns all the same, by its mark; an order that it made is found by its checkout.
    """
    by_order = sorted(transitions, key=lambda t: (t.after.account_id, t.after.id))
    rows = await database.write(
        COMMIT,
        [_new(t.after) for t in by_order if t.before is None],
        [_change(t.before, t.after) for t in by_order if t.before is not None],
        _tuples(step for t in by_order for step in t.steps),
        _tuples(content for t in by_order for content in t.content),
        [t.after.id for t in by_order if t.ends_grant],
        _tuples(t.grant for t in by_order if t.grant),
        _tuples(refund for t in by_order for refund in t.refunds),
        _tuples(message for t in by_order for message in t.messages),
        [t.after.id for t in by_order for _ in t.jobs],
        _tuples(job for t in by_order for job in t.jobs),
        _tuples(t.callback for t in by_order if t.callback),
        _tuples(t.result for t in by_order if t.result),
        _tuples(t.notice for t in by_order if t.notice),
        _tuples(t.key for t in by_order if t.key),
        [t.after.id for t in by_order if t.answer],
        _tuples(t.answer for t in by_order if t.answer),
        _tuples(event for t in by_order for event in t.events),
        now,
        again=True,
    )
    return set(rows[0][0])


def _tuples(structs: Iterable[msgspec.Struct]) -> list[tuple[Any, ...]]:
    return [msgspec.structs.astuple(struct) for struct in structs]


def _new(order: Order) -> tuple[Any, ...]:
    """Return the attributes of the SQL type `order_new`, in its order."""
    return (
        order.account_id,
        order.id,
        order.version,
        order.checkout_id,
        order.listing_id,
        order.content_type,
        order.status,
        order.payment_status,
        order.delivery_status,
        order.buyer_email,
        order.amount,
        order.currency,
        order.checkout_data,
        order.deliverables,
        order.metadata,
        order.listing,
        order.seller,
        order.payment_provider,
        order.payment_reference,
        order.grant_after,
        order.grant_downloads,
        order.access_hash,
        order.access_sealed,
        order.fulfill_due_at,
        order.on_late,
        order.late_text,
        order.paid_at,
        order.fulfilled_at,
        order.handed_off_at,
        order.created_at,
    )


def _change(before: Order, after: Order) -> tuple[Any, ...]:
    """Return the attributes of the SQL type `order_change`, in its order: the guard first, then the whole new state."""
    allowed = TABLE.sources(after.status) if after.status is not before.status else (before.status,)
    return (
        after.account_id,
        after.id,
        before.version,
        [status.value for status in allowed],
        after.status,
        after.payment_status,
        after.dispute_status,
        after.delivery_status,
        after.buyer_email,
        after.deliverables,
        after.delivered_items,
        after.metadata,
        after.refund_amount,
        after.refund_pending,
        after.dispute_reference,
        after.dispute_reason,
        after.dispute_due_at,
        after.dispute_told_at,
        after.access_hash,
        after.access_sealed,
        after.fresh_links,
        after.late_at,
        after.fulfilled_at,
        after.handed_off_at,
        after.refunded_at,
        after.disputed_at,
        after.held_at,
        after.delivery_error,
    )
