"""HTTP/1.1 by hand: whatever bytes a test wants to send, and the answer read to its end."""

import asyncio
import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 20.0
"""Real seconds after which an answer that does not come is a hang."""


@dataclass(frozen=True)
class Answer:
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of a request; characters of headers up to U+00FF become one byte each, whatever they are."""
    told = {"Host": "shop.test", "Connection": "close"}
    if body or method in {"POST", "PUT", "PATCH"}:
        told["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (told | dict(headers)).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def ask(
    url: str, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """Send one request and return its answer."""
    return await send(url, request(method, target, headers or {}, body))


async def send(url: str, first: bytes, rest: AsyncIterable[bytes] | None = None) -> Answer:
    """Send `first` and then each piece of the `rest`, and return the answer; raise TimeoutError if none comes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(PATIENCE):
            # The server may answer, and close, before it has read everything.
            sending = asyncio.create_task(_send(writer, first, rest))
            answer = await _read(reader, with_body=not first.startswith(b"HEAD "))
            sending.cancel()
            return answer
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, first: bytes, rest: AsyncIterable[bytes] | None) -> None:
    try:
        writer.write(first)
        await writer.drain()
        if rest is not None:
            async for piece in rest:
                writer.write(piece)
                await writer.drain()
    except ConnectionError:
        pass


async def _read(reader: asyncio.StreamReader, *, with_body: bool) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if head[0].startswith("HTTP/1.1 1"):  # one that only says to go on (RFC 9110, 15.2)
        return await _read(reader, with_body=with_body)
    pairs = [line.partition(":") for line in head[1:] if line]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0"))) if with_body else b""
    return Answer(int(head[0].split(" ")[1]), headers, body)
