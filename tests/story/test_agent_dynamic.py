"""An agent that answers dynamic callbacks: once for each order, and the same again to whoever calls again."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from calling import callback, letters, order_of, until
from market import PATIENCE, Market, expect
from purvey.agent import Agent, DynamicOrder
from purvey.server.fulfillment.kinds.dynamic.signing import request_headers
from served import listening


async def sold(market: Market, path: str = "/dynamic", url: str = "http://127.0.0.1:1") -> dict[str, Any]:
    """Put a dynamic listing on sale."""
    return await market.listing(name="Pack", content_type="dynamic", dynamic_webhook=url + path)


async def pointed(market: Market, listing: dict[str, Any], url: str) -> None:
    """Let the listing's calls go to `url`."""
    expect(await market.shop.patch(f"/v1/listings/{listing['id']}", json={"dynamic_webhook": url}), 200)


def clocked(agent: Agent, market: Market) -> Agent:
    agent.clock = lambda: market.shop.clock.now().timestamp()
    return agent


async def paid(market: Market, listing: dict[str, Any]) -> dict[str, Any]:
    checkout = await market.checkout(listing)
    expect(await market.pay(checkout), 200)
    return await order_of(market, checkout)


async def raw(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.read()


def headers_of(market: Market, sent: dict[str, Any], secret: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of one more attempt of a callback."""
    body = json.dumps(sent["body"], separators=(",", ":"), ensure_ascii=False).encode()
    return body, request_headers(key=sent["id"], body=body, secret=secret, at=market.shop.clock.now(), version="1")


async def test_an_agent_answers_a_paid_order_and_a_retry_is_given_the_same_bytes(
    market: Market, tmp_path: Path
) -> None:
    listing = await sold(market)
    secret, orders = listing["dynamic_webhook_secret"], list[DynamicOrder]()

    def made() -> Agent:
        agent = clocked(Agent(state=tmp_path / "state.json"), market)  # without a key: it asks nothing of the server

        @agent.dynamic(secret=["an older one", secret])
        def token(order: DynamicOrder) -> dict[str, Any]:
            orders.append(order)
            return {"service_text": "Thank you, Jörg.", "dynamic_response": {"token": f"t{len(orders)}"}}

        return agent

    async with listening(made()) as url:
        await pointed(market, listing, f"{url}/dynamic")
        order = await paid(market, listing)
        done = await until(market, order, status="fulfilled")
        items = {"service_text": "Thank you, Jörg.", "dynamic_response": {"token": "t1"}}
        assert done["delivered_items"] == items | {"deliveryType": "DYNAMIC", "count": 1}
        assert (orders[0].id, orders[0].listing_id, orders[0].buyer_email) == (
            order["id"],
            listing["id"],
            "ada@example.com",
        )
        sent = expect(await market.shop.get(f"/v1/orders/{order['id']}/callback"), 200)
        body, headers = headers_of(market, sent, secret)
        again = [await raw(f"{url}/dynamic", body, headers), await raw(f"{url}/dynamic/", body, headers)]
        trial = expect(await market.shop.post(f"/v1/listings/{listing['id']}/test-callback"), 200)
        assert (trial["status"], orders[-1].is_test, orders[0].is_test) == ("accepted", True, False)
    async with listening(made()) as url:  # another process, so to speak
        again.append(await raw(f"{url}/dynamic", body, headers))
    assert set(again) == {(200, json.dumps(items).encode())}
    assert len(orders) == 2


async def test_two_copies_at_once_run_the_function_once_and_one_whose_caller_left_is_finished(market: Market) -> None:
    listing = await sold(market)
    entered, gate, runs = asyncio.Event(), asyncio.Event(), itertools.count(1)
    agent = clocked(Agent(), market)

    @agent.dynamic("/packs", secret=listing["dynamic_webhook_secret"])
    async def pack(_: DynamicOrder) -> str:
        number = next(runs)
        entered.set()
        await gate.wait()
        return f"pack {number}"

    async with listening(agent) as url:
        await pointed(market, listing, f"{url}/packs")
        order = await paid(market, listing)
        sent = expect(await market.shop.get(f"/v1/orders/{order['id']}/callback"), 200)
        body, headers = headers_of(market, sent, listing["dynamic_webhook_secret"])
        async with asyncio.timeout(PATIENCE):
            await entered.wait()
        leaves = asyncio.create_task(agent.serving.take("/packs", body, headers, agent.clock()))
        await asyncio.sleep(0)
        leaves.cancel()
        copies = [asyncio.create_task(raw(f"{url}/packs", body, headers)) for _ in range(5)]
        gate.set()
        assert set(await asyncio.gather(*copies)) == {(200, b'"pack 1"')}
        done = await until(market, order, status="fulfilled")
    assert done["delivered_items"]["dynamic_response"] == "pack 1"
    assert next(runs) == 2


async def test_a_function_that_raises_is_called_again_and_what_is_no_answer_counts_as_that(market: Market) -> None:
    listing = await sold(market)
    given: list[Any] = [RuntimeError("no stock"), ["a list"], None]
    agent = clocked(Agent(), market)

    @agent.dynamic(secret=listing["dynamic_webhook_secret"])
    def pack(_: DynamicOrder) -> Any:
        one = given.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    async with listening(agent) as url:
        await pointed(market, listing, f"{url}/dynamic")
        order = await paid(market, listing)
        first = (await callback(market, order, 1))["attempts"][0]
        assert (first["status_code"], "RuntimeError" in first["answer"]) == (500, True)
        market.later(seconds=1)
        assert "TypeError" in (await callback(market, order, 2))["attempts"][1]["answer"]
        market.later(seconds=3)
        done = await until(market, order, status="fulfilled")
        assert (done["delivered_items"]["count"], given) == (0, [])


async def test_what_is_not_to_be_believed_is_refused_for_good_and_the_seller_reads_why(market: Market) -> None:
    listing, elsewhere = await sold(market), await sold(market)
    agent = clocked(Agent(), market)

    @agent.dynamic(secret="a secret of another listing")
    def pack(_: DynamicOrder) -> str:
        raise AssertionError

    for wrong, why in (("no slash", "slash"), ("/dynamic", "already")):
        with pytest.raises(ValueError, match=why):
            agent.dynamic(wrong, secret="x")(pack)

    async with listening(agent) as url:
        await pointed(market, listing, f"{url}/dynamic")
        await pointed(market, elsewhere, f"{url}/hook")
        refused = await until(market, await paid(market, listing), delivery_status="failed")
        told = await callback(market, refused, 1)
        assert told["attempts"][0]["status_code"] == 401
        assert "dynamic_webhook_secret of the listing" in told["attempts"][0]["answer"]
        lost = await until(market, await paid(market, elsewhere), delivery_status="failed")
        [attempt] = (await callback(market, lost, 1))["attempts"]
        assert (attempt["status_code"], "served at /dynamic" in attempt["answer"]) == (404, True)
        assert (await raw(f"{url}/dynamic", b"{}", {}))[0] == 401
        assert (await raw(f"{url}/hook", b"{}", {}))[0] == 400
    assert len(await letters(market, 4)) == 2
