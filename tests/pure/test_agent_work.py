"""What an agent does with what its functions return or raise, and with its file, before any server is asked."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from purvey.agent.goods import File, Text, Url, listed
from purvey.agent.ledger import Ledger, StateInUse
from purvey.agent.work import Wanted, Work
from purvey.client import AsyncPurvey
from purvey.client.errors import NotFound
from purvey.client.objects import Event

REFUNDED = Event(
    {"id": "evt_1", "sequence": 1, "type": "order.refunded", "listing_id": None, "order_id": "ord_1", "data": {}}
)


def working(handler: Any, ledger: Ledger) -> Work:
    """Return work that nobody is asked about: an event that is no payment, and a function that delivers nothing."""
    return Work(AsyncPurvey("lb_key", "http://127.0.0.1:1"), [Wanted("order.refunded", None, handler)], ledger, 8)


def test_what_is_returned_is_a_good_or_a_list_of_goods() -> None:
    assert listed("a") == listed(("a",)) == [Text("a")]
    assert listed([Url("https://example.com"), File("a.pdf")]) == [Url("https://example.com"), File("a.pdf")]
    assert listed(None) == listed([]) == []


@pytest.mark.parametrize("returned", [5, {"type": "text", "value": "a"}, b"abc", {"a", "b"}, ["a", 5], [["a"]]])
def test_what_is_no_good_is_told_what_would_be_one(returned: Any) -> None:
    with pytest.raises(TypeError, match="A handler returns Text, Url, File, str, a list of these or None, not "):
        listed(returned)


def test_a_file_of_state_is_one_agent_s(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    first = Ledger(state)
    with pytest.raises(StateInUse, match="Another agent writes to "):
        Ledger(state)
    Ledger(tmp_path / "other.json").close()
    first.close()
    Ledger(state).close()


async def test_a_stop_does_not_wait_for_what_is_to_be_run_again_later() -> None:
    pausing, forever = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        pausing.set()
        await forever.wait()

    def fails(_event: Event) -> None:
        raise RuntimeError("no luck")

    ledger = Ledger(None)
    work = working(fails, ledger)
    work.sleep = sleep
    assert work.accept(REFUNDED)
    async with asyncio.timeout(30):
        await pausing.wait()
        await work.stop(within=3600)
    assert not ledger.is_done(REFUNDED)


async def test_a_function_that_raises_what_the_client_raises_is_run_again() -> None:
    calls: list[str] = []
    done = asyncio.Event()

    async def looks_elsewhere(event: Event) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise NotFound(404, {"detail": "No listing with the id 'lst_other'."}, {})
        done.set()

    async def sleep(_seconds: float) -> None:
        return

    ledger = Ledger(None)
    work = working(looks_elsewhere, ledger)
    work.sleep = sleep
    work.accept(REFUNDED)
    async with asyncio.timeout(30):
        await done.wait()
        await work.stop(within=30)
    assert (calls, ledger.is_done(REFUNDED)) == (["evt_1", "evt_1"], True)
