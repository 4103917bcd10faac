"""Who may open what: a function of the money, the grant and the time, looked at from every side."""

from datetime import datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fakes import START
from purvey.server.access.model import Door, Grant
from purvey.server.access.rules import link_message, look, new_grant
from purvey.server.orders.model import Order, PaymentStatus, Status
from sample_orders import sample_order

MICROSECOND = timedelta(microseconds=1)
SHUT = {Door.EXPIRED, Door.EXHAUSTED, Door.REVOKED}

instants = st.timedeltas(timedelta(days=-3), timedelta(days=3)).map(lambda after: START + after)
orders = st.builds(
    sample_order,
    status=st.sampled_from(Status),
    payment_status=st.sampled_from(PaymentStatus),
    dispute_status=st.sampled_from([None, "needs_response", "under_review", "won", "lost"]),
)
parts = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="_"))


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """Make a live grant that is anywhere between fresh and used up."""
    most = draw(st.integers(1, 20))
    return Grant("acc_1", "grt_1", "ord_1", most, draw(st.integers(0, most)), START, draw(instants), None)


def money_is_back(order: Order) -> bool:
    """Return whether the seller no longer has the money."""
    return order.payment_status is PaymentStatus.REFUNDED or order.dispute_status == "lost"


@given(orders, st.none() | grants(), instants)
def test_content_shows_only_when_paid_for_delivered_in_time_and_within_the_count(
    order: Order, grant: Grant | None, now: datetime
) -> None:
    entitled = (
        order.status is Status.FULFILLED
        and not money_is_back(order)
        and grant is not None
        and now < grant.expires_at
        and grant.downloads < grant.max_downloads
    )
    assert (look(order, grant, now) is Door.OPEN) == entitled


@given(orders, st.none() | grants(), instants)
def test_money_that_went_back_shuts_every_door(order: Order, grant: Grant | None, now: datetime) -> None:
    refunded = msgspec.structs.replace(order, payment_status=PaymentStatus.REFUNDED)
    lost = msgspec.structs.replace(order, dispute_status="lost")
    assert look(refunded, grant, now) is Door.REVOKED
    assert look(lost, grant, now) is Door.REVOKED


@given(orders, st.none() | grants(), instants)
def test_an_order_that_still_has_its_money_waits_until_it_is_delivered(
    order: Order, grant: Grant | None, now: datetime
) -> None:
    if not money_is_back(order):
        waiting = look(order, grant, now) is Door.WAITING
        assert waiting == (order.status in {Status.PAID, Status.PROCESSING})


@given(orders, grants(), instants, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_time_alone_opens_no_door_that_was_shut(order: Order, grant: Grant, now: datetime, later: timedelta) -> None:
    if look(order, grant, now) in SHUT:
        assert look(order, grant, now + later) in SHUT


@given(orders, grants(), instants)
def test_one_more_download_opens_no_door(order: Order, grant: Grant, now: datetime) -> None:
    used = msgspec.structs.replace(grant, downloads=grant.downloads + 1)
    if look(order, used, now) is Door.OPEN:
        assert look(order, grant, now) is Door.OPEN


@given(grants(), instants)
def test_a_handed_off_order_shows_that_the_seller_delivers(grant: Grant, now: datetime) -> None:
    assert look(sample_order(status=Status.HANDED_OFF), grant, now) is Door.HANDED_OFF


def test_a_fulfilled_order_whose_grant_was_withdrawn_is_shut() -> None:
    assert look(sample_order(status=Status.FULFILLED), None, START) is Door.REVOKED


def test_an_open_dispute_shuts_nothing() -> None:
    for dispute in ("needs_response", "under_review", "won"):
        order = sample_order(status=Status.FULFILLED, dispute_status=dispute)
        grant = Grant("acc_1", "grt_1", "ord_1", 10, 0, START, START + timedelta(hours=48), None)
        assert look(order, grant, START) is Door.OPEN


def test_a_grant_ends_48_hours_after_the_delivery_to_the_microsecond() -> None:
    order = sample_order(status=Status.FULFILLED)
    made = new_grant(order, "grt_1", START)
    assert made.expires_at == START + timedelta(hours=48)
    grant = Grant("acc_1", made.id, made.order_id, made.max_downloads, 0, START, made.expires_at, None)
    assert look(order, grant, made.expires_at - MICROSECOND) is Door.OPEN
    assert look(order, grant, made.expires_at) is Door.EXPIRED


def test_the_tenth_download_is_the_last() -> None:
    order = sample_order(status=Status.FULFILLED)
    made = new_grant(order, "grt_1", START)
    doors = [
        look(order, Grant("acc_1", "grt_1", "ord_1", made.max_downloads, used, START, made.expires_at, None), START)
        for used in (0, 9, 10)
    ]
    assert doors == [Door.OPEN, Door.OPEN, Door.EXHAUSTED]


@given(st.integers(1, 10_000), st.integers(1, 10_000), instants)
def test_a_grant_holds_what_the_order_was_promised(hours: int, downloads: int, now: datetime) -> None:
    made = new_grant(sample_order(grant_after=hours, grant_downloads=downloads), "grt_1", now)
    assert made.max_downloads == downloads
    assert made.expires_at - now == timedelta(hours=hours)
    assert (made.account_id, made.order_id, made.id) == ("acc_1", "ord_1", "grt_1")


links = st.tuples(parts, parts, st.integers())


@given(links, links)
def test_no_two_links_sign_the_same_message(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (link_message(*one) == link_message(*other)) == (one == other)
