"""What /metrics says after things have happened, and to whom."""

from fakes import FakeClock
from market import Market, expect, running_shop
from measured import Page
from purvey.server.kit import metrics as kept
from purvey.server.kit.database import Database
from running import until
from served import Reply, Shop

TOKEN = "a token that is long enough"


async def read(shop: Shop) -> Page:
    answer = await shop.get("/metrics", key=None)
    assert answer.status == 200, answer.text
    return Page(answer.text)


async def test_the_page_is_prometheus_text(shop: Shop) -> None:
    answer = await shop.get("/metrics", key=None)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    page = Page(answer.text)
    assert page.value("purvey_database_up") == 1
    assert page.value("purvey_processes") == 1
    assert page.value("purvey_database_connections") >= 1
    assert page.value("process_cpu_seconds_total") > 0


async def test_requests_are_counted_by_template_and_class_and_never_by_what_was_asked_for(shop: Shop) -> None:
    template = "/v1/orders/{order_id}"
    before = await read(shop)
    for order_id in ("ord_private1", "ord_private2"):
        assert (await shop.get(f"/v1/orders/{order_id}")).status == 404
    await shop.get("/nowhere/private3")
    await shop.ask("PURGE", "/v1/ping")
    after = await read(shop)

    def more(**labels: str) -> float:
        name = "purvey_http_request_seconds_count"
        return after.value(name, **labels) - before.value(name, **labels)

    assert more(route=template, method="GET", status="4xx") == 2
    assert more(route="none", method="GET", status="4xx") == 1
    assert more(method="other") == 1
    assert "private" not in str(after.samples)
    assert after.value("purvey_http_request_seconds_sum", route=template) > 0


async def test_attempts_and_jobs_are_counted_by_what_came_of_them(market: Market) -> None:
    before = await read(market.shop)
    market.outside.answers += [500]
    await market.buy(await market.generated())
    await market.outside.next_hook()
    await market.buy(await market.listing(), email="grace@example.com")
    await market.outside.next_letter()

    async def all_counted() -> Page | None:
        page = await read(market.shop)
        tried = page.value("purvey_attempts_total") - before.value("purvey_attempts_total")
        return page if tried == 3 and page.value("purvey_queue_leased_jobs") == 0 else None

    after: Page = await until(all_counted, "the two mails and the webhook are counted")

    def more(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert more("purvey_attempts_total", kind="webhook", outcome="waiting") == 1
    assert more("purvey_attempts_total", kind="mail", outcome="sent") == 2
    assert more("purvey_jobs_total", kind="webhooks.deliver", outcome="recorded") == 1
    assert more("purvey_job_seconds_count", kind="webhooks.deliver") == 1
    assert after.value("purvey_job_seconds_count") == after.value("purvey_jobs_total")
    assert after.value("purvey_queue_waiting_jobs", lane_kind="webhook") == 1


async def test_an_order_that_is_paid_and_not_fulfilled_grows_older(market: Market) -> None:
    bought = await market.buy(await market.generated())
    await market.buy(await market.listing(), email="grace@example.com")
    ages = ["under_1m", "under_10m", "under_1h", "under_1d", "over_1d"]
    assert [labels["age"] for labels in (await read(market.shop)).labels("purvey_orders_unfulfilled")] == ages
    for minutes, age in zip((0, 1, 9, 50, 1380), ages, strict=True):
        market.shop.clock.advance(minutes=minutes)
        page = await read(market.shop)
        assert page.value("purvey_orders_unfulfilled", age=age) == 1
        assert page.value("purvey_orders_unfulfilled") == 1
    order = await market.order(bought)
    told = {"type": "text", "value": "the goods"}
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=told), 200)
    assert (await read(market.shop)).value("purvey_orders_unfulfilled") == 0


async def test_without_a_database_the_page_says_so_and_has_what_the_process_knows(shop: Shop) -> None:
    await shop.tools.database.pool.close()
    page = await read(shop)
    assert page.labels("purvey_database_up") == [{}]
    assert page.value("purvey_database_up") == 0
    assert page.labels("purvey_queue_due_seconds") == []
    assert page.value("process_resident_memory_bytes") > 0


ELSEWHERE: list[dict[str, str]] = [
    {"X-Forwarded-For": "203.0.113.7"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=203.0.113.7"},
    {"X-Real-IP": "203.0.113.7"},
    {"Via": "1.1 proxy"},
    {"Host": "shop.example"},
]
"""What shows that a request does not come from this machine, or was not meant for it."""


async def test_who_is_not_on_this_machine_needs_the_token(database: Database, clock: FakeClock) -> None:
    async with running_shop(database, clock, metrics_token=TOKEN) as (shop, _):
        for headers in ELSEWHERE:
            for scheme in ("Bearer", "bearer"):
                right = headers | {"Authorization": f"{scheme} {TOKEN}"}
                assert (await shop.get("/metrics", key=None, headers=right)).status == 200
            for sent in ({}, {"Authorization": f"Bearer {TOKEN}r"}, {"Authorization": TOKEN}):
                assert_forbidden(await shop.get("/metrics", key=None, headers=headers | sent))


async def test_without_a_token_nobody_else_is_let_in(shop: Shop) -> None:
    for headers in ELSEWHERE:
        for sent in (
            {},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer None"},
            {"Authorization": f"Bearer {shop.key}"},
        ):
            assert_forbidden(await shop.get("/metrics", key=None, headers=headers | sent))
    for host in ("localhost", "127.0.0.2", "[::1]", "shop.localhost"):
        assert (await shop.get("/metrics", key=None, headers={"Host": f"{host}:9"})).status == 200


def assert_forbidden(answer: Reply) -> None:
    assert answer.status == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "forbidden"
    assert "PURVEY_METRICS_TOKEN" in answer.json["detail"]
    assert "purvey_" not in answer.text


def test_nobody_can_make_up_methods() -> None:
    before = len(kept.REQUESTS._metrics)
    for number in range(50):
        kept.count_request("/made/up", f"METHOD{number}", 405, 0.001)
    assert len(kept.REQUESTS._metrics) == before + 1
