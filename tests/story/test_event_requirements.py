"""The requirements EV-1 to EV-13, each by its number: what the log holds, and how it is read.

EV-10, the loop through outages, is in `test_reconciling`, and EV-13, telling again, in `test_redelivery`.
"""

import asyncio
import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from market import Hook, Market, expect, looks
from purvey import Purvey
from story import seed_reconciling

GOODS = {"deliverables": [{"type": "text", "value": "made for you"}]}
DISPUTED = "4000 0000 0000 0259"
FACTS = ["order.paid", "order.fulfilled", "order.refunded", "order.disputed"]


async def page(market: Market, query: str = "") -> dict[str, Any]:
    """Return one page of the log."""
    found: dict[str, Any] = expect(await market.shop.get(f"/v1/events?{query}"), 200)
    return found


async def whole(market: Market, query: str = "", limit: int = 1) -> list[Any]:
    """Return what all pages hold, following the cursor under the same filters."""
    read, cursor = [], ""
    while True:
        found = await page(market, f"{query}&limit={limit}&cursor={cursor}")
        read += found["data"]
        if not found["has_more"]:
            return read
        assert len(found["data"]) == limit
        cursor = found["cursor"]


def ids(events: list[Any]) -> list[str]:
    return [event["id"] for event in events]


async def until_types(market: Market, *types: str) -> list[Any]:
    """Return the events once there are those of these types, in this order."""
    async for _ in looks():
        market.later(seconds=6)  # the bank takes as long to open a dispute
        events = await market.events()
        if len(events) >= len(types):
            break
    assert [event["type"] for event in events] == list(types)
    return events


async def until_attempts(market: Market, endpoint: str, count: int) -> Any:
    """Return the endpoint's only delivery once so many attempts are recorded."""
    async for _ in looks():
        [told] = expect(await market.shop.get(f"/v1/webhooks/{endpoint}/deliveries"), 200)["data"]
        if told["attempt_count"] == count:
            return told
    raise AssertionError(told)


async def test_ev_1_an_event_is_in_the_log_though_all_seven_attempts_failed(market: Market) -> None:
    listing = await market.generated()
    market.outside.answers[:] = [500] * 7
    order = await market.order(await market.buy(listing))
    sent = (await market.outside.next_hook()).body
    for number in range(1, 8):
        told = await until_attempts(market, listing["callback_endpoint_id"], number)
        if number < 7:
            market.later(seconds=30 * 3600 if number == 6 else 3 * 3600)
            await market.outside.next_hook()
    assert told["status"] == "given_up"
    log = await market.shop.get("/v1/events")
    [event] = log.json["data"]
    assert (event["type"], event["order_id"], event["id"]) == ("order.paid", order["id"], told["event_id"])
    assert sent in log.body
    assert (await market.shop.get(f"/v1/events/{event['id']}")).body == sent


async def test_ev_2_there_are_four_types_and_each_is_told_when_its_fact_is_true(market: Market) -> None:
    made = await market.order(await market.buy(await market.generated()))
    assert [event["type"] for event in await market.events()] == ["order.paid"]
    expect(await market.shop.post(f"/v1/orders/{made['id']}/fulfill", json=GOODS), 200)
    await market.buy(await market.listing())
    told = ["order.paid", "order.fulfilled", "order.paid", "order.fulfilled"]
    assert [event["type"] for event in await market.events()] == told
    expect(await market.shop.post(f"/v1/orders/{made['id']}/refund", json={"amount": 200}), 200)
    assert [event["type"] for event in await market.events()] == told
    expect(await market.shop.post(f"/v1/orders/{made['id']}/refund"), 200)
    checkout = await market.checkout(await market.listing())
    await market.pay(checkout, DISPUTED)
    events = await until_types(market, *told, "order.refunded", "order.paid", "order.fulfilled", "order.disputed")
    assert ids([event for event in events if event["order_id"] == made["id"]]) == ids([*events[:2], events[4]])
    for type_ in FACTS:
        assert ids(await whole(market, f"type={type_}")) == ids([event for event in events if event["type"] == type_])
    refused = await market.shop.get("/v1/events?type=order.created")
    assert expect(refused, 422)["param"] == "type"
    assert all(type_ in refused.json["detail"] for type_ in FACTS)


async def test_ev_3_nothing_is_told_of_listings(market: Market) -> None:
    listing = await market.generated()
    path = f"/v1/listings/{listing['id']}"
    expect(await market.shop.ask("PATCH", path, json={"description": "new"}), 200)
    for step in ("unpublish", "publish", "archive"):
        expect(await market.shop.post(f"{path}/{step}"), 200)
    draft = await market.listing(publish=False)
    expect(await market.shop.ask("DELETE", f"/v1/listings/{draft['id']}"), 204)
    assert await page(market) == {"object": "list", "data": [], "has_more": False, "cursor": None}
    assert market.outside.hooks.empty()


async def test_ev_4_each_filter_leaves_what_fits_and_a_page_is_as_long_as_asked(market: Market) -> None:
    listing, other = await market.listing(), await market.listing()
    orders = [await market.order(await market.buy(one)) for one in (listing, other, listing)]
    events = (await page(market, "limit=100"))["data"]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5, 6]
    mine = [event for event in events if event["listing_id"] == listing["id"]]
    for query, wanted in (
        (f"listing_id={listing['id']}", mine),
        ("type=order.paid", events[::2]),
        (f"listing_id={listing['id']}&type=order.fulfilled", mine[1::2]),
        (f"order_id={orders[1]['id']}", events[2:4]),
        (f"order_id={orders[1]['id']}&listing_id={listing['id']}", []),
        (f"after={events[2]['id']}", events[3:]),
        (f"after={events[2]['id']}&type=order.paid", events[4:5]),
        (f"after={events[2]['id']}&limit=2", events[3:5]),
        (f"after={events[2]['id']}&order=desc", events[1::-1]),
        ("order=desc&type=order.paid", events[4::-2]),
        ("type=order.refunded", []),
        ("limit=1", events[:1]),
        ("", events),
    ):
        assert (await page(market, query))["data"] == wanted, query
    for limit in ("0", "101", "many"):
        assert expect(await market.shop.get(f"/v1/events?limit={limit}"), 422)["param"] == "limit"


async def test_ev_5_a_page_says_whether_there_is_more_and_where_it_ended(market: Market) -> None:
    await market.buy(await market.listing())
    paid, fulfilled = await market.events()
    first = {"object": "list", "data": [paid], "has_more": True, "cursor": paid["id"]}
    assert await page(market, "limit=1") == first
    last = {"object": "list", "data": [fulfilled], "has_more": False, "cursor": fulfilled["id"]}
    assert await page(market, f"limit=1&cursor={paid['id']}") == last
    beyond = {"object": "list", "data": [], "has_more": False, "cursor": None}
    assert await page(market, f"limit=1&cursor={fulfilled['id']}") == beyond


async def test_ev_6_the_cursor_leads_on_under_the_same_filters(market: Market) -> None:
    listing, other = await market.listing(), await market.listing()
    for one in (listing, other, listing, other):
        await market.buy(one)
    events = await market.events()
    mine = [event for event in events if event["listing_id"] == listing["id"]]
    for limit in (1, 2, 3):
        assert await whole(market, "", limit) == events
        assert await whole(market, f"listing_id={listing['id']}", limit) == mine
        assert await whole(market, "type=order.paid", limit) == events[::2]
        assert await whole(market, f"listing_id={listing['id']}&type=order.paid", limit) == mine[::2]
        assert await whole(market, "order=desc", limit) == events[::-1]


async def test_ev_7_an_event_looks_as_the_document_shows_it(market: Market) -> None:
    listing = await market.generated(price=4900)
    order = await market.order(await market.buy(listing))
    [event] = await market.events()
    data = event["data"]
    assert event == {
        "object": "event",
        "id": event["id"],
        "type": "order.paid",
        "sequence": 1,
        "account_id": market.shop.account.id,
        "listing_id": listing["id"],
        "order_id": order["id"],
        "created_at": event["created_at"],
        "data": data,
    }
    prefixes = {"id": "evt_", "account_id": "acc_", "listing_id": "lst_", "order_id": "ord_"}
    assert all(event[field].startswith(prefix) for field, prefix in prefixes.items())
    assert (data["object"], data["id"], data["amount"]) == ("order", order["id"], 4900)
    assert data["status"] == "paid"


async def test_ev_8_an_event_names_its_order_is_dated_in_utc_and_is_a_cursor_itself(market: Market) -> None:
    listings = [await market.listing() for _ in range(2)]
    orders = []
    for listing in listings:
        orders.append(await market.order(await market.buy(listing)))
        market.later(hours=5)
    events = await market.events()
    told = [(event["listing_id"], event["order_id"]) for event in events]
    assert told == [(listing["id"], order["id"]) for listing, order in zip(listings, orders, strict=True) for _ in "12"]
    dated = [datetime.fromisoformat(event["created_at"]) for event in events]
    assert all(event["created_at"].endswith("Z") for event in events)
    assert (dated[2] - dated[0]).total_seconds() == 5 * 3600
    assert dated[0].astimezone(UTC).isoformat()[:16] == "2026-04-17T10:23"
    for place, event in enumerate(events):
        for name in ("after", "cursor"):
            assert (await page(market, f"{name}={event['id']}"))["data"] == events[place + 1 :]


async def test_ev_9_an_event_holds_the_very_bytes_that_the_callback_got(market: Market) -> None:
    question = {"key": "sign", "type": "text", "label": "Your sign"}
    listing = await market.generated(checkout_schema=[question], metadata={"shelf": "3"})
    order = await market.order(await market.buy(listing, sign="Libra"))
    expect(await market.shop.post(f"/v1/orders/{order['id']}/fulfill", json=GOODS), 200)
    hooks: list[Hook] = [await market.outside.next_hook() for _ in range(2)]
    log = await market.shop.get("/v1/events")
    sent = {json.loads(hook.body)["type"]: hook.body for hook in hooks}
    assert list(sent) == ["order.paid", "order.fulfilled"]
    for event in log.json["data"]:
        assert sent[event["type"]] in log.body
        assert (await market.shop.get(f"/v1/events/{event['id']}")).body == sent[event["type"]]
        data = event["data"]
        assert (data["buyer_email"], data["checkout_data"]) == ("ada@example.com", {"sign": "Libra"})
        assert data["listing"]["metadata"] == {"shelf": "3"}


class NothingLeftError(Exception):
    """The loop has nothing to do for now."""


class Program:
    """What the loop is written around, in a program that has never run before."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.handled: list[int] = []

    def sleep(self, seconds: float) -> None:
        assert seconds == 30
        raise NothingLeftError

    def save_cursor(self, cursor: str) -> None:
        self.cursor = cursor

    def run(self, client: Purvey) -> None:
        """Run the loop until it would sleep."""
        with pytest.raises(NothingLeftError):
            seed_reconciling.run(
                client, self, lambda: self.cursor, self.save_cursor, lambda event: self.handled.append(event.sequence)
            )


async def test_ev_11_the_first_pass_of_the_loop_sees_all_that_ever_happened(market: Market) -> None:
    listing = await market.listing(price=0)
    await asyncio.gather(*[market.checkout(listing) for _ in range(55)])
    everything = list(range(1, 111))
    program = Program()
    with Purvey(market.shop.key, market.shop.url) as client:
        await asyncio.to_thread(program.run, client)
        assert program.handled == everything  # more than one page
        await asyncio.to_thread(program.run, client)
        assert program.handled == everything
    for query in ("after=", "after=&cursor=", ""):
        assert [event["sequence"] for event in await whole(market, query, 100)] == everything


async def test_ev_12_a_callback_that_fails_until_it_is_left_alone_takes_nothing_from_the_log(market: Market) -> None:
    market.outside.answers[:] = [500] * 100
    listing = await market.generated(price=0)
    await asyncio.gather(*[market.checkout(listing) for _ in range(60)])
    endpoint = listing["callback_endpoint_id"]
    async for _ in looks():
        told = expect(await market.shop.get(f"/v1/webhooks/{endpoint}"), 200)
        market.later(seconds=1)
        if told["health"]["state"] == "held_back":
            break
    assert told["health"]["state"] == "held_back"
    events = await whole(market, limit=100)
    assert [event["sequence"] for event in events] == list(range(1, 61))
    assert all(later["created_at"] >= earlier["created_at"] for earlier, later in pairwise(events))
    deliveries = await market.shop.get(f"/v1/webhooks/{endpoint}/deliveries?limit=100&status=waiting")
    assert {one["event_id"] for one in deliveries.json["data"]} == set(ids(events))
