"""An answer whose body is made while it is sent: no faster than it is read, and no longer than somebody reads."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from litestar.types import Message, Receive, Scope, Send


class BrokenOff(Exception):  # what is the case
    """The rest of a body cannot be had. The connection is closed before the announced length, so that the client knows."""


class Streamed:
    """An ASGI application that sends one answer. `headers` must hold the Content-Length unless there is no body."""

    def __init__(
        self, status: int, headers: Mapping[str, str], body: AsyncGenerator[bytes, None] | None = None
    ) -> None:
        self._status = status
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stop when the client is gone, and let the body know by closing it."""
        del scope
        start: Message = {"type": "http.response.start", "status": self._status, "headers": self._headers}
        await send(start)
        if self._body is None:
            await _send_piece(send, b"", more=False)
            return
        gone = asyncio.create_task(_until_gone(receive))
        try:
            async with contextlib.aclosing(self._body):
                async for piece in self._body:
                    await _send_piece(send, piece, more=True)
                    # What is sent to nobody is taken at once, so the word that nobody is there must get its turn.
                    await asyncio.sleep(0)
                    if gone.done():
                        return
            await _send_piece(send, b"", more=False)
        except BrokenOff:
            return
        finally:
            gone.cancel()


async def _send_piece(send: Send, piece: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
