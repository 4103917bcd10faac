"""The outbound client against receivers that stall, flood, lie or hang up: none costs more than its turn."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest

from purvey.server.kit.safe_http import SafeHttp
from receivers import LONG, SHORT, answered, dripping, endless, failed, once, post, receiving


@pytest.fixture
async def client() -> AsyncIterator[SafeHttp]:
    client = SafeHttp(allow_private=True)
    yield client
    await client.close()


async def test_a_closed_port_fails_at_connect(client: SafeHttp) -> None:
    async with receiving() as receiver:
        pass
    failure = failed(await post(client, receiver.url))
    assert failure.stage == "connect"
    assert failure.reason == f"Could not connect to port {receiver.port} of 127.0.0.1: Connection refused."


async def test_a_receiver_that_never_answers_runs_into_the_deadline(client: SafeHttp) -> None:
    async with receiving(once(b"")) as receiver:
        failure = failed(await post(client, receiver.url, deadline=SHORT))
        await receiver.ended.wait()
    assert failure.stage == "timeout"
    assert failure.reason == "The deadline of 0.4 s passed while waiting for the answer."
    assert failure.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("start", "piece", "stage"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a", "waiting for the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a", "reading the answer's body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", "reading the answer's body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;ext=", b"a", "reading the answer's body"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: ", b"a", "waiting for the answer"),
    ],
)
async def test_one_byte_at_a_time_does_not_outlast_the_deadline(
    client: SafeHttp, start: bytes, piece: bytes, stage: str
) -> None:
    async with receiving(dripping(start, piece)) as receiver:
        failure = failed(await post(client, receiver.url, deadline=SHORT))
        await receiver.ended.wait()
    assert (failure.stage, failure.reason) == ("timeout", f"The deadline of 0.4 s passed while {stage}.")


async def test_a_receiver_that_never_reads_is_dropped_with_the_bytes_it_left(client: SafeHttp) -> None:
    finished = asyncio.Event()

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio gives this stream a read transport
        await finished.wait()

    async with receiving(handler) as receiver, receiving() as another:
        failure = failed(await post(client, receiver.url, deadline=SHORT, body=b"x" * 64_000_000))
        answered(await post(client, another.url))
        assert not _client_sockets_to(receiver.port)
        finished.set()
    assert (failure.stage, failure.reason) == ("timeout", "The deadline of 0.4 s passed while sending the request.")


def _client_sockets_to(port: int) -> list[str]:
    """List the established sockets of this machine whose far end is `port` on loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[2] == f"0100007F:{port:04X}" and row[3] == "01"]


async def test_the_deadline_covers_the_lookup() -> None:
    class Silent:
        async def lookup(self, _host: str) -> Sequence[str]:
            await asyncio.Event().wait()
            return ()

    client = SafeHttp(resolver=Silent())
    failure = failed(await post(client, "http://silent.example/", deadline=SHORT))
    assert failure.reason == "The deadline of 0.4 s passed while resolving the name."
    await client.close()


async def test_the_deadline_covers_the_handshake(client: SafeHttp) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with receiving(silent) as receiver:
        failure = failed(await post(client, f"https://127.0.0.1:{receiver.port}/", deadline=SHORT))
    assert failure.reason == "The deadline of 0.4 s passed while shaking hands for TLS."


async def test_the_deadline_covers_the_wait_for_a_free_connection() -> None:
    client = SafeHttp(allow_private=True, connections=1)
    async with receiving(once(b"")) as receiver:
        outcomes = await asyncio.gather(*(post(client, receiver.url, deadline=SHORT) for _ in range(3)))
        await client.close()
    assert [failed(outcome).stage for outcome in outcomes] == ["timeout"] * 3
    assert receiver.connections <= 2


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Endless: header\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nX-Endless: ", b"a" * 4096),
        (b"HTTP/1.1 200 OK\r\n", b"a" * 4096),
        (b"HTTP/1.1 200 ", b"O" * 4096),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        (b"", b"garbage and more of it\r\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00", bytes(4096)),
        (b"", b"SSH-2.0-OpenSSH_9.6\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Nul: \x00\r\n\r\n", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"x" * 4096),
    ],
)
async def test_endless_headers_and_garbage_end_the_attempt_long_before_the_deadline(
    client: SafeHttp, start: bytes, piece: bytes
) -> None:
    async with receiving(endless(start, piece)) as receiver:
        failure = failed(await post(client, receiver.url))
        await receiver.ended.wait()
    assert failure.stage == "headers"
    assert failure.reason.startswith("What came is not a valid HTTP answer")


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ],
)
async def test_of_a_body_without_end_only_the_limit_is_read(client: SafeHttp, start: bytes) -> None:
    async with receiving(endless(start, b"x" * 65_536)) as receiver:
        answer = answered(await post(client, receiver.url))
        await receiver.ended.wait()
    assert (len(answer.body), answer.truncated) == (65_536, True)


async def test_chunk_by_chunk_a_body_without_end_is_cut_too(client: SafeHttp) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with receiving(endless(start, b"10\r\nxxxxxxxxxxxxxxxx\r\n" * 10_000)) as receiver:
        answer = answered(await post(client, receiver.url))
        await receiver.ended.wait()
    assert (answer.body, answer.truncated) == (b"x" * 65_536, True)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"1\r\nx\r\n" * 10_000),
        (b"1;extension=", b"x" * 65_536),
        (b"", b"1;extension=abcdefghijklmnopqrstuvwxyz\r\nx\r\n" * 1000),
    ],
)
async def test_a_body_that_is_mostly_framing_is_given_up(client: SafeHttp, start: bytes, piece: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with receiving(endless(head + start, piece)) as receiver:
        failure = failed(await post(client, receiver.url))
        await receiver.ended.wait()
    assert failure.stage == "body"
    assert "mostly framing" in failure.reason


async def test_trailers_without_end_are_given_up(client: SafeHttp) -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    async with receiving(endless(start, b"X-Endless: trailer\r\n" * 1000)) as receiver:
        assert failed(await post(client, receiver.url)).stage in {"headers", "body"}
        await receiver.ended.wait()


async def test_a_large_answer_in_small_chunks_is_read_whole(client: SafeHttp) -> None:
    chunks = b"20\r\n" + b"x" * 32 + b"\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 32_768 + b"0\r\n\r\n"
    async with receiving(once(answer)) as receiver:
        outcome = await client.send("POST", receiver.url, headers={}, body=b"", deadline=LONG, max_response=1_048_576)
    got = answered(outcome)
    assert (got.body, got.truncated) == (b"x" * 1_048_576, False)


async def test_a_compressed_answer_is_not_inflated(client: SafeHttp) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with receiving(once(head + bomb)) as receiver:
        answer = answered(await post(client, receiver.url))
    assert (answer.body, answer.header("Content-Encoding")) == (bomb, "gzip")


async def test_a_reset_in_the_middle_of_the_body_fails_at_body(client: SafeHttp) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        _reset(writer)

    async with receiving(handler) as receiver:
        failure = failed(await post(client, receiver.url))
    assert failure.stage == "body"


async def test_a_body_shorter_than_announced_fails_at_body(client: SafeHttp) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with receiving(handler) as receiver:
        failure = failed(await post(client, receiver.url))
    assert failure.stage == "body"
    assert failure.reason.startswith("The body of the answer broke off")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_receiver_that_hangs_up_is_asked_once(client: SafeHttp, method: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with receiving(handler) as receiver:
        failure = failed(await client.send(method, receiver.url, headers={}, body=b"", deadline=LONG))
    assert (failure.stage, receiver.connections) == ("headers", 1)
    assert failure.reason == "The receiver closed the connection without an answer."


async def test_a_reset_under_a_large_request_fails_at_send(client: SafeHttp) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        _reset(writer)

    async with receiving(handler) as receiver:
        failure = failed(await post(client, receiver.url, body=b"x" * 64_000_000))
    assert failure.stage == "send"
    assert receiver.url not in failure.reason


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_an_early_answer_to_a_large_request_is_an_answer_and_the_rest_is_dropped(client: SafeHttp) -> None:
    read_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await read_on.wait()

    async with receiving(handler) as receiver, receiving() as another:
        answer = answered(await post(client, receiver.url, body=b"x" * 64_000_000))
        answered(await post(client, another.url))
        assert not _client_sockets_to(receiver.port)
        read_on.set()
    assert answer.status == 413


async def test_cancellation_passes_through_and_drops_the_connection(client: SafeHttp) -> None:
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with receiving(handler) as receiver:
        attempt = asyncio.create_task(post(client, receiver.url))
        await asked.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await receiver.ended.wait()


async def test_a_closed_client_ends_its_attempts_as_failures(client: SafeHttp) -> None:
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with receiving(handler) as receiver:
        attempt = asyncio.create_task(post(client, receiver.url))
        await asked.wait()
        await client.close()
        assert failed(await attempt).stage == "headers"
