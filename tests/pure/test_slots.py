"""The slots of a worker: who counts against them, and from whom nothing more is taken."""

from datetime import timedelta
from uuid import UUID

from fakes import START
from purvey.server.jobs.model import Job
from purvey.server.jobs.slots import Slots

SLOW = START + timedelta(seconds=1)


def job(ref: str, lane: str) -> Job:
    return Job(ref, lane, "test.note", None, ref, 1, START, UUID(int=1), START, 1, START)


def jobs(count: int, lane: str) -> list[Job]:
    return [job(f"{lane}-{number}", lane) for number in range(count)]


def test_a_job_takes_a_slot_until_it_is_given_back() -> None:
    slots = Slots({"web": 3, "mail": 1})
    [one, two] = jobs(2, "web:a")
    slots.take([one, two, *jobs(1, "mail")], START)
    assert slots.free(SLOW) == {"web": 1}
    slots.give_back(one)
    assert slots.free(SLOW) == {"web": 2}
    assert len(slots) == 2


def test_what_waits_for_a_second_gives_up_its_slot_where_that_is_known_to_happen() -> None:
    slots = Slots({"web": 2, "mail": 2}, {"web": 5})
    slots.take([*jobs(2, "web:a"), *jobs(2, "mail")], START)
    assert slots.free(START + timedelta(milliseconds=999)) == {}
    assert slots.full(START)
    assert slots.free(SLOW) == {"web": 2}
    slots.take(jobs(2, "web:b"), SLOW)
    assert slots.free(SLOW + timedelta(seconds=1)) == {"web": 1}
    slots.take(jobs(1, "web:c"), SLOW)
    assert slots.free(SLOW + timedelta(hours=1)) == {}
    assert not slots.full(SLOW)  # nothing becomes free by waiting


def test_lanes_are_shunned_only_while_as_many_wait_as_there_are_slots() -> None:
    slots = Slots({"web": 3}, {"web": 9})
    [first, *others] = [*jobs(2, "web:a"), *jobs(1, "web:b")]
    slots.take([first, *others], START)
    slots.take(jobs(1, "web:c"), SLOW)
    assert slots.shunned(START) == []
    assert slots.shunned(SLOW) == ["web:a", "web:b"]
    slots.give_back(first)
    assert slots.shunned(SLOW) == []


def test_only_kinds_with_many_slots_are_crowded() -> None:
    slots = Slots({"web": 16, "mail": 1})
    slots.take([*jobs(8, "web:a"), *jobs(1, "mail")], START)
    assert not slots.crowded(START)
    slots.take(jobs(1, "web:b"), START)
    assert slots.crowded(START)
