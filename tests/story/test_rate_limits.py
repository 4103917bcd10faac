"""Rate limits: counted in the database, so that they hold across processes."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import FakeClock
from market import expect, running_shop
from purvey.server.accounts import actions as accounts
from purvey.server.kit.database import Database
from purvey.server.kit.rate_limits import RateLimits
from served import Reply, Shop

LIMIT = 6
"""Requests a minute in these tests: one more every ten seconds."""


@pytest.fixture
async def strict(database: Database, clock: FakeClock) -> AsyncIterator[Shop]:
    """A running server with a low limit."""
    async with running_shop(database, clock, rate_limits=str(LIMIT)) as (shop, _):
        yield shop


async def spend(shop: Shop, path: str = "/v1/orders", times: int = LIMIT, **options: Any) -> list[Reply]:
    return [await shop.get(path, **options) for _ in range(times)]


def headers(reply: Reply) -> tuple[int, int, int]:
    """Return limit, remaining, and in how many seconds from the start of the test the bucket is full."""
    limit, remaining, reset = (int(reply.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    return limit, remaining, reset


async def test_every_answer_says_what_is_left(strict: Shop, clock: FakeClock) -> None:
    now = int(clock.now().timestamp())
    replies = await spend(strict)
    assert [headers(reply) for reply in replies] == [(LIMIT, LIMIT - n, now + 10 * n) for n in range(1, LIMIT + 1)]


async def test_one_request_too_many_is_told_when_to_come_again(strict: Shop, clock: FakeClock) -> None:
    await spend(strict)
    refused = await strict.get("/v1/orders")
    assert (refused.status, refused.json["code"], refused.json["retry_after"]) == (429, "rate_limited", 10)
    assert refused.headers["Retry-After"] == "10"
    assert headers(refused)[1] == 0
    clock.advance(seconds=10)
    assert (await strict.get("/v1/orders")).status == 200
    assert (await strict.get("/v1/orders")).status == 429


async def test_each_category_is_counted_by_itself(strict: Shop) -> None:
    await spend(strict)
    assert (await strict.get("/v1/orders")).status == 429
    assert (await strict.get("/v1/listings")).status == 200
    assert (await strict.get("/v1/orders/ord_unknown")).status == 429


async def test_each_api_key_is_counted_by_itself(strict: Shop) -> None:
    _, second = await accounts.create_key(strict.tools, strict.account.id, "second")
    await spend(strict)
    assert (await strict.get("/v1/orders")).status == 429
    assert (await strict.get("/v1/orders", key=second)).status == 200


async def test_wrong_keys_are_counted_by_address(strict: Shop) -> None:
    replies = await spend(strict, key="lb_wrong")
    assert {reply.status for reply in replies} == {401}
    assert (await strict.get("/v1/orders", key="lb_another")).status == 429
    assert (await strict.get("/v1/orders")).status == 200


async def test_public_routes_are_counted_by_address(strict: Shop) -> None:
    replies = [await strict.post("/v1/checkouts", json={}, key=None) for _ in range(LIMIT + 1)]
    assert [reply.status for reply in replies] == [422] * LIMIT + [429]


async def test_errors_carry_the_headers_too(strict: Shop) -> None:
    assert headers(await strict.get("/v1/orders/ord_unknown"))[1] == LIMIT - 1


async def test_off_means_off(database: Database, clock: FakeClock) -> None:
    async with running_shop(database, clock, rate_limits="off") as (shop, _):
        replies = await spend(shop, times=130)
        assert {reply.status for reply in replies} == {200}
        assert "X-RateLimit-Limit" not in replies[0].headers


async def test_by_default_there_are_120_a_minute(shop: Shop) -> None:
    assert headers(await shop.get("/v1/account"))[:2] == (120, 119)


async def test_the_limit_holds_across_processes_and_parallel_requests(database: Database, clock: FakeClock) -> None:
    async with (
        running_shop(database, clock, rate_limits=str(LIMIT)) as (one, _),
        running_shop(database, clock, seller="other@example.com", rate_limits=str(LIMIT)) as (two, _),
    ):
        replies = await asyncio.gather(*[(one, two)[n % 2].get("/v1/orders", key=one.key) for n in range(40)])
        assert sorted(reply.status for reply in replies) == [200] * LIMIT + [429] * (40 - LIMIT)


async def test_a_replayed_answer_is_given_while_there_is_room(strict: Shop) -> None:
    made = await strict.post("/v1/listings", json={"name": "Kit", "price": 1}, headers={"Idempotency-Key": "k"})
    again = await strict.post("/v1/listings", json={"name": "Kit", "price": 1}, headers={"Idempotency-Key": "k"})
    assert expect(again, 201) == made.json


Taken = tuple[float, int]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 12)), min_size=1, max_size=8))
async def test_never_more_than_a_full_bucket_and_what_flowed_in(
    taken: list[Taken], database: Database, clock: FakeClock
) -> None:
    limits = RateLimits(database, clock, LIMIT)
    granted: list[tuple[float, int]] = []
    caller = secrets.token_hex(8)
    for wait, requests in taken:
        clock.advance(seconds=wait)
        allowed = await gathered(limits, caller, requests)
        granted.append((clock.now().timestamp(), allowed))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            span = granted[last][0] - granted[first][0]
            assert sum(count for _, count in granted[first : last + 1]) <= LIMIT + span * LIMIT / 60 + 1e-3


async def gathered(limits: RateLimits, caller: str, requests: int) -> int:
    """Return how many of parallel requests were allowed."""
    allowances = await asyncio.gather(*[limits.take(caller, "orders") for _ in range(requests)])
    return sum(allowance.allowed for allowance in allowances if allowance)
