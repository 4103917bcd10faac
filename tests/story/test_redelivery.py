"""Telling again what was told before: one delivery, one order, a stretch of the log; and how often that may be asked.

The clock stands still unless a test moves it, so nobody polls: what is asked for is sent because the asking has woken the worker.
"""

import json
from typing import Any

import pytest

from market import Hook, Market, expect, looks


def event_id(hook: Hook) -> str:
    return next(value for key, value in hook.headers.items() if key.lower() == "webhook-id")


async def deliveries(market: Market, endpoint: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = expect(await market.shop.get(f"/v1/webhooks/{endpoint}/deliveries?{query}"), 200)[
        "data"
    ]
    return found


async def until(market: Market, endpoint: str, status: str, count: int) -> list[dict[str, Any]]:
    """Return the deliveries of the endpoint in `status` once there are `count`."""
    async for _ in looks():
        if len(found := await deliveries(market, endpoint, f"status={status}")) >= count:
            return found
    raise AssertionError(await deliveries(market, endpoint))


async def test_ev_13_redeliver_tells_an_order_s_events_again_to_its_callback(market: Market) -> None:
    listing = await market.generated()
    own = expect(await market.shop.post("/v1/webhooks", json={"url": market.outside.hook_url + "?own"}), 201)
    deaf = expect(
        await market.shop.post("/v1/webhooks", json={"url": market.outside.hook_url, "events": ["order.refunded"]}), 201
    )
    paused = expect(
        await market.shop.post("/v1/webhooks", json={"url": market.outside.hook_url, "enabled": False}), 201
    )
    order = await market.order(await market.buy(listing))
    content = {"type": "text", "value": "made for you"}
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=content), 200)
    first = [await market.outside.next_hook() for _ in range(4)]

    ack = expect(await market.shop.post(f"/v1/orders/{order['id']}/redeliver"), 202)
    assert ack == {"object": "redelivery_ack", "order_id": order["id"], "scheduled_attempts": 4}
    second = [await market.outside.next_hook() for _ in range(4)]
    assert sorted(map(event_id, second)) == sorted(map(event_id, first))
    assert {hook.body for hook in second} == {hook.body for hook in first}
    for endpoint in (listing["callback_endpoint_id"], own["id"]):
        told = await until(market, endpoint, "delivered", 4)
        assert sorted((one["generation"], one["attempt_count"]) for one in told) == [(1, 1), (1, 1), (2, 1), (2, 1)]
    assert await deliveries(market, deaf["id"]) == []
    assert [one["status"] for one in await deliveries(market, paused["id"])] == ["parked", "parked"]
    only = await deliveries(market, own["id"], f"order_id={order['id']}&event_id={event_id(first[0])}")
    assert {one["event_id"] for one in only} == {event_id(first[0])}


async def test_nobody_to_tell_is_no_error_and_limits_are_kept_by_order_and_by_key(market: Market) -> None:
    listing = await market.listing()
    orders = [await market.order(await market.buy(listing)) for _ in range(11)]
    path = f"/v1/orders/{orders[0]['id']}/redeliver"
    keyed = {"Idempotency-Key": "once"}
    acks = [expect(await market.shop.post(path, headers=keyed), 202) for _ in range(3)]
    assert {ack["scheduled_attempts"] for ack in acks} == {0}
    for _ in range(9):
        market.later(seconds=60)
        expect(await market.shop.post(path), 202)
    refused = await market.shop.post(path)
    assert expect(refused, 429)["code"] == "rate_limited"
    assert refused.headers["Retry-After"] == str(3600 - 9 * 60)
    for order in orders[1:10]:
        for _ in range(10):
            market.later(seconds=1)
            expect(await market.shop.post(f"/v1/orders/{order['id']}/redeliver"), 202)
    assert expect(await market.shop.post(f"/v1/orders/{orders[10]['id']}/redeliver"), 429)["retry_after"] > 0
    market.later(seconds=3600)
    expect(await market.shop.post(path), 202)
    expect(await market.shop.post("/v1/orders/ord_of_nobody/redeliver"), 404)


async def test_a_retry_brings_a_waiting_attempt_forward_and_makes_a_closed_one_anew(market: Market) -> None:
    listing = await market.generated()
    endpoint = listing["callback_endpoint_id"]
    market.outside.answers[:] = [500]
    await market.buy(listing)
    await market.outside.next_hook()
    [told] = await until(market, endpoint, "waiting", 1)
    while not told["attempt_count"]:
        [told] = await deliveries(market, endpoint)
    keyed = {"Idempotency-Key": "sooner"}
    retried = expect(await market.shop.post(f"/v1/deliveries/{told['id']}/retry", headers=keyed), 202)
    assert (retried["id"], retried["status"]) == (told["id"], "waiting")
    assert retried["next_attempt_at"] < told["next_attempt_at"]
    await market.outside.next_hook()
    [told] = await until(market, endpoint, "delivered", 1)
    assert told["attempt_count"] == 2

    again = expect(await market.shop.post(f"/v1/deliveries/{told['id']}/retry"), 202)
    assert (again["generation"], again["event_id"], again["status"]) == (2, told["event_id"], "waiting")
    assert event_id(await market.outside.next_hook()) == told["event_id"]
    expect(await market.shop.patch(f"/v1/webhooks/{endpoint}", json={"enabled": False}), 200)
    assert expect(await market.shop.post(f"/v1/deliveries/{told['id']}/retry"), 409)["code"] == "conflict"


async def test_a_stretch_of_the_log_is_counted_and_told_again(market: Market) -> None:
    listing = await market.listing()
    for _ in range(3):
        await market.buy(listing)
        market.later(minutes=10)
    events = await market.events("type=order.paid")
    made = expect(
        await market.shop.post("/v1/webhooks", json={"url": market.outside.hook_url, "events": ["order.paid"]}), 201
    )
    path = f"/v1/webhooks/{made['id']}/replay"

    async def count(**asked: Any) -> int:
        counted = expect(await market.shop.post(path, json={"dry_run": True, **asked}), 202)
        assert (counted["status"], counted["id"], counted["made"]) == ("dry_run", None, 0)
        return int(counted["found"])

    assert await count() == 3
    assert await count(types=["order.fulfilled"]) == 0
    assert await count(after=events[0]["id"]) == 2
    assert await count(before=events[2]["id"], after=events[0]["id"]) == 1
    assert await count(after=events[0]["created_at"]) == 2
    assert await count(before=events[0]["created_at"]) == 0
    assert await count(after=events[0]["created_at"], before=events[2]["created_at"]) == 1
    assert market.outside.hooks.empty()

    begun = expect(await market.shop.post(path, json={"after": events[0]["id"]}), 202)
    assert (begun["status"], begun["found"], begun["made"]) == ("done", 2, 2)
    assert expect(await market.shop.get(f"/v1/replays/{begun['id']}"), 200) == begun
    came = {event_id(await market.outside.next_hook()) for _ in range(2)}
    assert came == {event["id"] for event in events[1:]}
    await until(market, made["id"], "delivered", 2)
    assert await count(scope="missed") == 1


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"after": "yesterday"}, 422, "after"),
        ({"before": "evt_of_nobody"}, 404, "before"),
        ({"types": ["order.eaten"]}, 422, "types.0"),
        ({"dryrun": True}, 422, "dryrun"),
    ],
)
async def test_a_replay_of_nothing_sensible_is_refused(
    market: Market, asked: dict[str, Any], status: int, param: str
) -> None:
    made = expect(await market.shop.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/"}), 201)
    assert expect(await market.shop.post(f"/v1/webhooks/{made['id']}/replay", json=asked), status)["param"] == param


async def test_a_long_replay_is_told_bit_by_bit_and_stops_when_its_endpoint_is_paused(market: Market) -> None:
    tools, account = market.shop.tools, market.shop.account.id
    events = [(account, f"evt_{n:04}", "order.disputed", None, None, json.dumps({"n": n})) for n in range(620)]
    await tools.database.write("SELECT events_append($1::event_new[], $2)", events, tools.clock.now())
    made = expect(
        await market.shop.post("/v1/webhooks", json={"url": market.outside.hook_url, "rate_limit": 1000}), 201
    )
    begun = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/replay"), 202)
    assert (begun["status"], begun["found"], begun["made"]) == ("running", 620, 500)
    came: set[str] = set()
    while len(came) < 620:
        # Faster than the leases can be renewed: what is under way may be sent a second time.
        market.later(seconds=1)
        while not market.outside.hooks.empty():
            came.add(event_id(market.outside.hooks.get_nowait()))
        expect(await market.shop.get("/v1/ping"), 200)
    assert came == {event[1] for event in events}
    done = expect(await market.shop.get(f"/v1/replays/{begun['id']}"), 200)
    assert (done["status"], done["made"]) == ("done", 620)

    again = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/replay"), 202)
    expect(await market.shop.patch(f"/v1/webhooks/{made['id']}", json={"enabled": False}), 200)
    while expect(await market.shop.get(f"/v1/replays/{again['id']}"), 200)["status"] != "stopped":
        market.later(seconds=1)
    refused = expect(await market.shop.post(f"/v1/webhooks/{made['id']}/replay"), 409)
    assert "enable" in refused["detail"]
