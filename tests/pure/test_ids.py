"""Ids: their shape, their order, and that no chance is lost on the way."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.ids import BASE62, CROCKFORD, Ids

instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


def exactly(chance: bytes) -> Ids:
    """Return a maker of ids whose chance is `chance`, cut to what is asked for."""
    return Ids(lambda length: chance[-length:].rjust(length, b"\0"))


@given(st.integers())
def test_an_id_is_its_prefix_and_22_base62_characters(seed: int) -> None:
    made = Ids(Random(seed).randbytes).new("ord_")  # noqa: S311  # repeats on purpose
    assert made.startswith("ord_")
    assert len(made) == len("ord_") + 22
    assert set(made.removeprefix("ord_")) <= set(BASE62)


def test_every_character_is_as_likely_as_the_others() -> None:
    every_byte = cycle(bytes(range(256)))
    ids = Ids(lambda length: bytes(islice(every_byte, length)))
    made = Counter(ids.secret(length=248 * 3))
    assert set(made) == set(BASE62)
    assert set(made.values()) == {12}


def test_two_ids_differ() -> None:
    ids = Ids()
    assert len({ids.new("grt_") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("length", [22, 32, 43])
def test_a_secret_has_the_length_asked_for(length: int) -> None:
    made = Ids().secret("lb_", length)
    assert made.startswith("lb_")
    assert len(made) == len("lb_") + length
    assert set(made.removeprefix("lb_")) <= set(BASE62)


@given(instants, st.binary(min_size=10, max_size=10))
def test_a_ulid_holds_the_millisecond_and_the_chance(at: datetime, chance: bytes) -> None:
    made = exactly(chance).ulid("evt_", at)
    assert len(made) == len("evt_") + 26
    number = 0
    for digit in made.removeprefix("evt_"):
        number = number * 32 + CROCKFORD.index(digit)
    assert number >> 80 == int(at.timestamp() * 1000)
    assert number & (1 << 80) - 1 == int.from_bytes(chance)


@given(instants, st.integers(1, 10**6), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ulids_sort_by_their_time(at: datetime, milliseconds: int, chance: bytes, other: bytes) -> None:
    later = min(at, datetime(9000, 1, 1, tzinfo=UTC)) + timedelta(milliseconds=milliseconds)
    earlier = later - timedelta(milliseconds=milliseconds + 1)
    assert exactly(chance).ulid("evt_", earlier) < exactly(other).ulid("evt_", later)
