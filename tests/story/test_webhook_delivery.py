"""How an event reaches a seller's server, or how it is seen that it did not: a real worker and a real receiver."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes import START, FakeClock
from purvey.server.accounts import actions as accounts
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from purvey.server.kit.database import Database
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import make_app
from purvey.server.webhooks import api
from purvey.server.webhooks.work import Deliver
from queueing import PATIENCE, working
from served import reserved_port, served
from telling import SECRET, Received, Receiver, append, attempts, deliveries, receiving, set_callback, statuses

SLOTS = {"webhook": 64}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def deliver(tools: Tools) -> AsyncIterator[Deliver]:
    """The kind of work under test, without jitter."""
    http = SafeHttp(allow_private=True)
    yield Deliver(tools, http, chance=lambda: 0.5)
    await http.close()


async def made(database: Database, count: int) -> None:
    """Return once `count` attempts are on record."""
    async with asyncio.timeout(PATIENCE):
        while await database.value("SELECT count(*) FROM attempts") < count:
            pass


def header(received: Received, name: str) -> str:
    return next(value for key, value in received.headers.items() if key.lower() == name.lower())


async def test_an_event_arrives_as_it_is_stored_with_a_signature_that_the_seller_can_check(
    tools: Tools, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, f"{receiver.url}/hooks?shop=1")
    async with working(tools, [deliver], SLOTS) as wake:
        await append(tools.database, "evt_1")
        wake.poke()
        received = await receiver.next()
    stored = await tools.database.value("SELECT body FROM events")
    assert received.body == stored.encode()
    assert received.path == "/hooks"
    expected = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert header(received, "X-ListBee-Signature") == expected
    assert header(received, "X-ListBee-Event") == "order.paid"
    assert header(received, "webhook-id") == "evt_1"
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "delivered"}
    [attempt] = await attempts(tools.database)
    assert (attempt["status_code"], attempt["answer"], attempt["address"]) == (200, "thanks", "127.0.0.1")


async def test_seven_attempts_are_made_within_a_day_and_then_it_is_given_up(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    receiver.answering = lambda _: web.Response(status=500, text="not today")
    await append(tools.database, "evt_1")
    received = []
    async with working(tools, [deliver], SLOTS) as wake:
        for number in range(1, 8):
            received.append(await receiver.next())
            await made(tools.database, number)
            [delivery] = await deliveries(tools.database)
            if delivery["next_attempt_at"]:
                clock.advance(seconds=(delivery["next_attempt_at"] - clock.now()).total_seconds())
            wake.poke()
        clock.advance(days=30)
        wake.poke()
    tried = await attempts(tools.database)
    assert [attempt["number"] for attempt in tried] == [1, 2, 3, 4, 5, 6, 7]
    seconds = [round((attempt["started_at"] - START).total_seconds()) for attempt in tried]
    assert seconds == [0, 30, 300, 1800, 7200, 21600, 86400]
    assert {(attempt["status_code"], attempt["answer"]) for attempt in tried} == {(500, "not today")}
    assert [int(header(one, "webhook-timestamp")) for one in received] == [START.timestamp() + n for n in seconds]
    assert {header(one, "webhook-id") for one in received} == {"evt_1"}
    assert len({one.body for one in received}) == 1
    assert receiver.requests.empty()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "given_up"}
    assert await tools.database.value("SELECT count(*) FROM jobs") == 0


async def test_a_server_that_comes_back_is_told_then(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    receiver.answering = lambda _: web.Response(status=400)
    await append(tools.database, "evt_1")
    async with working(tools, [deliver], SLOTS) as wake:
        await receiver.next()
        await made(tools.database, 1)
        receiver.answering = lambda _: web.Response(status=204)
        clock.advance(seconds=30)
        wake.poke()
        await receiver.next()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "delivered"}
    assert [attempt["status_code"] for attempt in await attempts(tools.database)] == [400, 204]


async def test_a_redirect_is_a_failure_and_is_not_followed(tools: Tools, receiver: Receiver, deliver: Deliver) -> None:
    await set_callback(tools.database, tools.keyring, f"{receiver.url}/old")
    receiver.answering = lambda _: web.Response(status=307, headers={"Location": f"{receiver.url}/new"})
    await append(tools.database, "evt_1")
    async with working(tools, [deliver], SLOTS):
        await receiver.next()
    assert receiver.requests.empty()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "waiting"}


async def test_nobody_at_home_is_recorded_with_the_stage_and_the_reason(tools: Tools, deliver: Deliver) -> None:
    with reserved_port() as port:
        await set_callback(tools.database, tools.keyring, f"http://127.0.0.1:{port}/")
        await append(tools.database, "evt_1")
        async with working(tools, [deliver], SLOTS):
            await made(tools.database, 1)
    [attempt] = await attempts(tools.database)
    assert (attempt["status_code"], attempt["stage"]) == (None, "connect")
    assert attempt["error"]
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "waiting"}


async def test_a_receiver_that_hangs_delays_no_other(tools: Tools, receiver: Receiver, deliver: Deliver) -> None:
    receiver.gate.clear()
    async with receiving() as quick:
        await set_callback(tools.database, tools.keyring, receiver.url, listing="lst_slow")
        await set_callback(tools.database, tools.keyring, quick.url, listing="lst_quick")
        await append(tools.database, *(f"evt_slow_{n:02}" for n in range(60)), listing="lst_slow")
        async with working(tools, [deliver], SLOTS) as wake:
            for _ in range(2):  # what a URL gets that has answered nothing yet
                await receiver.next()
            await append(tools.database, "evt_quick", listing="lst_quick")
            wake.poke()
            assert header(await quick.next(), "webhook-id") == "evt_quick"
            assert receiver.requests.empty()
            receiver.gate.set()
            for _ in range(58):
                await receiver.next()
    assert set((await statuses(tools.database)).values()) == {"delivered"}


async def test_a_receiver_that_is_gone_is_asked_no_more(tools: Tools, receiver: Receiver, deliver: Deliver) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    receiver.answering = lambda _: web.Response(status=410)
    async with working(tools, [deliver], SLOTS) as wake:
        await append(tools.database, "evt_1")
        wake.poke()
        await receiver.next()
        await made(tools.database, 1)
        await append(tools.database, "evt_2")
        wake.poke()
    assert receiver.requests.empty()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "parked", "evt_2 whk_lst_1": "parked"}
    assert await tools.database.value("SELECT disabled_reason FROM endpoints") == "gone"


async def test_a_delivery_whose_endpoint_was_disabled_meanwhile_is_parked_without_an_attempt(
    tools: Tools, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    await append(tools.database, "evt_1")
    await tools.database.write("UPDATE endpoints SET status = 'disabled', disabled_reason = 'by_seller'")
    async with working(tools, [deliver], SLOTS):
        async with asyncio.timeout(PATIENCE):
            while await tools.database.value("SELECT status FROM deliveries") == "waiting":
                pass
    assert receiver.requests.empty()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "parked"}
    assert await attempts(tools.database) == []


async def test_the_next_attempt_goes_to_the_url_of_that_moment(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, f"{receiver.url}/old")
    receiver.answering = lambda received: web.Response(status=500 if received.path == "/old" else 200)
    await append(tools.database, "evt_1")
    async with working(tools, [deliver], SLOTS) as wake:
        assert (await receiver.next()).path == "/old"
        await made(tools.database, 1)
        await set_callback(tools.database, tools.keyring, f"{receiver.url}/new")
        clock.advance(seconds=30)
        wake.poke()
        assert (await receiver.next()).path == "/new"
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "delivered"}


async def test_a_receiver_that_asks_for_a_wait_gets_it(tools: Tools, receiver: Receiver, deliver: Deliver) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    receiver.answering = lambda _: web.Response(status=429, headers={"Retry-After": "600"})
    await append(tools.database, "evt_1")
    async with working(tools, [deliver], SLOTS):
        await receiver.next()
    [delivery] = await deliveries(tools.database)
    assert delivery["next_attempt_at"] == START + timedelta(seconds=600)


async def test_what_was_sent_by_a_worker_that_died_is_sent_again_and_recorded_once(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    await append(tools.database, "evt_1")
    receiver.gate.clear()
    wake = Wake(tools.database, clock)
    dying = Worker(tools, wake, [deliver], SLOTS)
    dying.start()
    first = await receiver.next()
    tasks = [*dying._loops, *dying._tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await wake.close()

    receiver.gate.set()
    clock.advance(seconds=45)
    async with working(tools, [deliver], SLOTS):
        second = await receiver.next()
    assert header(second, "webhook-id") == header(first, "webhook-id")
    assert second.body == first.body
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "delivered"}
    assert [attempt["number"] for attempt in await attempts(tools.database)] == [1]


async def test_an_answer_that_comes_after_the_lease_was_lost_changes_nothing(
    tools: Tools, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    await append(tools.database, "evt_1")
    receiver.gate.clear()
    async with working(tools, [deliver], SLOTS):
        await receiver.next()
        # Another worker, whose time is a minute ahead, takes the job back; ours has yet to see it as due.
        await tools.database.write("SELECT jobs_rescue($1)", START + timedelta(minutes=1))
        receiver.gate.set()
    assert await attempts(tools.database) == []
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "waiting"}
    assert await tools.database.value("SELECT attempt FROM jobs") == 1


async def test_an_attempt_is_recorded_although_every_connection_was_lost_while_it_was_made(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver
) -> None:
    await set_callback(tools.database, tools.keyring, receiver.url)
    await append(tools.database, "evt_1")
    receiver.gate.clear()
    async with working(tools, [deliver], SLOTS, lines=[]):
        await receiver.next()
        async with tools.database.pool.acquire() as killer:
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        receiver.gate.set()
        async with asyncio.timeout(PATIENCE):
            while await tools.database.value("SELECT count(*) FROM attempts") < 1:
                # Within the lease: after it the event would be sent again.
                clock.advance(seconds=1 if clock.now() < START + timedelta(seconds=40) else 0)
    assert receiver.requests.empty()
    assert await statuses(tools.database) == {"evt_1 whk_lst_1": "delivered"}


@dataclass(frozen=True)
class Seller:
    """A seller who reads the API."""

    session: aiohttp.ClientSession
    url: str
    account: str
    key: str

    async def get(self, path: str, status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.session.get(self.url + path, headers=headers) as response:
            assert response.status == status
            return await response.json(content_type=None)


@pytest.fixture
async def sellers(tools: Tools) -> AsyncIterator[tuple[Seller, Seller]]:
    """A seller, and another one, before a running API."""
    made_accounts = [await accounts.create_account(tools, f"{name}@example.com", name) for name in ("one", "two")]
    app = make_app(api.routes, ids=tools.ids, given={"tools": tools, "trials": None})
    with reserved_port() as port:
        async with served(app, port) as url, aiohttp.ClientSession() as session:
            one, two = (Seller(session, url, account.id, key) for account, key in made_accounts)
            yield one, two


async def tell(tools: Tools, clock: FakeClock, deliver: Deliver, account: str, *events: str) -> None:
    """Append events one second after the other, and have each attempted once."""
    async with working(tools, [deliver], SLOTS) as wake:
        for count, event in enumerate(events, start=1):
            clock.advance(seconds=1)
            await append(tools.database, event, account=account, at=clock.now())
            wake.poke()
            await made(tools.database, count)


async def test_a_seller_sees_what_became_of_each_event(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver, sellers: tuple[Seller, Seller]
) -> None:
    seller, _ = sellers
    await set_callback(tools.database, tools.keyring, receiver.url, account=seller.account)
    receiver.answering = lambda received: web.Response(status=200 if header(received, "webhook-id") == "evt_1" else 500)
    await tell(tools, clock, deliver, seller.account, "evt_1", "evt_2", "evt_3")

    async def seen(query: str) -> Any:
        return await seller.get(f"/v1/webhooks/whk_lst_1/deliveries{query}")

    newest = await seen("?limit=2")
    assert ([one["event_id"] for one in newest["data"]], newest["has_more"]) == (["evt_3", "evt_2"], True)
    rest = await seen(f"?limit=2&cursor={newest['cursor']}")
    assert ([one["event_id"] for one in rest["data"]], rest["has_more"]) == (["evt_1"], False)
    assert [one["event_id"] for one in (await seen("?status=waiting"))["data"]] == ["evt_3", "evt_2"]
    [delivered] = (await seen("?status=delivered"))["data"]
    assert delivered["finished_at"].endswith("Z")
    assert delivered == {
        "object": "delivery",
        "id": delivered["id"],
        "endpoint_id": "whk_lst_1",
        "event_id": "evt_1",
        "event_type": "order.paid",
        "order_id": "ord_evt_1",
        "generation": 1,
        "status": "delivered",
        "attempt_count": 1,
        "next_attempt_at": None,
        "created_at": delivered["created_at"],
        "finished_at": delivered["finished_at"],
    }


async def test_a_delivery_shows_each_attempt(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver, sellers: tuple[Seller, Seller]
) -> None:
    seller, _ = sellers
    await set_callback(tools.database, tools.keyring, receiver.url, account=seller.account)
    receiver.answering = lambda _: web.Response(status=503, text="said the server" + "!" * 5000)
    await tell(tools, clock, deliver, seller.account, "evt_1")
    [listed] = (await seller.get("/v1/webhooks/whk_lst_1/deliveries"))["data"]
    shown = await seller.get(f"/v1/deliveries/{listed['id']}")
    [attempt] = shown.pop("attempts")
    assert shown == listed
    assert (attempt["object"], attempt["number"], attempt["status_code"]) == ("attempt", 1, 503)
    assert attempt["answer"].startswith("said the server!")
    assert len(attempt["answer"]) == 2048


async def test_another_seller_s_deliveries_are_like_unknown_ones(
    tools: Tools, clock: FakeClock, receiver: Receiver, deliver: Deliver, sellers: tuple[Seller, Seller]
) -> None:
    seller, stranger = sellers
    await set_callback(tools.database, tools.keyring, receiver.url, account=seller.account)
    await tell(tools, clock, deliver, seller.account, "evt_1")
    [delivery] = await deliveries(tools.database)
    for path in (f"/v1/deliveries/{delivery['id']}", "/v1/webhooks/whk_lst_1/deliveries"):
        await seller.get(path)
        assert (await stranger.get(path, status=404))["code"] == "not_found"
    assert (await seller.get("/v1/deliveries/dlv_unknown", status=404))["code"] == "not_found"
    await seller.get("/v1/webhooks/whk_lst_1/deliveries?status=lost", status=422)
