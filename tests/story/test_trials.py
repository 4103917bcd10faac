"""Testing an endpoint: what was sent is shown to the byte, and what came back as it came."""

from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from fakes import FakeClock
from market import Hook, Market, expect
from served import reserved_port


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts in the present: the library that checks signatures looks at the machine's."""
    return FakeClock(datetime.now(UTC))


async def endpoint(market: Market, **fields: Any) -> dict[str, Any]:
    asked = {"url": market.outside.hook_url, **fields}
    made: dict[str, Any] = expect(await market.shop.post("/v1/webhooks", json=asked), 201)
    return made


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in dict(headers).items()}


async def test_a_test_shows_exactly_what_was_sent_and_answered(market: Market) -> None:
    made = await endpoint(market, events=["order.refunded"])
    market.outside.answers[:] = [503]
    told = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/test"), 200)
    hook: Hook = await market.outside.next_hook()
    assert told["request"]["url"] == made["url"]
    assert told["request"]["body"].encode() == hook.body
    came = lowered(hook.headers)
    assert lowered(told["request"]["headers"]) == came
    assert told["address"] == "127.0.0.1"
    assert (told["status"], told["answer"]["status"], told["error"]) == ("failed", 503, None)
    assert "server" in lowered(told["answer"]["headers"])
    event = Webhook(made["secret"]).verify(hook.body, dict(hook.headers))
    assert (event["type"], event["test"], event["sequence"]) == ("order.refunded", True, 0)


async def test_a_sample_looks_like_the_real_thing_and_is_not_in_the_log(market: Market) -> None:
    listing = await market.listing()
    made = await endpoint(market, listing_id=listing["id"])
    for kind in ("order.paid", "order.fulfilled", "order.refunded", "order.disputed"):
        told = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/test", json={"type": kind}), 200)
        assert (told["status"], told["answer"]["body"]) == ("delivered", "")
    samples = [
        Webhook(made["secret"]).verify(hook.body, dict(hook.headers))
        for hook in [await market.outside.next_hook() for _ in range(4)]
    ]
    assert await market.events() == []
    assert expect(await market.shop.get(f"/v1/webhooks/{made['id']}/deliveries"), 200)["data"] == []
    assert await market.shop.tools.database.value("SELECT tokens FROM lanes WHERE kind = 'webhook'") is None
    await market.buy(listing)
    real = await market.events()
    assert {*samples[0]} - {"test"} == {*real[0]}
    assert [{*sample["data"]} for sample in samples[:2]] == [{*event["data"]} for event in real]
    assert samples[0]["data"]["status"] == real[0]["data"]["status"] == "paid"
    assert expect(await market.shop.get(f"/v1/orders/{samples[0]['order_id']}"), 404)["code"] == "not_found"


async def test_a_test_that_reaches_nobody_says_where_it_ended(market: Market) -> None:
    with reserved_port() as port:
        made = await endpoint(market, url=f"http://127.0.0.1:{port}/", enabled=False)
        told = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/test"), 200)
    assert (told["status"], told["answer"], told["error"]["stage"]) == ("failed", None, "connect")
    assert told["error"]["reason"]


async def test_tests_are_counted_and_one_with_a_key_is_made_once(market: Market) -> None:
    made = await endpoint(market)
    path = f"/v1/webhooks/{made['id']}/test"
    keyed = [await market.shop.post(path, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert keyed[0].body == keyed[1].body
    assert expect(keyed[0], 200)["status"] == "delivered"
    for _ in range(9):
        expect(await market.shop.post(path), 200)
    assert expect(await market.shop.post(path), 429)["code"] == "rate_limited"
    assert market.outside.hooks.qsize() == 10
