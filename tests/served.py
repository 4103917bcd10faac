"""A real HTTP server and client around an application, inside the test's own event loop."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from granian.constants import Interfaces
from granian.server.embed import Server

from purvey.agent import Agent
from purvey.server.accounts.model import Account
from purvey.server.kit.tools import Tools


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a free loopback port, so that nobody else is given it, for a server that shares it (SO_REUSEPORT)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextlib.asynccontextmanager
async def served(app: Any, port: int) -> AsyncIterator[str]:
    """Serve `app` with Granian; yields the base URL once the server accepts connections."""
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20):
            await _accepting(port, serving)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # Granian has no annotation there
        await serving


@contextlib.asynccontextmanager
async def listening(agent: Agent) -> AsyncIterator[str]:
    """Serve an agent."""
    with reserved_port() as port:
        async with served(agent.app, port) as url:
            yield url
        await agent.stop()


async def _accepting(port: int, serving: asyncio.Task[None]) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
        else:
            writer.close()
            await writer.wait_closed()
            return
    await serving


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Shop:
    """A running server with one seller, and a client that sends the seller's API key."""

    url: str
    session: aiohttp.ClientSession
    tools: Tools
    clock: Any
    account: Account
    key: str

    async def ask(self, method: str, path: str, *, key: str | None = "", **options: Any) -> Reply:
        """Send a request, to another server too by its whole URL; `key=None` sends no key, another key replaces the seller's."""
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key or self.key}")
        options.setdefault("allow_redirects", False)
        url = path if path.startswith("http") else self.url + path
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Reply:
        return await self.ask("POST", path, **options)

    async def upload(self, content: bytes, name: str = "report.pdf", kind: str | None = None, **options: Any) -> Reply:
        """Upload a file, as a browser or curl does: a form with the one field `file`."""
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", io.BytesIO(content), filename=name, content_type=kind)
        return await self.ask("POST", "/v1/files", data=form, **options)

    async def put(self, path: str, **options: Any) -> Reply:
        return await self.ask("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> Reply:
        return await self.ask("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Reply:
        return await self.ask("DELETE", path, **options)
