"""Whatever is asked, answered and reported about an order's money, in whichever order and however often: it adds up."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes import START
from purvey.server.access.model import Door, Grant
from purvey.server.access.rules import look
from purvey.server.deadlines import rules as deadlines
from purvey.server.deliverables.model import Content
from purvey.server.disputes import rules as disputes
from purvey.server.errors import ProblemError
from purvey.server.fulfillment.model import Deliver, Draw, Link, Seen, Transition
from purvey.server.fulfillment.rules import deliver
from purvey.server.orders.model import PaymentStatus, Status
from purvey.server.payments.model import DisputeReport, RefundNote, RefundReport
from purvey.server.refunds import rules as refunds
from purvey.server.refunds.model import Ask
from sample_orders import sample_order

PAID = 500
STATUSES = st.sampled_from(["needs_response", "under_review", "won", "lost"])
PROVIDERS = frozenset({"sandbox"})


class Money(RuleBasedStateMachine):
    """An order with its refunds, and a provider that makes some of them, refuses others, and tells everything more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.order = sample_order(status=Status.PROCESSING, amount=PAID, on_late="refund")
        self.notes: dict[str, RefundNote] = {}
        self.reports: list[RefundReport] = []
        self.lost = False
        self.events: list[str] = []
        self.mails = 0

    def write(self, decide: Callable[[Seen, Draw], Transition | None]) -> Transition | None:
        """Write what is decided, as the database does."""
        draw = Draw(
            new_id=lambda prefix: f"{prefix}{next(self.numbers)}",
            event_id=lambda: f"evt_{next(self.numbers)}",
            new_link=lambda: Link(b"hash", b"sealed"),
            now=START + timedelta(seconds=next(self.numbers)),
        )
        step = decide(Seen(self.order, (), list(self.notes.values())), draw)
        if step is None:
            return None
        assert step.after.version == self.order.version + 1
        self.order = step.after
        self.notes |= {note.id: note for note in step.refunds}
        self.events += [event.type for event in step.events]
        self.mails += sum(message.template == "refund" for message in step.messages)
        return step

    def attempt(self, decide: Callable[[Seen, Draw], Transition | None]) -> None:
        """Write what is decided, or nothing where it is refused."""
        before = self.order
        try:
            self.write(decide)
        except ProblemError:
            assert self.order is before

    def reported(self, report: RefundReport) -> None:
        """Hear of a refund."""
        self.write(lambda seen, draw: refunds.given_back(report, None, seen, draw))

    @rule(amount=st.none() | st.integers(1, PAID + 1))
    def ask(self, amount: int | None) -> None:
        """The seller asks for money to go back."""
        told = Ask(
            account_id="acc_1", order_id="ord_1", refund_id=f"rfd_{next(self.numbers)}", amount=amount, reason=None
        )
        before = self.order
        self.attempt(lambda seen, draw: refunds.request(told, PROVIDERS, seen, draw))
        # What is asked of the provider together never exceeds what was paid; only the dashboard can come in between.
        assert self.order is before or self.order.refund_amount + self.order.refund_pending <= PAID

    @rule(data=st.data(), makes=st.booleans())
    @precondition(lambda self: any(note.status == "requested" for note in self.notes.values()))
    def answer(self, data: st.DataObject, makes: bool) -> None:
        """The provider answers one that it was asked for; what it made it also reports, sooner or later."""
        open_notes = sorted(note.id for note in self.notes.values() if note.status == "requested")
        note = self.notes[data.draw(st.sampled_from(open_notes))]
        given = sum(one.amount for one in self.reports)
        if makes and given + note.amount <= PAID:
            self.reports.append(
                RefundReport("sandbox", f"re_{next(self.numbers)}", "pay_1", note.amount, "USD", note.id)
            )
            self.reported(self.reports[-1])
        else:
            self.write(lambda seen, draw: refunds.refused(note.id, "no", seen, draw))

    @rule(amount=st.integers(1, PAID))
    def by_hand(self, amount: int) -> None:
        """Somebody refunds in the provider's dashboard, while others may have been asked for."""
        if sum(one.amount for one in self.reports) + amount <= PAID:
            self.reports.append(RefundReport("sandbox", f"re_{next(self.numbers)}", "pay_1", amount, "USD"))
            self.reported(self.reports[-1])

    @rule(data=st.data())
    @precondition(lambda self: self.reports)
    def again(self, data: st.DataObject) -> None:
        """A notice comes once more."""
        before = self.order
        self.reported(data.draw(st.sampled_from(self.reports)))
        assert self.order is before

    @rule(status=STATUSES, at=st.integers(0, 5))
    def dispute(self, status: Any, at: int) -> None:
        """The bank says how the dispute stands, late, twice or out of order."""
        decided = self.order.dispute_status in {"won", "lost"}
        report = DisputeReport("sandbox", "dp_1", "pay_1", status, START + timedelta(seconds=at))
        told_at = self.order.dispute_told_at or START
        appealed = self.order.dispute_status == "lost" and status == "won" and report.at > told_at
        step = self.write(lambda seen, draw: disputes.reported(report, None, seen, draw))
        assert bool(decided and step) == appealed
        self.lost = (self.lost and not appealed) or (status == "lost" and not decided)

    @rule()
    def bring(self) -> None:
        """The seller delivers."""
        command = Deliver("acc_1", "ord_1", (Content("text", "the goods"),))
        if self.order.status is Status.PROCESSING:
            self.attempt(lambda seen, draw: deliver(command, seen, draw))

    @rule()
    def be_late(self) -> None:
        """The time is over."""
        before = self.order
        step = self.write(lambda seen, draw: deadlines.passed(PROVIDERS, seen, draw))
        assert (step is not None) == deadlines.waits(before)

    @invariant()
    def it_adds_up(self) -> None:
        given = sum(one.amount for one in self.reports)
        assert self.order.refund_amount == given <= PAID
        made = [note for note in self.notes.values() if note.status == "succeeded"]
        assert sum(note.amount for note in made) == given
        assert len({note.reference for note in made}) == len(made) == len(self.reports) == self.mails
        waiting = sum(note.amount for note in self.notes.values() if note.status == "requested")
        assert self.order.refund_pending == waiting

    @invariant()
    def the_status_says_how_much(self) -> None:
        amount = self.order.refund_amount
        expected = "refunded" if amount == PAID else "partially_refunded" if amount else "paid"
        assert self.order.payment_status == expected
        assert (self.order.refunded_at is not None) == (amount == PAID)

    @invariant()
    def nothing_opens_once_the_money_is_gone(self) -> None:
        grant = Grant("acc_1", "grt_1", "ord_1", 10, 0, START, START + timedelta(days=2), None)
        gone = self.order.payment_status is PaymentStatus.REFUNDED or self.lost
        door = look(self.order, grant, START + timedelta(hours=1))
        assert (door is Door.REVOKED) == gone
        assert (door is Door.OPEN) == (self.order.status is Status.FULFILLED and not gone)

    @invariant()
    def each_event_is_told_once(self) -> None:
        assert self.events.count("order.refunded") == (self.order.payment_status is PaymentStatus.REFUNDED)
        assert self.events.count("order.disputed") == (self.order.dispute_status is not None)
        assert self.events.count("order.fulfilled") == (self.order.status is Status.FULFILLED)

    @invariant()
    def the_order_is_a_row_that_the_database_takes(self) -> None:
        assert 0 <= self.order.refund_amount <= self.order.amount
        assert self.order.refund_pending >= 0
        assert msgspec.json.encode(self.order.metadata)


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
