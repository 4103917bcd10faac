"""A client that costs little: requests that are bytes already, over connections that stay open."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], over: asyncio.Future[None]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._over = over
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._statuses[int(head[9:12])] += 1
            self._received = b""
            self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send_next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)  # type: ignore[attr-defined]  # a stream's transport
        elif not self._over.done():
            self._over.set_result(None)
            self._transport.close()


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a POST of JSON, ready to be sent."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def send_all(port: int, requests: Iterator[bytes], connections: int) -> Counter[int]:
    """Send the requests, each connection one after the other, and return how many answers had which status."""
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    ends = []
    for _ in range(connections):
        over: asyncio.Future[None] = loop.create_future()
        ends.append(over)
        await loop.create_connection(partial(_Connection, requests, statuses, over), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return statuses
