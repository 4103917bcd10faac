"""A seller hears by mail that an endpoint keeps failing: in stages, each once, and again only after it has worked in between."""

from typing import Any

from market import Market, expect, looks


async def notices(market: Market) -> list[str]:
    """Return the stages that were told, the first one first, each in a mail."""
    database = market.shop.tools.database
    rows = await database.rows(
        "SELECT stage, (SELECT count(*) FROM messages WHERE template = 'endpoint' AND facts->>'stage' = stage"
        " AND facts->>'since' = rfc3339(since)) AS mails FROM endpoint_notices ORDER BY made_at, stage DESC"
    )
    assert [row["mails"] for row in rows] == [1] * len(rows)
    return [row["stage"] for row in rows]


async def attempted(market: Market, endpoint: str, count: int) -> None:
    """Return once `count` attempts of the endpoint's deliveries are on record."""
    sql = "SELECT sum(attempts) FROM deliveries WHERE endpoint_id = $1"
    async for _ in looks():
        if (await market.shop.tools.database.value(sql, endpoint) or 0) >= count:
            return
    raise AssertionError(f"fewer than {count} attempts")


async def try_until_given_up(market: Market, endpoint: str, before: int = 0) -> None:
    for number in range(1, 8):
        await attempted(market, endpoint, before + number)
        market.later(hours=30)


async def test_each_stage_is_told_once_and_anew_after_something_arrived(market: Market) -> None:
    listing = await market.generated()
    endpoint: str = listing["callback_endpoint_id"]
    market.outside.answers[:] = [500] * 14
    await market.buy(listing)
    await try_until_given_up(market, endpoint)
    while not (letter := await market.outside.next_letter())["Subject"].startswith("Your webhooks"):
        pass  # what the buyer is told meanwhile
    assert letter["To"] == market.shop.account.email
    assert letter["Subject"] == f"Your webhooks do not arrive: callback of {listing['id']}"
    assert await notices(market) == ["failing"]

    await market.buy(listing)
    await try_until_given_up(market, endpoint, before=7)
    assert await notices(market) == ["failing", "still_failing"]

    await market.buy(listing)
    await attempted(market, endpoint, 15)
    assert await market.shop.tools.database.value("SELECT failing_since FROM endpoints") is None
    market.outside.answers[:] = [410]
    await market.buy(listing)
    await attempted(market, endpoint, 16)
    assert await notices(market) == ["failing", "still_failing", "disabled"]
    found = expect(await market.shop.get(f"/v1/webhooks/{endpoint}"), 200)
    assert (found["enabled"], found["disabled_reason"]) == (False, "gone")


async def test_a_breaker_that_opens_is_told_to_each_endpoint_of_the_url_once(market: Market) -> None:
    url = {"url": market.outside.hook_url}
    made: list[dict[str, Any]] = [expect(await market.shop.post("/v1/webhooks", json=url), 201) for _ in range(2)]
    market.outside.answers[:] = [500] * 200
    database, account = market.shop.tools.database, market.shop.account.id
    events = [(account, f"evt_{n:03}", "order.disputed", None, None, "{}") for n in range(40)]
    await database.write("SELECT events_append($1::event_new[], $2)", events, market.shop.clock.now())
    for _ in range(5000):
        if await database.value("SELECT breaker FROM lanes WHERE kind = 'webhook'") == "open":
            break
        market.later(seconds=1)
    await attempted(market, made[0]["id"], 1)
    told = await database.rows("SELECT endpoint_id, stage FROM endpoint_notices ORDER BY 1, 2")
    assert {row["stage"] for row in told} == {"failing"}
    assert len(told) == len({row["endpoint_id"] for row in told}) > 0
