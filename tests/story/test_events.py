"""The log as it is read by waiting for what comes, and as a stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from fakes import FakeClock
from market import Market, expect


async def until_waiting(market: Market, requests: int) -> None:
    """Give way until so many requests wait for events."""
    async with asyncio.timeout(30):
        while market.app.watch.waiting != requests:  # noqa: ASYNC110  # gives way; there is no signal for it
            await asyncio.sleep(0)


async def page(market: Market, query: str = "") -> Any:
    return expect(await market.shop.get(f"/v1/events?{query}"), 200)


@contextlib.asynccontextmanager
async def streamed(market: Market, query: str = "", **headers: str) -> AsyncIterator[aiohttp.StreamReader]:
    """Open the stream."""
    told = {"Authorization": f"Bearer {market.shop.key}"} | headers
    url = f"{market.shop.url}/v1/events/stream?{query}"
    async with market.shop.session.get(url, headers=told) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        yield answer.content


async def message(stream: aiohttp.StreamReader) -> dict[str, str]:
    """Return the next message of a stream, by its fields; a comment's field is empty."""
    async with asyncio.timeout(30):
        block = (await stream.readuntil(b"\n\n")).decode()
    fields = [line.partition(": ") for line in block.splitlines() if line]
    return {name: value for name, _, value in fields}


async def test_a_request_that_waits_is_answered_when_an_event_comes_that_fits(market: Market) -> None:
    listing, other = await market.listing(), await market.listing()
    waits = [
        asyncio.create_task(page(market, f"wait=30&{query}"))
        for query in (
            "",
            f"listing_id={listing['id']}",
            "type=order.fulfilled",
            f"type=order.paid&listing_id={other['id']}",
        )
    ]
    await until_waiting(market, 4)
    await market.buy(listing)
    found = [(await waiting)["data"] for waiting in waits[:3]]
    assert [[event["type"] for event in events] for events in found] == [
        ["order.paid", "order.fulfilled"],
        ["order.paid", "order.fulfilled"],
        ["order.fulfilled"],
    ]
    assert not waits[3].done()
    await market.buy(other)
    [paid] = (await waits[3])["data"]
    assert paid["listing_id"] == other["id"]
    await until_waiting(market, 0)


async def test_a_request_waits_for_what_comes_after_its_cursor_and_no_longer_than_it_said(market: Market) -> None:
    listing = await market.listing()
    await market.buy(listing)
    last = (await market.events())[-1]
    waiting = asyncio.create_task(page(market, f"after={last['id']}&wait=20"))
    await until_waiting(market, 1)
    market.later(seconds=19)
    await until_waiting(market, 1)
    assert not waiting.done()
    market.later(seconds=1)
    assert await waiting == {"object": "list", "data": [], "has_more": False, "cursor": None}
    assert (await page(market, "wait=20&limit=1"))["has_more"] is True
    refused = await market.shop.get("/v1/events?wait=5&order=desc")
    assert (refused.status, refused.json["param"]) == (422, "wait")
    for wait in ("31", "-1", "soon"):
        assert (await market.shop.get(f"/v1/events?wait={wait}")).json["param"] == "wait"


async def test_whoever_leaves_is_waited_for_no_longer(market: Market) -> None:
    waiting = asyncio.create_task(page(market, "wait=30"))
    await until_waiting(market, 1)
    waiting.cancel()
    async with streamed(market) as stream:
        await message(stream)
        await until_waiting(market, 1)
    await until_waiting(market, 0)


async def test_an_event_is_seen_though_its_ring_was_lost(market: Market, clock: FakeClock) -> None:
    waiting = asyncio.create_task(page(market, "wait=30"))
    await until_waiting(market, 1)
    market.app.wake._subscribers.discard(market.app.watch._rung)
    await market.buy(await market.listing())
    assert not waiting.done()
    clock.advance(seconds=2)
    assert len((await waiting)["data"]) > 0


async def test_a_stream_gives_each_event_as_it_is_stored_and_goes_on_after_the_last_one_seen(market: Market) -> None:
    listing = await market.listing()
    await market.buy(listing)
    async with streamed(market) as stream:
        assert await message(stream) == {"retry": "1000"}
        paid, fulfilled = await message(stream), await message(stream)
        await until_waiting(market, 1)
        market.later(seconds=15)
        assert list(await message(stream)) == [""]
        await market.buy(listing)
        third = await message(stream)
    stored = await market.events()
    assert [paid["id"], fulfilled["id"], third["id"]] == [event["id"] for event in stored[:3]]
    assert [paid["event"], fulfilled["event"]] == ["order.paid", "order.fulfilled"]
    one = await market.shop.get(f"/v1/events/{paid['id']}")
    assert paid["data"].encode() == one.body

    async with streamed(market, f"after={stored[0]['id']}", **{"Last-Event-ID": fulfilled["id"]}) as again:
        await message(again)
        assert [(await message(again))["id"] for _ in range(2)] == [event["id"] for event in stored[2:]]
    async with streamed(market, f"type=order.paid&after={stored[0]['id']}") as filtered:
        await message(filtered)
        assert json.loads((await message(filtered))["data"]) == stored[2]
    assert (await market.shop.get("/v1/events/stream?after=evt_unknown")).status == 404
    assert (await market.shop.ask("HEAD", "/v1/events/stream")).status == 200


async def test_a_stop_ends_what_waits(market: Market) -> None:
    waiting = asyncio.create_task(page(market, "wait=30"))
    async with streamed(market) as stream:
        await message(stream)
        await until_waiting(market, 2)
        market.app.watch.stop()
        assert (await waiting)["data"] == []
        async with asyncio.timeout(30):
            assert await stream.read() == b""
    assert (await page(market, "wait=30"))["data"] == []
