"""A seller's server in a process of its own: it says when each call's first byte came, and answers after 50 ms.

Run as `python -m bench.sellers_server`; it prints its port. The moment, in seconds of the monotonic clock, is the answer:
`{"dynamic_response": {"at": ...}}`.
"""

import asyncio
import time

ANSWERS_AFTER = 0.05
"""Seconds that it takes."""


class Connection(asyncio.Protocol):
    """One connection, on which one request follows another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._left = 0
        self._came = 0.0
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, and answer when it is whole."""
        self._came = self._came or time.monotonic()
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(body) == length:
            asyncio.get_running_loop().call_later(ANSWERS_AFTER, self._answer, self._came)
            self._came, self._head = 0.0, b""

    def _answer(self, came: float) -> None:
        body = b'{"data":{"dynamic_response":{"at":"%.6f"}}}' % came
        assert isinstance(self._transport, asyncio.WriteTransport)  # noqa: S101  # for the type checker
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
