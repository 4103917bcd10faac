"""An agent, written with the kit: it hears by webhooks or from the log, works in the background, and misses nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from market import Bought, Market
from purvey.agent import Agent, File, Text, Url
from purvey.agent.ledger import Ledger
from purvey.agent.work import Work
from purvey.client import AsyncPurvey
from purvey.client.objects import Event
from served import listening
from telling import receiving

QUESTION = {"key": "birth_date", "type": "date", "label": "Your birth date"}


async def fulfilled(market: Market, bought: Bought) -> Any:
    """Return the order once it is fulfilled."""
    order = await market.order(bought)
    async with asyncio.timeout(30):
        [_] = await market.events(f"order_id={order['id']}&type=order.fulfilled&wait=30")
    return await market.order(bought)


async def test_five_lines_deliver_what_was_bought_and_what_comes_again_is_dropped(market: Market) -> None:
    calls: list[str] = []
    listing = await market.generated(checkout_schema=[QUESTION])
    agent = Agent(market.shop.key, market.shop.url, secret=listing["signing_secret"])
    agent.clock = market.shop.clock.now().timestamp

    @agent.on("order.paid")
    def horoscope(event: Event) -> Text:
        calls.append(event.id)
        return Text(f"Born on {event.data.checkout_data['birth_date']}: say yes.")

    async with listening(agent) as url:
        await market.shop.patch(f"/v1/listings/{listing['id']}", json={"agent_callback_url": f"{url}/hook"})
        bought = await market.buy(listing, birth_date="1990-05-15")
        order = await fulfilled(market, bought)
        assert [one["value"] for one in order["deliverables"]] == ["Born on 1990-05-15: say yes."]
        assert (await market.shop.post(f"/v1/orders/{order['id']}/redeliver")).status == 202
        redelivered = await market.events(f"order_id={order['id']}&type=order.paid")
        assert calls == [redelivered[0]["id"]]

        async with market.shop.session.post(url, data=b"{}") as refused:
            assert (refused.status, "did not sign" in await refused.text()) == (400, True)
        async with market.shop.session.get(url) as there:
            assert there.status == 200


async def test_a_function_that_fails_is_called_again_and_may_return_a_file(market: Market, tmp_path: Path) -> None:
    (tmp_path / "chart.pdf").write_bytes(b"%PDF")
    listing = await market.generated()
    agent = Agent(market.shop.key, market.shop.url)
    pauses: list[float] = []
    fails = [RuntimeError("no answer"), TypeError("no idea")]

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    @agent.on("order.paid", listing_id=listing["id"])
    async def chart(event: Event) -> Any:
        assert agent.work is not None
        agent.work.sleep = sleep
        if fails:
            raise fails.pop()
        return [File(tmp_path / "chart.pdf"), Url("https://example.com/chart"), f"for {event.data.buyer_email}"]

    bought = await market.buy(listing)
    polling = asyncio.create_task(agent.polling())
    order = await fulfilled(market, bought)
    assert [one["type"] for one in order["deliverables"]] == ["file", "url", "text"]
    assert pauses == [pytest.approx(1, rel=0.25), pytest.approx(2, rel=0.25)]
    again = await market.buy(listing)
    await fulfilled(market, again)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)


async def test_what_was_accepted_is_done_after_a_restart_and_what_was_done_is_not(
    market: Market, tmp_path: Path
) -> None:
    listing = await market.generated()
    state, calls = tmp_path / "state.json", list[str]()
    entered, forever = asyncio.Event(), asyncio.Event()

    def made(*, hangs: bool) -> Agent:
        agent = Agent(market.shop.key, market.shop.url, secret=listing["signing_secret"], state=state)
        agent.clock = market.shop.clock.now().timestamp

        @agent.on("order.paid")
        async def deliver(event: Event) -> str:
            calls.append(event.data.buyer_email)
            if hangs and event.data.buyer_email == "slow@example.com":
                entered.set()
                await forever.wait()
            return "the goods"

        return agent

    before = await market.buy(listing, "before@example.com")
    agent = made(hangs=True)
    await agent.start()
    await fulfilled(market, before)
    slow = await market.buy(listing, "slow@example.com")
    quick = await market.buy(listing, "quick@example.com")
    for _ in range(4):  # three orders were paid, and one fulfilled
        hook = await market.outside.next_hook()
        agent.receive(hook.body, dict(hook.headers))
    async with asyncio.timeout(30):
        await entered.wait()
    await fulfilled(market, quick)
    assert agent.work is not None
    for task in agent.work._under_way.values():
        task.cancel()
    await agent.stop()
    kept = json.loads(state.read_text())
    assert kept["cursor"] is not None
    missed = await market.buy(listing, "missed@example.com")

    again = made(hangs=False)
    await again.start()
    for bought in (slow, missed):
        await fulfilled(market, bought)
    await again.stop()
    assert sorted(calls) == ["before@example.com", "missed@example.com", "quick@example.com", *["slow@example.com"] * 2]


async def test_an_order_whose_event_is_gone_holds_nobody_up(market: Market, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"cursor": None, "sequence": 0, "done": {}, "owed": ["evt_gone"]}))
    listing = await market.generated()
    agent = Agent(market.shop.key, market.shop.url, state=state)
    agent.on("order.paid")(lambda event: f"for {event.data.buyer_email}")
    polling = asyncio.create_task(agent.polling())
    await fulfilled(market, await market.buy(listing))
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert json.loads(state.read_text())["owed"] == []


async def test_polling_begins_when_the_server_is_there() -> None:
    answers, pauses = [503, 200, 200], list[float]()
    page = {"object": "list", "data": [], "has_more": False, "cursor": None}

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with receiving() as away, AsyncPurvey("lb_key", away.url, max_retries=0) as client:
        away.answering = lambda _: web.json_response(page, status=answers.pop(0))
        work = Work(client, [], Ledger(None), 8)
        work.sleep = sleep
        await Agent("lb_key", away.url)._begin_patiently(client, work)
    assert (answers, len(pauses)) == ([], 1)
