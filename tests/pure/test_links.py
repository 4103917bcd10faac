"""Who gets a fresh link, and what it takes along: from every side, without a database."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fakes import START
from purvey.server.access.model import Grant
from purvey.server.errors import InvalidTransition
from purvey.server.fulfillment import links
from purvey.server.fulfillment.model import Draw, Link, Seen
from purvey.server.orders.model import PaymentStatus, Status
from sample_orders import sample_order

NOW = START + timedelta(days=3)
DRAW = Draw(
    new_id=lambda prefix: f"{prefix}new", event_id=lambda: "evt_new", new_link=lambda: Link(b"new", b"new"), now=NOW
)
OVER = Grant("acc_1", "grt_1", "ord_1", 10, 0, START, START + timedelta(days=2), None)
ENDED = sample_order(status=Status.FULFILLED, fulfilled_at=START)
statuses = st.sampled_from([Status.PROCESSING, Status.FULFILLED, Status.HANDED_OFF])


@given(
    statuses, st.sampled_from(PaymentStatus), st.sampled_from([None, "won", "lost"]), st.booleans(), st.integers(0, 5)
)
def test_a_buyer_gets_a_link_to_what_ran_out_by_itself_and_to_nothing_else(
    status: Status, money: PaymentStatus, dispute: str | None, live: bool, asked: int
) -> None:
    order = sample_order(status=status, payment_status=money, dispute_status=dispute, fresh_links=asked)
    back = money is PaymentStatus.REFUNDED or dispute == "lost"
    due = status is Status.FULFILLED and not back and live and asked < 3
    step = links.ask(order.access_hash, Seen(order, (), OVER if live else None), DRAW)
    assert (step is not None) == due
    if step is not None:
        assert (step.after.fresh_links, step.after.access_hash, step.ends_grant) == (asked + 1, b"new", True)
        assert step.grant is not None
        assert step.grant.expires_at == NOW + timedelta(hours=48)
        assert ([message.sealed for message in step.messages], step.events) == ([b"new"], ())


def test_an_old_link_asks_in_vain() -> None:
    assert links.ask(b"another", Seen(ENDED, (), OVER), DRAW) is None


def test_who_is_signed_in_is_mailed_nothing() -> None:
    step = links.ask(None, Seen(ENDED, (), OVER), DRAW)
    assert step is not None
    assert step.messages == []


@given(statuses, st.sampled_from(PaymentStatus), st.booleans())
def test_a_corrected_address_always_has_a_new_link_and_is_mailed_it_when_it_opens_something(
    status: Status, money: PaymentStatus, live: bool
) -> None:
    order = sample_order(status=status, payment_status=money)
    step = links.correct("right@example.com", Seen(order, (), OVER if live else None), DRAW)
    assert step is not None
    assert (step.after.access_hash, step.after.buyer_email) == (b"new", "right@example.com")
    assert step.ends_grant == (step.grant is not None) == (status is Status.FULFILLED and live)
    opens = money is not PaymentStatus.REFUNDED and (status is Status.PROCESSING or step.ends_grant)
    assert [message.recipient for message in step.messages] == (["right@example.com"] if opens else [])
    assert bytes(step.steps[0].detail or b"") == b'{"before":"buyer@example.com","after":"right@example.com"}'
    assert links.correct(order.buyer_email, Seen(order, (), None), DRAW) is None


@given(statuses, st.sampled_from(PaymentStatus))
def test_a_seller_sends_a_link_to_whatever_may_open(status: Status, money: PaymentStatus) -> None:
    order = sample_order(status=status, payment_status=money)
    refused = status is Status.HANDED_OFF or money is PaymentStatus.REFUNDED
    try:
        step = links.resend(Seen(order, ()), DRAW)
    except InvalidTransition:
        assert refused
    else:
        assert not refused
        assert (step.grant is not None, len(step.messages)) == (status is Status.FULFILLED, 1)
