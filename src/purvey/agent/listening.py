"""The agent as a web application: it takes webhooks, checks them, and answers at once; and it answers dynamic callbacks."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from purvey.agent.dynamic import Dynamic, Reply
from purvey.webhooks import SignatureError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes that a webhook may have."""
CALLED = "x-shoppex-delivery-id"
"""The header that a dynamic callback has and a webhook has not."""


class Listener(Protocol):
    """What takes the webhooks. `serving` answers dynamic callbacks; `clock` gives Unix time."""

    serving: Dynamic
    clock: Callable[[], float]

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""

    def receive(self, body: bytes, headers: dict[str, str]) -> bool:
        """Take one; return whether it was new."""


class App:
    """An ASGI application: a POST brings a callback, on a path of `@agent.dynamic`, or a webhook; GET says that it is there."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._listener.start()  # for servers that tell nothing of their beginning
            await _answer(send, await self._take(scope, receive))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._listener.start()
                except Exception as error:  # noqa: BLE001  # the server says it, and stops
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._listener.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _take(self, scope: Message, receive: Receive) -> Reply:
        if scope["method"] in {"GET", "HEAD"}:
            return _reply(200, {"ok": True})
        if scope["method"] != "POST":
            return _reply(405, {"error": "Webhooks are sent by POST."})
        body = await _body(receive)
        if body is None:
            return _reply(413, {"error": "No webhook is so large."})
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._listener.serving.serves(path):
            return await self._listener.serving.take(path, body, headers, self._listener.clock())
        if CALLED in headers:
            paths = " and ".join(self._listener.serving.paths) or "nowhere: there is no @agent.dynamic"
            return _reply(404, {"error": f"This is a dynamic callback; those are served at {paths}."})
        return self._take_webhook(body, headers)

    def _take_webhook(self, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            return _reply(200, {"ok": True, "new": self._listener.receive(body, headers)})
        except SignatureError as error:
            return _reply(400, {"error": str(error)})


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body
    return None


def _reply(status: int, document: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(document).encode())


async def _answer(send: Send, reply: Reply) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
