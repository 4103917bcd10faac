"""Endpoints of a seller's own, through HTTP: what they are told, with which signatures, and what becomes of it."""

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from fakes import FakeClock
from market import Hook, Market, expect, looks
from purvey.server.webhooks import checks
from served import Shop

URL = "https://seller.example/hooks"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts in the present: the library that checks signatures looks at the machine's."""
    return FakeClock(datetime.now(UTC))


async def add(market: Market, path: str = "", **fields: Any) -> dict[str, Any]:
    """Make an endpoint at the receiver outside."""
    asked = {"url": market.outside.hook_url + path, **fields}
    made: dict[str, Any] = expect(await market.shop.post("/v1/webhooks", json=asked), 201)
    return made


def header(hook: Hook, name: str) -> str:
    return next(value for key, value in hook.headers.items() if key.lower() == name.lower())


def own_signature(secret: str, hook: Hook) -> str:
    return hmac.new(secret.encode(), hook.body, hashlib.sha256).hexdigest()


async def test_a_secret_is_shown_once_and_an_endpoint_is_what_was_asked_for(shop: Shop) -> None:
    made = expect(await shop.post("/v1/webhooks", json={"url": URL, "events": ["order.paid", "order.paid"]}), 201)
    assert made["secret"].startswith("whsec_")
    assert made["secret_preview"] == made["secret"][-4:]
    seen = expect(await shop.get(f"/v1/webhooks/{made['id']}"), 200)
    assert seen == {key: value for key, value in made.items() if key != "secret"}
    assert seen == {
        "object": "webhook_endpoint",
        "id": made["id"],
        "kind": "account",
        "name": "seller.example",
        "url": URL,
        "events": ["order.paid"],
        "listing_id": None,
        "enabled": True,
        "disabled_reason": None,
        "signature_format": "body",
        "rate_limit": None,
        "secret_preview": made["secret"][-4:],
        "previous_secret_until": None,
        "health": {"state": "ok", "failed_in_row": 0, "held_until": None},
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    changes = {"name": "Books", "rate_limit": 2.5, "signature_format": "timestamped", "events": [], "enabled": False}
    changed = expect(await shop.patch(f"/v1/webhooks/{made['id']}", json=changes), 200)
    assert {key: changed[key] for key in changes} == changes
    assert changed["disabled_reason"] == "by_seller"
    assert expect(await shop.put(f"/v1/webhooks/{made['id']}", json={"rate_limit": None}), 200)["rate_limit"] is None


async def test_endpoints_and_callbacks_are_listed_the_newest_first(market: Market) -> None:
    listing = await market.generated()
    market.later(seconds=1)
    made = await add(market)
    first = expect(await market.shop.get("/v1/webhooks?limit=1"), 200)
    rest = expect(await market.shop.get(f"/v1/webhooks?limit=1&cursor={first['cursor']}"), 200)
    assert [one["id"] for one in (*first["data"], *rest["data"])] == [made["id"], listing["callback_endpoint_id"]]
    assert [one["kind"] for one in rest["data"]] == ["listing_callback"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "url"),
        ({"url": "ftp://seller.example/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": URL, "events": ["order.paid", "order.eaten"]}, "events.1"),
        ({"url": URL, "events": ["order.paid"] * 21}, "events"),
        ({"url": URL, "name": " \n "}, "name"),
        ({"url": URL, "rate_limit": 0}, "rate_limit"),
        ({"url": URL, "listing_id": "lst_of_nobody"}, "listing_id"),
        ({"url": URL, "signature_format": "md5"}, "signature_format"),
        ({"url": URL, "event": []}, "event"),
    ],
)
async def test_what_makes_no_endpoint_is_said_by_field(shop: Shop, body: dict[str, Any], param: str) -> None:
    refused = expect(await shop.post("/v1/webhooks", json=body), 422)
    assert refused["param"] == param
    assert expect(await shop.get("/v1/webhooks"), 200)["data"] == []


async def test_an_endpoint_is_told_of_what_it_wants_in_standard_webhooks(market: Market) -> None:
    """The wanted types and the one listing; signed as Standard Webhooks 1.0 has it, checked with its own library."""
    wanted, other = await market.listing(name="Wanted"), await market.listing(name="Other")
    made = await add(market, listing_id=wanted["id"], events=["order.fulfilled"])
    deaf = await add(market, events=["order.refunded"])
    await market.buy(other)
    await market.buy(wanted)
    hook = await market.outside.next_hook()
    event = Webhook(made["secret"]).verify(hook.body, dict(hook.headers))
    assert (event["type"], event["listing_id"]) == ("order.fulfilled", wanted["id"])
    assert header(hook, "webhook-id") == event["id"]
    assert header(hook, "X-ListBee-Event") == "order.fulfilled"
    assert header(hook, "X-ListBee-Signature") == own_signature(made["secret"], hook)
    with pytest.raises(WebhookVerificationError):
        Webhook(deaf["secret"]).verify(hook.body, dict(hook.headers))
    assert market.outside.hooks.empty()
    assert expect(await market.shop.get(f"/v1/webhooks/{deaf['id']}/deliveries"), 200)["data"] == []


async def test_both_secrets_sign_while_a_rotation_overlaps(market: Market) -> None:
    listing = await market.listing()
    made = await add(market, events=["order.paid"])
    path = f"/v1/webhooks/{made['id']}/rotate-secret"
    rotated = expect(await market.shop.post(path, json={"overlap_seconds": 120}), 200)
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None
    await market.buy(listing)
    hook = await market.outside.next_hook()
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(hook.body, dict(hook.headers))
    assert len(header(hook, "webhook-signature").split(" ")) == 2
    assert header(hook, "X-ListBee-Signature") == own_signature(made["secret"], hook)

    market.later(seconds=120)
    await market.buy(listing)
    hook = await market.outside.next_hook()
    Webhook(rotated["secret"]).verify(hook.body, dict(hook.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(hook.body, dict(hook.headers))
    assert header(hook, "X-ListBee-Signature") == own_signature(rotated["secret"], hook)
    seen = expect(await market.shop.get(f"/v1/webhooks/{made['id']}"), 200)
    assert (seen["previous_secret_until"], "secret" in seen) == (None, False)


async def test_a_paused_endpoint_parks_what_comes_and_goes_on_where_it_was(market: Market) -> None:
    listing = await market.listing()
    made = await add(market, events=["order.paid"])
    path = f"/v1/webhooks/{made['id']}"
    expect(await market.shop.patch(path, json={"enabled": False}), 200)
    await market.buy(listing)
    await market.buy(listing)
    [second, first] = expect(await market.shop.get(f"{path}/deliveries?status=parked"), 200)["data"]
    assert market.outside.hooks.empty()
    expect(await market.shop.patch(path, json={"enabled": True}), 200)
    came = {header(await market.outside.next_hook(), "webhook-id") for _ in range(2)}
    assert came == {first["event_id"], second["event_id"]}


async def test_a_deleted_endpoint_is_told_nothing_and_its_deliveries_can_be_read(market: Market) -> None:
    listing = await market.listing()
    made, kept = await add(market, "?gone", events=["order.paid"]), await add(market, "?kept", events=["order.paid"])
    await market.buy(listing)
    hooks = [await market.outside.next_hook() for _ in range(2)]
    path = f"/v1/webhooks/{made['id']}"
    expect(await market.shop.delete(path), 204)
    expect(await market.shop.get(path), 404)
    expect(await market.shop.patch(path, json={"enabled": True}), 404)
    expect(await market.shop.delete(path), 404)
    await market.buy(listing)
    hook = await market.outside.next_hook()
    Webhook(kept["secret"]).verify(hook.body, dict(hook.headers))
    assert market.outside.hooks.empty()
    [told] = expect(await market.shop.get(f"{path}/deliveries"), 200)["data"]
    assert told["event_id"] == header(hooks[0], "webhook-id")
    refused = expect(await market.shop.post(f"/v1/deliveries/{told['id']}/retry"), 409)
    assert "was deleted" in refused["detail"]
    assert told["event_id"] in refused["detail"]
    assert [one["id"] for one in expect(await market.shop.get("/v1/webhooks"), 200)["data"]] == [kept["id"]]


async def test_the_callback_of_a_listing_takes_its_url_and_secret_from_there(market: Market) -> None:
    listing = await market.generated()
    path = f"/v1/webhooks/{listing['callback_endpoint_id']}"
    for refused, way in (
        (await market.shop.patch(path, json={"url": URL}), "agent_callback_url of PATCH /v1/listings/lst_"),
        (await market.shop.patch(path, json={"listing_id": None}), "make an endpoint of your own"),
        (await market.shop.post(f"{path}/rotate-secret"), f"POST /v1/listings/{listing['id']}/rotate-secret"),
        (await market.shop.delete(path), "removed with null"),
    ):
        problem = expect(refused, 409)
        assert problem["code"] == "locked_field"
        assert listing["id"] in problem["detail"]
        assert way in problem["detail"]
    changed = expect(await market.shop.patch(path, json={"events": ["order.paid"], "rate_limit": 3}), 200)
    assert (changed["events"], changed["rate_limit"]) == (["order.paid"], 3)
    expect(await market.shop.patch(f"/v1/listings/{listing['id']}", json={"agent_callback_url": None}), 200)
    refused = expect(await market.shop.patch(path, json={"enabled": True}), 409)
    assert "agent_callback_url" in refused["detail"]


async def test_the_number_of_endpoints_has_an_end(shop: Shop) -> None:
    await shop.tools.database.write(
        "SELECT webhooks_endpoint_make($1, 'whk_' || n, 'x', 'https://seller.example/' || n, '{}', NULL, 'enabled', 'body', NULL,"
        " 'x', $2) FROM generate_series(1, 100) n",
        shop.account.id,
        shop.clock.now(),
    )
    refused = expect(await shop.post("/v1/webhooks", json={"url": URL}), 409)
    assert (refused["code"], refused["max_count"]) == ("conflict", 100)


async def test_much_that_was_parked_is_resumed_by_the_queue(market: Market) -> None:
    tools, account = market.shop.tools, market.shop.account.id
    made = await add(market, enabled=False)
    events = [(account, f"evt_{n:04}", "order.disputed", None, None, "{}") for n in range(620)]
    await tools.database.write("SELECT events_append($1::event_new[], $2)", events, tools.clock.now())
    expect(await market.shop.patch(f"/v1/webhooks/{made['id']}", json={"enabled": True}), 200)
    parked = f"/v1/webhooks/{made['id']}/deliveries?status=parked"
    async for _ in looks():
        if not (left := expect(await market.shop.get(parked), 200)["data"]):
            break
    assert left == []


async def test_no_more_endpoints_are_made_at_once_than_there_may_be(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST", 3)
    replies = await asyncio.gather(*(shop.post("/v1/webhooks", json={"url": f"{URL}?{n}"}) for n in range(8)))
    assert sorted(reply.status for reply in replies) == [201] * 3 + [409] * 5
