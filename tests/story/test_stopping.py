"""The end of a process: what is under way may end, but nobody who reads no further holds it up."""

import asyncio
from typing import Any, cast

import pytest

from market import PATIENCE
from purvey.server import serving
from purvey.server.app import App
from purvey.server.settings import Settings
from served import reserved_port


class Endless:
    """An application whose answers have no end, as a large download has none for who does not read it."""

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": bytes(256 * 1024), "more_body": True})

    @property
    def web(self) -> "Endless":
        return self


async def test_a_client_that_reads_no_further_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STOP_WITHIN", 0.2)
    stop = asyncio.Event()
    with reserved_port() as port:
        answering = asyncio.create_task(serving._answer(cast("App", Endless()), Settings(port=port), stop))
        await serving._until_answering(Settings(port=port), answering)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await answering
        writer.transport.abort()
