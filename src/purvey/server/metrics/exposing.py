"""What a process does about its measures as long as it runs: it looks at itself, and may answer on a port of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from purvey.server.installation import StartError
from purvey.server.metrics.measures import Measures


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


@contextlib.asynccontextmanager
async def exposed(measures: Measures, watched: Callable[[], Litestar], at: Address | None) -> AsyncIterator[None]:
    """Keep the measures up to date while the body runs, and answer them at an address, if there is one.

    Raises StartError when that address is taken.
    """
    looking = asyncio.create_task(measures.keep_looking())
    try:
        if at is None:
            yield
        else:
            async with _answering(watched(), at):
                yield
    finally:
        looking.cancel()


@contextlib.asynccontextmanager
async def _answering(app: Litestar, at: Address) -> AsyncIterator[None]:
    _check_free(at)
    server = Server(app, at.host, at.port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_answering(at, serving)
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # Granian's is not annotated
        await serving


def _check_free(at: Address) -> None:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(at)
        except OSError as error:
            raise StartError(
                f"Cannot listen on {at.host}:{at.port}: {error.strerror or error}. Choose another port with --metrics-port."
            ) from None


async def _until_answering(at: Address, serving: "asyncio.Task[None]") -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*at)
            writer.close()
            return
        await asyncio.sleep(0.01)
    await serving
