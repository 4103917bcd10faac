"""The client as sellers' programs use it: against a real server, and against one that misbehaves."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, cast

import pytest

from market import Market
from purvey import APIError, AsyncPurvey, Purvey
from purvey.client.errors import AlreadyFulfilled, CursorExpired, NoAnswer, NoAPIKey, PublishFailed, ValidationError
from purvey.client.files import upload_file
from purvey.client.objects import Event, Order
from purvey.server.events import store
from receivers import Handler, receiving

TEXT = {"type": "text", "value": "the goods"}
QUESTION = {"key": "birth_date", "type": "date", "label": "Your birth date"}


def sell(client: Purvey, path: Path) -> None:
    """Do what a seller's program does, from the first listing to the last event; nothing here is asynchronous."""
    assert client.ping().status == "ok"
    draft = client.listings.create(name="Kit", price=500)
    with pytest.raises(PublishFailed) as raised:
        client.listings.publish(draft.id)
    assert raised.value.actions[0]["code"]
    client.listings.add_deliverable(draft.id, type="text", value="first")
    uploaded = [client.files.upload(path), client.files.upload(io.BytesIO(b"the goods"), filename="goods.txt")]
    assert [file.filename for file in uploaded] == ["report.pdf", "goods.txt"]
    assert client.files.get(uploaded[0].id) == uploaded[0]
    changed = client.listings.set_deliverables(draft.id, [TEXT, {"type": "file", "token": uploaded[0].id}])
    assert [one.type for one in changed.deliverables] == ["text", "file"]
    kit = client.listings.update(draft.id, tagline="All of it", compare_at_price=None)
    assert (client.listings.publish(kit.id).status, kit.tagline) == ("published", "All of it")
    other = client.listings.create(name="Reading", price=0, content_type="generated", checkout_schema=[QUESTION])
    client.listings.update(other.id, agent_callback_url="http://127.0.0.1:1/hook")
    client.listings.publish(other.id)
    assert {one.name for one in client.listings.list(limit=1).auto_paging_iter()} == {"Reading", "Kit"}

    checkout = client.checkouts.create(other.id, "ada@example.com", {"birth_date": "1990-05-15"})
    order = client.orders.get(client.checkouts.get(checkout.id).order_id or "")
    assert isinstance(order, Order)
    assert (order.status, order.checkout_data) == ("processing", {"birth_date": "1990-05-15"})
    done = client.orders.deliver(order.id, type="text", value="Taurus")
    assert (done.status, done.deliverables[0].value) == ("fulfilled", "Taurus")
    assert client.orders.fulfill(order.id, deliverables=[{"type": "text", "value": "Taurus"}]).status == "fulfilled"
    with pytest.raises(AlreadyFulfilled):
        client.orders.deliver(order.id, type="text", value="Gemini")
    assert client.orders.update(order.id, buyer_email="grace@example.com").buyer_email == "grace@example.com"
    client.orders.resend(order.id)
    assert len(list(client.orders.history(order.id))) > 1
    assert [one.id for one in client.orders.list(buyer_email="grace@example.com")] == [order.id]

    result = client.events.list(type="order.paid", limit=50)
    for event in result.data:
        assert (event.type, event.order_id, event.created_at[-1]) == ("order.paid", order.id, "Z")
    assert (result.has_more, result.cursor) == (False, result.data[-1].id)
    [paid, fulfilled] = client.events.list(limit=1).auto_paging_iter()
    assert client.events.get(paid.id) == paid
    assert fulfilled.data.id == order.id
    assert client.events.list(after=fulfilled.id).data == []
    with pytest.raises(ValidationError) as wrong:
        client.events.list(limit=1000)
    assert wrong.value.param == "limit"
    endpoint = client.webhooks.create(url="http://127.0.0.1:1/all", events=["order.paid"])
    assert client.webhooks.get(endpoint.id).events == ["order.paid"]
    client.webhooks.delete(endpoint.id)
    client.listings.archive(kit.id)


async def test_a_seller_s_program_does_its_whole_work_with_the_client(market: Market, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF the goods")
    with Purvey(api_key=market.shop.key, base_url=market.shop.url) as client:
        await asyncio.to_thread(sell, client, path)
        assert (await asyncio.to_thread(client.account.get)).id == market.shop.account.id


async def test_the_same_is_there_to_be_awaited(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURVEY_API_KEY", market.shop.key)
    monkeypatch.setenv("PURVEY_API_URL", f"{market.shop.url}/")
    async with AsyncPurvey() as client:
        kit = await client.listings.create(name="Kit", price=0, deliverables=[TEXT])
        await client.listings.publish(kit.id)
        for _ in range(3):
            await client.checkouts.create(kit.id, "ada@example.com")
        file = await client.files.upload(io.BytesIO(b"the goods"), filename="goods.txt")
        assert (await client.files.get(file.id)).size == 9
        page = await client.events.list(limit=2)
        assert [event.sequence async for event in page.auto_paging_iter()] == [1, 2, 3, 4, 5, 6]
        with pytest.raises(APIError, match="No order"):
            await client.orders.get("ord_none")


class Slow(io.RawIOBase):
    """A large file on a disk that takes its time: it notes in which threads it is read, and how much is read until it is sent."""

    def __init__(self, size: int) -> None:
        self.left = self.size = size
        self.threads: set[int] = set()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.left = self.size - offset if whence == io.SEEK_SET else 0
        return self.tell()

    def tell(self) -> int:
        return self.size - self.left

    def readinto(self, buffer: Any) -> int:
        self.threads.add(threading.get_ident())
        count = min(len(buffer), self.left)
        self.left -= count
        return count


async def test_an_upload_that_is_awaited_keeps_nobody_waiting_and_little_in_memory(
    market: Market, tmp_path: Path
) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF the goods")
    size = 24 * 1024 * 1024
    slow = Slow(size)
    source = cast("IO[bytes]", slow)
    async with AsyncPurvey(api_key=market.shop.key, base_url=market.shop.url) as client:
        assert (await client.files.upload(path)).filename == "report.pdf"
        large = await client.files.upload(source, filename="large.bin")
        assert (large.filename, large.size) == ("large.bin", size)
        assert slow.threads
        assert threading.get_ident() not in slow.threads
        with pytest.raises(FileNotFoundError):
            await client.files.upload(tmp_path / "nothing.pdf")
        sent = client.transport._asked(upload_file(source).request(), source).stream
        assert isinstance(sent, AsyncIterable)
        sizes = [len(chunk) async for chunk in sent]
    assert (len(sizes) > 20, max(sizes) <= 1024 * 1024) == (True, True)


async def test_following_hands_over_what_is_there_and_then_what_comes(market: Market) -> None:
    listing = await market.listing()
    await market.buy(listing)
    seen: asyncio.Queue[Event] = asyncio.Queue()
    async with AsyncPurvey(api_key=market.shop.key, base_url=market.shop.url) as client:

        async def follow(**filters: str) -> None:
            async for event in client.events.follow(**filters):
                seen.put_nowait(event)

        following = asyncio.create_task(follow())
        async with asyncio.timeout(30):
            assert [(await seen.get()).sequence for _ in range(2)] == [1, 2]
            await market.buy(listing)
            assert [(await seen.get()).sequence for _ in range(2)] == [3, 4]
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_following_from_an_event_that_is_gone_says_so_and_from_the_beginning_goes_on(market: Market) -> None:
    listing = await market.listing()
    await market.buy(listing)
    seen = await market.events()
    market.later(days=31)
    await market.buy(listing)
    now = market.shop.clock.now()
    await store.expire(market.shop.tools.database, market.shop.account.id, now - timedelta(days=30), 500, now)
    async with AsyncPurvey(api_key=market.shop.key, base_url=market.shop.url) as client:
        with pytest.raises(CursorExpired) as gone:
            await anext(client.events.follow(after=seen[0]["id"]))
        left = await anext(client.events.follow())
        assert (left.id, left.sequence) == (gone.value.oldest_event_id, 3)
        assert (await anext(client.events.follow(after=seen[1]["id"]))).id == left.id


def test_without_a_key_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PURVEY_API_KEY", raising=False)
    with pytest.raises(NoAPIKey, match="purvey accounts create"):
        Purvey()


def http(status: int, body: Any, *headers: str) -> bytes:
    """Return an answer, byte by byte."""
    sent = json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} So",
        "content-type: application/json",
        f"content-length: {len(sent)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + sent


def in_turn(heads: list[str], *answers: bytes) -> Handler:
    """Answer one request after the other with these; an empty answer hangs up."""
    left = list(answers)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
            await reader.readexactly(int(length.split(":")[1]))
            heads.append(head)
            answer = left.pop(0)
            if not answer:
                return
            writer.write(answer)
            await writer.drain()

    return handler


Ask = Callable[[str, list[float]], Awaitable[Any]]


async def waiting(url: str, pauses: list[float]) -> Any:
    """Deliver with the client that waits."""
    with Purvey(api_key="lb_x", base_url=url) as client:
        client.transport.sleep = pauses.append
        return await asyncio.to_thread(client.orders.deliver, "ord_1", type="text", value="goods")


async def awaiting(url: str, pauses: list[float]) -> Any:
    """Deliver with the client that is awaited."""

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with AsyncPurvey(api_key="lb_x", base_url=url) as client:
        client.transport.sleep = sleep
        return await client.orders.deliver("ord_1", type="text", value="goods")


@pytest.mark.parametrize("ask", [waiting, awaiting])
async def test_a_server_that_hangs_up_and_is_busy_gets_the_same_request_until_it_answers(ask: Ask) -> None:
    heads: list[str] = []
    pauses: list[float] = []
    answers = (b"", http(503, {}), b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut", http(429, {}, "retry-after: 3"))
    async with receiving() as receiver:
        receiver.handler = in_turn(
            heads, *answers[:2], http(502, "x"), answers[3], http(200, {"object": "order", "id": "ord_1"})
        )
        order = await ask(f"http://127.0.0.1:{receiver.port}", pauses)
    assert order.id == "ord_1"
    keys = {line for head in heads for line in head.split("\r\n") if line.lower().startswith("idempotency-key:")}
    assert (len(heads), len(keys), len(pauses)) == (5, 1, 4)
    assert 3 <= pauses[3] <= 3.25


async def test_a_server_that_never_answers_is_left_after_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with receiving(silent) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        async with AsyncPurvey(api_key="lb_x", base_url=url, timeout=0.05, max_retries=0) as client:
            with pytest.raises(NoAnswer, match=f"{url} did not answer: it took too long"):
                await client.ping()


async def test_a_server_that_is_not_there_is_named() -> None:
    async with AsyncPurvey(api_key="lb_x", base_url="http://127.0.0.1:1", max_retries=0) as client:
        with pytest.raises(NoAnswer, match=r"http://127\.0\.0\.1:1 did not answer"):
            await client.ping()
    with pytest.raises(ValueError, match=r"must begin with http.*shop\.example"):
        AsyncPurvey(api_key="lb_x", base_url="shop.example")
