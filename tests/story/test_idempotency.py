"""The header Idempotency-Key: the same request again has no second effect and gets the first answer."""

import asyncio

import pytest

from fakes import FakeClock
from market import Market, expect, running_shop
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import LEASE
from served import Reply, Shop

NEW = {"name": "Kit", "price": 500}
TEXT = {"type": "text", "value": "made for you"}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def told(reply: Reply) -> tuple[int, str | None]:
    """Return the status and the code of a problem."""
    return reply.status, reply.json["code"]


async def count(shop: Shop, table: str) -> int:
    return int(await shop.tools.database.value(f"SELECT count(*) FROM {table}"))


async def claimed(shop: Shop) -> None:
    """Wait until a request has claimed its key."""
    while await count(shop, "idempotency_records") == 0:  # noqa: ASYNC110  # what is waited for is a row
        await asyncio.sleep(0)


async def test_every_route_that_posts_or_puts_takes_a_key(shop: Shop) -> None:
    paths = expect(await shop.get("/openapi.json"), 200)["paths"]
    routes = {
        f"{method} {path}": [parameter["name"] for parameter in operation.get("parameters", [])]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/") and method in {"post", "put"}
    }
    assert len(routes) >= 11
    assert [route for route, names in routes.items() if "Idempotency-Key" not in names] == []


async def test_the_same_request_again_gets_the_first_answer_byte_for_byte(shop: Shop) -> None:
    first = await shop.post("/v1/listings", json=NEW, headers=keyed("one"))
    again = await shop.post("/v1/listings", json=NEW, headers=keyed("one"))
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert first.json["signing_secret"].startswith("whsec_")
    assert await count(shop, "listings") == 1
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_an_answer_stays_the_first_one_whatever_happened_since(market: Market) -> None:
    listing = await market.listing(publish=False)
    path = f"/v1/listings/{listing['id']}/publish"
    first = await market.shop.post(path, headers=keyed("p"))
    expect(await market.shop.post(f"/v1/listings/{listing['id']}/unpublish"), 200)
    assert (await market.shop.post(path, headers=keyed("p"))).body == first.body
    assert expect(await market.shop.get(f"/v1/listings/{listing['id']}"), 200)["status"] == "draft"


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_empty_or_too_long_is_refused(shop: Shop, key: str) -> None:
    reply = await shop.post("/v1/listings", json=NEW, headers=keyed(key))
    assert told(reply) == (422, "idempotency_key_invalid")
    assert reply.json["param"] == "Idempotency-Key"
    assert await count(shop, "listings") == 0


async def test_a_key_of_255_characters_is_taken(shop: Shop) -> None:
    expect(await shop.post("/v1/listings", json=NEW, headers=keyed("k" * 255)), 201)


async def test_another_body_with_the_same_key_is_refused(shop: Shop) -> None:
    expect(await shop.post("/v1/listings", json=NEW, headers=keyed("one")), 201)
    other = await shop.post("/v1/listings", json=NEW | {"price": 1}, headers=keyed("one"))
    assert told(other) == (422, "idempotency_key_reuse")
    assert await count(shop, "listings") == 1


async def test_a_key_belongs_to_the_path_the_method_and_the_api_key(market: Market) -> None:
    shop = market.shop
    listing = expect(await shop.post("/v1/listings", json=NEW, headers=keyed("same")), 201)
    path = f"/v1/listings/{listing['id']}"
    expect(await shop.put(path, json=NEW, headers=keyed("same")), 200)
    expect(await shop.patch(path, json=NEW, headers=keyed("same")), 200)
    foreign = expect(await shop.post("/v1/listings", json=NEW, headers=keyed("same"), key=await market.stranger()), 201)
    assert foreign["id"] != listing["id"]


async def test_a_trailing_slash_is_the_same_path(shop: Shop) -> None:
    first = await shop.post("/v1/listings", json=NEW, headers=keyed("one"))
    assert (await shop.post("/v1/listings/", json=NEW, headers=keyed("one"))).body == first.body


async def test_what_failed_stores_nothing(shop: Shop) -> None:
    refused = await shop.post("/v1/listings", json={"price": 5}, headers=keyed("one"))
    assert told(refused) == (422, "validation_error")
    missing = await shop.post("/v1/listings/lst_unknown/publish", headers=keyed("two"))
    assert told(missing) == (404, "not_found")
    assert await count(shop, "idempotency_records") == 0
    expect(await shop.post("/v1/listings", json=NEW, headers=keyed("one")), 201)


async def test_a_key_is_free_again_after_24_hours(shop: Shop, clock: FakeClock) -> None:
    first = await shop.post("/v1/listings", json=NEW, headers=keyed("one"))
    clock.advance(hours=23, minutes=59)
    assert (await shop.post("/v1/listings", json=NEW, headers=keyed("one"))).body == first.body
    clock.advance(minutes=1)
    other = await shop.post("/v1/listings", json=NEW | {"price": 7}, headers=keyed("one"))
    assert expect(other, 201)["price"] == 7


async def test_old_records_go_away_as_new_ones_come(shop: Shop, clock: FakeClock) -> None:
    for n in range(5):
        expect(await shop.post("/v1/listings", json=NEW, headers=keyed(f"old {n}")), 201)
    clock.advance(hours=25)
    for n in range(3):
        expect(await shop.post("/v1/listings", json=NEW, headers=keyed(f"new {n}")), 201)
    assert await count(shop, "idempotency_records") == 3


async def test_no_answer_lies_in_the_clear(shop: Shop) -> None:
    made = expect(await shop.post("/v1/listings", json=NEW, headers=keyed("one")), 201)
    answer = await shop.tools.database.value("SELECT answer FROM idempotency_records")
    assert made["signing_secret"].encode() not in answer
    assert made["id"].encode() not in answer


async def test_fifty_callers_with_one_key_have_one_effect(shop: Shop) -> None:
    replies = await asyncio.gather(*[shop.post("/v1/listings", json=NEW, headers=keyed("one")) for _ in range(50)])
    done = {reply.body for reply in replies if reply.status == 201}
    others = {told(reply) for reply in replies if reply.status != 201}
    assert len(done) == 1
    assert others <= {(409, "idempotency_request_in_progress")}
    assert await count(shop, "listings") == 1
    assert (await shop.post("/v1/listings", json=NEW, headers=keyed("one"))).body in done


async def test_callers_on_two_processes_have_one_effect(database: Database, clock: FakeClock) -> None:
    async with (
        running_shop(database, clock) as (shop, _),
        running_shop(database, clock, seller="other@example.com") as (second, _),
    ):
        both = [shop, second]
        replies = await asyncio.gather(
            *[both[n % 2].post("/v1/listings", json=NEW, headers=keyed("one"), key=shop.key) for n in range(50)]
        )
        assert len({reply.body for reply in replies if reply.status == 201}) == 1
        assert await count(shop, "listings") == 1


async def test_while_a_request_runs_the_same_one_is_told_to_wait(shop: Shop) -> None:
    listing = expect(await shop.post("/v1/listings", json=NEW), 201)
    path, body = f"/v1/listings/{listing['id']}", {"price": 900}
    async with shop.tools.database.transaction() as connection:
        await connection.execute("SELECT FROM listings WHERE id = $1 FOR UPDATE", listing["id"])
        running = asyncio.create_task(shop.put(path, json=body, headers=keyed("one")))
        await claimed(shop)
        meanwhile = await shop.put(path, json=body, headers=keyed("one"))
        assert told(meanwhile) == (409, "idempotency_request_in_progress")
        assert meanwhile.headers["Retry-After"] == "1"
        other = await shop.put(path, json={"price": 1}, headers=keyed("one"))
        assert told(other) == (422, "idempotency_key_reuse")
    first = await running
    assert expect(first, 200)["price"] == 900
    assert (await shop.put(path, json=body, headers=keyed("one"))).body == first.body


async def test_a_run_that_is_overtaken_after_its_lease_writes_nothing(shop: Shop, clock: FakeClock) -> None:
    listing = expect(await shop.post("/v1/listings", json=NEW), 201)
    path, body = f"/v1/listings/{listing['id']}/deliverables", TEXT
    async with shop.tools.database.transaction() as connection:
        await connection.execute("SELECT FROM listings WHERE id = $1 FOR UPDATE", listing["id"])
        slow = asyncio.create_task(shop.post(path, json=body, headers=keyed("one")))
        await claimed(shop)
        clock.advance(seconds=45)
        await shop.tools.database.write(
            "SELECT idempotency_claim(array_agg((account_id, id, fingerprint, gen_random_uuid())::idempotency_claim), $1, $2, $2)"
            " FROM idempotency_records",
            clock.now(),
            clock.now() + LEASE,
        )
    assert told(await slow) == (409, "idempotency_request_in_progress")
    assert await count(shop, "deliverables") == 0


async def test_a_claim_whose_run_died_is_free_after_the_lease(shop: Shop, clock: FakeClock) -> None:
    await abandoned_claim(shop)
    reply = await shop.post("/v1/listings", json=NEW, headers=keyed("one"))
    assert told(reply) == (409, "idempotency_request_in_progress")
    clock.advance(seconds=45)
    expect(await shop.post("/v1/listings", json=NEW, headers=keyed("one")), 201)
    assert await count(shop, "listings") == 1


async def abandoned_claim(shop: Shop) -> None:
    """Leave a claim as a process leaves it that dies right after: the claim is committed, nothing else."""
    expect(await shop.post("/v1/listings", json=NEW, headers=keyed("one")), 201)
    await shop.tools.database.write(
        "UPDATE idempotency_records SET answer = NULL, leased_until = $1",
        shop.clock.now() + LEASE,
    )
    await shop.tools.database.write("DELETE FROM listings")


async def test_a_delivery_with_a_key_is_answered_the_same_again(market: Market) -> None:
    order = await market.order(await market.buy(await market.generated()))
    path = f"/v1/orders/{order['id']}/deliver"
    first = await market.shop.post(path, json=TEXT, headers=keyed("d"))
    assert expect(first, 200)["deliverables"][0]["value"] == "made for you"
    assert first.json == expect(await market.shop.get(f"/v1/orders/{order['id']}"), 200)
    again = await market.shop.post(path, json=TEXT, headers=keyed("d"))
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    other = await market.shop.post(path, json=TEXT | {"value": "else"}, headers=keyed("d"))
    assert told(other) == (422, "idempotency_key_reuse")


async def test_a_delivery_that_changes_nothing_has_its_answer_kept_too(market: Market) -> None:
    order = await market.order(await market.buy(await market.generated()))
    path = f"/v1/orders/{order['id']}/fulfill"
    body = {"deliverables": [TEXT]}
    first = await market.shop.post(path, json=body)
    second = await market.shop.post(path, json=body, headers=keyed("d"))
    assert expect(second, 200) == first.json
    third = await market.shop.post(path, json=body, headers=keyed("d"))
    assert (third.body, third.headers["Idempotent-Replayed"]) == (second.body, "true")
    assert [event["type"] for event in await market.events()] == ["order.paid", "order.fulfilled"]


async def test_a_delivery_that_is_refused_gives_its_key_back(market: Market) -> None:
    order = await market.order(await market.buy(await market.listing()))
    refused = await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=TEXT, headers=keyed("d"))
    assert told(refused) == (409, "already_fulfilled")
    assert await count(market.shop, "idempotency_records") == 0


async def test_a_checkout_is_started_once_per_key_without_an_api_key(market: Market) -> None:
    listing = await market.listing()
    body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
    first = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    again = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert (first.status, again.body) == (201, first.body)
    assert await count(market.shop, "checkouts") == 1
    unknown = await market.shop.post(
        "/v1/checkouts", json=body | {"listing_id": "lst_unknown"}, headers=keyed("c"), key=None
    )
    assert told(unknown) == (404, "not_found")


async def test_a_free_checkout_with_a_key_is_paid_and_makes_one_order(market: Market) -> None:
    listing = await market.listing(price=0)
    body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
    first = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert expect(first, 201)["status"] == "paid"
    assert first.json["access_url"]
    again = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert again.body == first.body
    assert await count(market.shop, "orders") == 1


async def test_a_free_checkout_whose_process_died_before_the_order_is_answered_as_it_was(market: Market) -> None:
    listing = await market.listing(price=0)
    body = {"listing_id": listing["id"], "buyer_email": "ada@example.com"}
    await market.shop.tools.database.write(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no orders now'; END $$"
    )
    await market.shop.tools.database.write("CREATE TRIGGER fail BEFORE INSERT ON orders EXECUTE FUNCTION fail()")
    broken = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert broken.status == 500
    await market.shop.tools.database.write("DROP TRIGGER fail ON orders")
    meanwhile = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert told(meanwhile) == (409, "idempotency_request_in_progress")
    market.later(seconds=45)
    after = await market.shop.post("/v1/checkouts", json=body, headers=keyed("c"), key=None)
    assert (after.status, after.json["status"]) == (201, "open")
    assert await count(market.shop, "checkouts") == 1
