"""What an order may become: every move of the table, and none beside it."""

import itertools
from datetime import timedelta

import msgspec
import pytest

from fakes import START
from purvey.server.errors import InvalidTransition
from purvey.server.orders.model import TABLE, Order, PaymentStatus, Status
from purvey.server.orders.rules import require, settle, steps
from sample_orders import sample_order

NOW = START + timedelta(minutes=5)
MOVES = {
    ("paid", "fulfilled"),
    ("paid", "processing"),
    ("paid", "handed_off"),
    ("processing", "fulfilled"),
}
EVERY_PAIR = list(itertools.product(Status, Status))


@pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
def test_the_table_allows_these_moves_and_no_other(before: Status, after: Status) -> None:
    assert TABLE.allows(before, after) == ((before, after) in MOVES)


def test_an_order_begins_paid() -> None:
    assert TABLE.start is Status.PAID


@pytest.mark.parametrize(("before", "after"), [pair for pair in EVERY_PAIR if pair in MOVES])
def test_an_allowed_move_raises_the_version_by_one(before: Status, after: Status) -> None:
    order = sample_order(status=before, version=3)
    settled = settle(order, after, NOW)
    assert (settled.status, settled.version) == (after, 4)


@pytest.mark.parametrize(("before", "after"), [pair for pair in EVERY_PAIR if pair not in MOVES])
def test_a_move_that_is_not_in_the_table_is_refused(before: Status, after: Status) -> None:
    with pytest.raises(InvalidTransition) as refused:
        settle(sample_order(status=before), after, NOW)
    assert refused.value.members["current_status"] == before
    assert set(refused.value.members["allowed_statuses"]) == {source for source, target in MOVES if target == after}
    assert refused.value.status == 409


@pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
def test_a_refunded_order_moves_nowhere(before: Status, after: Status) -> None:
    with pytest.raises(InvalidTransition, match="was refunded") as refused:
        require(sample_order(status=before, payment_status=PaymentStatus.REFUNDED), after)
    assert refused.value.members["payment_status"] == "refunded"


@pytest.mark.parametrize("before", [Status.PAID, Status.PROCESSING])
def test_a_partly_refunded_order_is_delivered(before: Status) -> None:
    order = sample_order(status=before, payment_status=PaymentStatus.PARTIALLY_REFUNDED)
    assert settle(order, Status.FULFILLED, NOW).status is Status.FULFILLED


def test_a_fulfilled_order_has_its_content_and_its_time() -> None:
    settled = settle(sample_order(status=Status.PROCESSING), Status.FULFILLED, NOW, deliverables=["del_1", "del_2"])
    assert settled.deliverables == ("del_1", "del_2")
    assert (settled.fulfilled_at, settled.handed_off_at) == (NOW, None)


def test_a_handed_off_order_has_its_time() -> None:
    settled = settle(sample_order(content_type="webhook"), Status.HANDED_OFF, NOW)
    assert (settled.fulfilled_at, settled.handed_off_at) == (None, NOW)


def test_a_processing_order_has_neither_time() -> None:
    settled = settle(sample_order(), Status.PROCESSING, NOW)
    assert (settled.fulfilled_at, settled.handed_off_at) == (None, None)


def test_a_move_changes_nothing_else() -> None:
    order = sample_order(status=Status.PROCESSING, dispute_status="needs_response", delivery_status="failed")
    settled = settle(order, Status.FULFILLED, NOW)
    moved = {name for name in order.__struct_fields__ if getattr(order, name) != getattr(settled, name)}
    assert moved == {"version", "status", "fulfilled_at"}


def states_of_a_new_order(*after: Status) -> list[Order]:
    """Return a new order's states, from paid through `after`."""
    states = [sample_order()]
    for status in after:
        states.append(settle(states[-1], status, NOW))
    return states


@pytest.mark.parametrize("after", [(), (Status.FULFILLED,), (Status.PROCESSING, Status.FULFILLED)])
def test_the_history_of_a_new_order_has_a_step_for_each_state(after: tuple[Status, ...]) -> None:
    states = states_of_a_new_order(*after)
    made = steps(None, [("pay", state) for state in states], "sandbox")
    assert [step.version for step in made] == list(range(1, len(states) + 1))
    assert [step.from_status for step in made] == [None, "paid", "processing"][: len(states)]
    assert [step.to_status for step in made] == [state.status for state in states]
    assert {(step.account_id, step.order_id, step.actor) for step in made} == {("acc_1", "ord_1", "sandbox")}


def test_each_step_is_named_after_its_action() -> None:
    paid, fulfilled = states_of_a_new_order(Status.FULFILLED)
    made = steps(None, [("pay", paid), ("settle", fulfilled)], "sandbox")
    assert [step.action for step in made] == ["pay", "settle"]


def test_a_single_step_says_what_was_done_by_whom_and_from_where() -> None:
    before = sample_order(status=Status.PROCESSING, version=2)
    [step] = steps(before, [("deliver", settle(before, Status.FULFILLED, NOW))], "seller")
    assert msgspec.to_builtins(step) == {
        "account_id": "acc_1",
        "order_id": "ord_1",
        "version": 3,
        "action": "deliver",
        "from_status": "processing",
        "to_status": "fulfilled",
        "actor": "seller",
        "detail": None,
        "mark": None,
    }
