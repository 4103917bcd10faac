"""Receivers that begin to hang, many at once, with much waiting for them: whoever answers is told all the same."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fakes import FakeClock
from purvey.server.app import PATIENCE as PATIENT
from purvey.server.app import SLOTS
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.webhooks.work import Deliver
from queueing import PATIENCE, lane_of, working
from telling import Receiver, append, receiving, set_callback

HANGING = 20
WEBHOOKS = {"webhook": SLOTS["webhook"]}


@pytest.fixture
async def deliver(tools: Tools) -> AsyncIterator[Deliver]:
    http = SafeHttp(allow_private=True)
    yield Deliver(tools, http)
    await http.close()


@contextlib.asynccontextmanager
async def hanging(tools: Tools, each: int) -> AsyncIterator[Receiver]:
    """Have 20 URLs that answer nothing while their receiver's gate is shut, with `each` deliveries waiting for each of them."""
    async with receiving() as receiver:
        receiver.gate.clear()
        for number in range(HANGING):
            await set_callback(tools.database, tools.keyring, f"{receiver.url}/{number}", listing=f"bad{number}")
            await append(tools.database, *(f"evt_{number}_{n}" for n in range(each)), listing=f"bad{number}")
        yield receiver


async def under_way(tools: Tools, jobs: int) -> None:
    """Wait until so many requests are under way."""
    async with asyncio.timeout(PATIENCE):
        while await tools.database.value("SELECT sum(in_flight) FROM lanes") != jobs:
            pass


async def tell(tools: Tools, event: str, receiver: Receiver) -> None:
    """Append an event for a receiver that answers; the first one makes its endpoint."""
    await set_callback(tools.database, tools.keyring, receiver.url, listing="good")
    await append(tools.database, event, listing="good", at=tools.clock.now())


async def test_urls_that_never_answered_hold_up_two_requests_each(tools: Tools, deliver: Deliver) -> None:
    async with contextlib.AsyncExitStack() as end:
        good = await end.enter_async_context(receiving())
        bad = await end.enter_async_context(hanging(tools, each=10))
        wake = await end.enter_async_context(working(tools, [deliver], WEBHOOKS))
        end.callback(bad.gate.set)
        await under_way(tools, 2 * HANGING)
        await tell(tools, "evt_good", good)
        wake.poke()
        assert b"evt_good" in (await good.next()).body
        await under_way(tools, 2 * HANGING)


async def test_urls_that_answered_and_then_hang_delay_the_others_by_a_second_once(
    tools: Tools, clock: FakeClock, deliver: Deliver
) -> None:
    async with receiving() as good, hanging(tools, each=40) as bad:
        await tools.database.write("UPDATE lanes SET width = 32 WHERE kind = 'webhook'")
        async with working(tools, [deliver], WEBHOOKS, patience=PATIENT) as wake, contextlib.AsyncExitStack() as end:
            end.callback(bad.gate.set)
            for _ in range(SLOTS["webhook"]):  # leased is not yet begun, and time counts from the beginning
                await bad.next()
            await tell(tools, "evt_first", good)
            clock.advance(seconds=1)
            wake.poke()
            assert b"evt_first" in (await good.next()).body
            await tell(tools, "evt_second", good)
            wake.poke()
            assert b"evt_second" in (await good.next()).body
            await under_way(tools, SLOTS["webhook"])


async def test_a_url_that_answers_again_is_trusted_with_more_each_time(tools: Tools, deliver: Deliver) -> None:
    async with receiving() as receiver, working(tools, [deliver], WEBHOOKS) as wake:
        await set_callback(tools.database, tools.keyring, receiver.url)
        lane: str = await tools.database.value("SELECT lane_id FROM endpoints")
        assert (await lane_of(tools.database, lane))["width"] == 2
        await append(tools.database, *(f"evt_{n}" for n in range(12)))
        wake.poke()
        for _ in range(12):
            await receiver.next()
        await under_way(tools, 0)
        assert (await lane_of(tools.database, lane))["width"] == 14
