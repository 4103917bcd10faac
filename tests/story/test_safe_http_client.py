"""The outbound client against real sockets: receivers that behave, and places where a request must not go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from socket import socket

import pytest

from purvey.server.kit.safe_http import SafeHttp
from purvey.server.kit.safe_http.connect import dial
from receivers import LONG, OK, Names, answered, answering, failed, once, post, receiving


@pytest.fixture
async def client() -> AsyncIterator[SafeHttp]:
    client = SafeHttp(allow_private=True)
    yield client
    await client.close()


async def test_the_request_arrives_as_it_was_given_and_the_answer_comes_back(client: SafeHttp) -> None:
    async with receiving() as receiver:
        receiver.handler = answering(
            receiver, b"HTTP/1.1 201 Made\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 2\r\n\r\nok"
        )
        outcome = await client.send(
            "POST", f"{receiver.url}?q=%2F", headers={"User-Agent": "Purvey/1", "X-A": "b"}, body=b"{}", deadline=LONG
        )
        answer = answered(outcome)
        head = receiver.heads[0].split("\r\n")
    assert head[0] == "POST /in?q=%2F HTTP/1.1"
    assert {f"Host: 127.0.0.1:{receiver.port}", "User-Agent: Purvey/1", "X-A: b", "Content-Length: 2"} <= set(head)
    assert "Accept-Encoding: identity" in head
    assert not [line for line in head if line.lower().startswith(("cookie", "content-type", "authorization"))]
    assert (answer.status, answer.body, answer.truncated, answer.address) == (201, b"ok", False, "127.0.0.1")
    assert (answer.header("X-ONE"), answer.header("x-two")) == ("1", None)


async def test_an_empty_body_is_announced_as_empty(client: SafeHttp) -> None:
    async with receiving() as receiver:
        answered(await post(client, receiver.url, body=b""))
    assert "content-length: 0" in receiver.heads[0].lower()


async def test_a_kept_connection_is_used_again_for_the_same_origin(client: SafeHttp) -> None:
    async with receiving() as receiver:
        for _ in range(5):
            answered(await post(client, receiver.url))
    assert (receiver.connections, len(receiver.heads)) == (1, 5)


async def test_a_kept_connection_that_nobody_wants_is_dropped() -> None:
    client = SafeHttp(allow_private=True, keep_alive=0.05)
    async with receiving() as receiver:
        answered(await post(client, receiver.url))
        await receiver.ended.wait()
        await client.close()


async def test_what_is_kept_makes_room_for_what_is_used() -> None:
    client = SafeHttp(allow_private=True, connections=1, keep_alive=LONG)
    async with receiving() as first, receiving() as second:
        answered(await post(client, first.url))
        answered(await post(client, second.url))
        await first.ended.wait()
        answered(await post(client, second.url))
        await client.close()
    assert (first.connections, second.connections) == (1, 1)


@pytest.mark.parametrize(("rest", "asked_for"), [("", "/"), ("?q=1", "/?q=1"), ("/a//b?", "/a//b?"), ("#part", "/")])
async def test_the_request_line_has_a_path(client: SafeHttp, rest: str, asked_for: str) -> None:
    async with receiving() as receiver:
        answered(await post(client, f"http://127.0.0.1:{receiver.port}{rest}"))
    assert receiver.heads[0].split("\r\n")[0] == f"POST {asked_for} HTTP/1.1"


async def test_two_hosts_at_one_address_never_share_a_connection() -> None:
    client = SafeHttp(allow_private=True, resolver=Names(a_test=["127.0.0.1"], b_test=["127.0.0.1"]))
    async with receiving() as receiver:
        for host in ("a.test", "b.test", "a.test", "b.test"):
            answered(await post(client, f"http://{host}:{receiver.port}/"))
        await client.close()
    assert receiver.connections == 2
    assert [head.split("Host: ")[1].split(":")[0] for head in receiver.heads] == ["a.test", "b.test"] * 2


async def test_a_kept_connection_is_not_used_once_its_name_leads_elsewhere() -> None:
    names = Names(moving_test=["127.0.0.1"])
    client = SafeHttp(allow_private=True, resolver=names)
    async with receiving() as old, receiving(host="127.0.0.2", port=old.port) as new:
        answered(await post(client, f"http://moving.test:{old.port}/"))
        names.names["moving.test"] = ["127.0.0.2"]
        answer = answered(await post(client, f"http://moving.test:{old.port}/"))
        await client.close()
    assert answer.address == "127.0.0.2"
    assert (len(old.heads), len(new.heads)) == (1, 1)


async def test_a_name_whose_first_address_refuses_is_reached_at_the_next() -> None:
    client = SafeHttp(allow_private=True, resolver=Names(two_test=["127.0.0.3", "127.0.0.1"]))
    async with receiving() as receiver:
        answer = answered(await post(client, f"http://two.test:{receiver.port}/"))
        await client.close()
    assert answer.address == "127.0.0.1"


async def test_a_name_is_resolved_by_the_system(client: SafeHttp) -> None:
    async with receiving() as receiver:
        assert answered(await post(client, f"http://localhost:{receiver.port}/")).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad", 500, b"bad"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw", 101, b""),
    ],
)
async def test_every_status_is_an_answer(client: SafeHttp, answer: bytes, status: int, body: bytes) -> None:
    async with receiving(once(answer)) as receiver:
        got = answered(await post(client, receiver.url))
    assert (got.status, got.body, got.truncated) == (status, body, False)


async def test_a_body_that_ends_with_the_connection_is_read_to_its_end(client: SafeHttp) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        writer.close()
        await writer.wait_closed()

    async with receiving(handler) as receiver:
        assert answered(await post(client, receiver.url)).body == b"until the end"


@pytest.mark.parametrize(
    ("limit", "kept", "truncated"), [(11, b"hello world", False), (10, b"hello worl", True), (0, b"", True)]
)
async def test_a_body_is_cut_only_when_it_is_longer_than_the_limit(
    client: SafeHttp, limit: int, kept: bytes, truncated: object
) -> None:
    async with receiving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world")) as receiver:
        outcome = await client.send("POST", receiver.url, headers={}, body=b"", deadline=LONG, max_response=limit)
    answer = answered(outcome)
    assert (answer.body, answer.truncated) == (kept, truncated)


# Where a request must not go


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "１２７。0。0。1"])
async def test_a_refused_address_is_never_connected_to(host: str) -> None:
    client = SafeHttp()
    async with receiving() as receiver:
        assert failed(await post(client, f"http://{host}:{receiver.port}/")).stage == "address"
        await client.close()
    assert receiver.connections == 0


async def test_a_name_that_leads_to_loopback_is_never_connected_to() -> None:
    client = SafeHttp(resolver=Names(inside_example=["93.184.215.14", "127.0.0.1"]))
    async with receiving() as receiver:
        failure = failed(await post(client, f"http://inside.example:{receiver.port}/"))
        await client.close()
    assert (failure.stage, receiver.connections) == ("address", 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_socket_that_reached_another_peer_sends_nothing(scheme: str) -> None:
    async def astray(_address: str, port: int) -> socket:
        return await dial("127.0.0.1", port)

    received = asyncio.get_running_loop().create_future()

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read())

    client = SafeHttp(resolver=Names(astray_example=["93.184.215.14"]), dial=astray)
    async with receiving(handler) as receiver:
        failure = failed(await post(client, f"{scheme}://astray.example:{receiver.port}/"))
        assert await received == b""
        await client.close()
    assert failure.stage == "address"
    assert failure.reason == "The connection meant for 93.184.215.14 reached 127.0.0.1; nothing was sent."


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(client: SafeHttp, status: int) -> None:
    async with receiving() as target:
        location = f"HTTP/1.1 {status} Go\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with receiving(once(location)) as receiver:
            answer = answered(await post(client, receiver.url))
    assert (answer.status, answer.header("location"), target.connections) == (status, target.url, 0)


async def test_proxies_and_credentials_of_the_environment_are_ignored(
    client: SafeHttp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answered(await post(client, receiver.url))
    assert (proxy.connections, receiver.connections) == (0, 1)
    assert "authorization" not in receiver.heads[0].lower()


async def test_a_cookie_is_not_sent_back(client: SafeHttp) -> None:
    async with receiving() as receiver:
        receiver.handler = answering(
            receiver, b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
        )
        answered(await post(client, receiver.url))
        answered(await post(client, receiver.url))
    assert "cookie" not in receiver.heads[1].lower()


async def test_a_second_answer_smuggled_behind_the_first_is_not_taken_for_the_next(client: SafeHttp) -> None:
    async with receiving() as receiver:
        receiver.handler = answering(receiver, OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        bodies = [answered(await post(client, receiver.url)).body for _ in range(3)]
    assert bodies == [b"ok"] * 3


async def test_an_answer_that_comes_unasked_on_a_kept_connection_is_not_taken_for_the_next(client: SafeHttp) -> None:
    idle, sent = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(OK)
        await idle.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        sent.set()
        await reader.read()

    async with receiving(handler) as receiver, receiving() as another:
        answered(await post(client, receiver.url))
        idle.set()
        await sent.wait()
        answered(await post(client, another.url))
        assert answered(await post(client, receiver.url)).body == b"ok"
    assert receiver.connections == 2
