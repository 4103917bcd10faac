"""One request and its answer on an open connection.

aiohttp's protocol of a client connection, with its parser (llhttp, in C), is used without aiohttp's session: of what a session does
between a URL and a socket (redirects, cookies, proxies, retries, tracing), an attempt here wants nothing, and it was half of
the CPU time of a delivery.
"""

from aiohttp import ClientPayloadError, ServerDisconnectedError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage

MAX_HEADERS = 100
MAX_HEADER_BYTES = 8_190
MAX_INTERIM_ANSWERS = 16
FRAMING_ALLOWANCE = 32_768  # bytes around a body, beyond as many as the body itself has
_SLICE = 16_384
_LARGE = 65_536


class GuardedHandler(ResponseHandler):
    """A connection, which also ends two floods that cost us far more than the sender.

    Interim answers (1xx, RFC 9110 15.2) cost a parsed message for a few bytes on the wire, and chunks of one byte
    (RFC 9112 7.1) a call for each: measured, 64 KiB of them cost 140 ms. So interim answers are counted, and what
    frames a body may be no larger than the body itself and some allowance. Large reads are parsed slice by slice, so
    that a flood is noticed before more than a slice of it is parsed.
    """

    peer: str | None = None
    interim = 0
    wire_bytes = 0
    body: StreamReader | None = None

    @property
    def reusable(self) -> bool:
        """Tell whether the last request has left and its answer has come, both whole, with nothing behind it."""
        transport, body = self.transport, self.body
        if transport is None or body is None or not body.is_eof() or self.should_close:
            return False
        return not transport.is_closing() and transport.get_write_buffer_size() == 0

    def send(self, head: bytes, body: bytes, *, bodiless_answer: bool) -> None:
        """Send a request; of a large one the transport keeps what the receiver does not take yet.

        `bodiless_answer` says that the answer has no body whatever its headers say, as one to HEAD has none.
        """
        self.interim = 0
        self.body = None
        self.set_response_params(
            skip_payload=bodiless_answer,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        transport = self.transport
        if transport is None:
            raise self.exception() or ServerDisconnectedError
        if len(body) > _LARGE:
            transport.write(head)
            transport.write(body)
        else:
            transport.write(head + body)

    async def answer(self) -> tuple[RawResponseMessage, StreamReader]:
        """Return the head of the answer, past interim ones, and its body, which may still be coming."""
        while True:
            message, body = await self.read()
            if not _is_interim(message):
                return message, body

    def drop(self) -> None:
        """Cut the connection: a plain close would wait until unsent bytes are taken, which a receiver can put off for ever."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser slice by slice, until it or one of the bounds has had enough."""
        for start in range(0, len(data) or 1, _SLICE):
            if self.exception() is not None:
                return
            part = data[start : start + _SLICE]
            super().data_received(part)
            self._bound_framing(len(part))

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  # aiohttp's signature
        """Go on reading, if it was paused: aiohttp asks for it after each read and at each end."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take a parsed message: an interim answer is counted, anything else is the answer."""
        if self.interim > MAX_INTERIM_ANSWERS:
            return
        if _is_interim(data[0]):
            self.interim += 1
        else:
            self.body, self.wire_bytes = data[1], 0
        super().feed_data(data, size)
        if self.interim > MAX_INTERIM_ANSWERS:
            self._give_up(HttpProcessingError(message=f"more than {MAX_INTERIM_ANSWERS} interim answers"))

    def _bound_framing(self, received: int) -> None:
        self.wire_bytes += received
        body = self.body
        if body is None or body.is_eof() or self.wire_bytes <= 2 * body.total_bytes + FRAMING_ALLOWANCE:
            return
        error = ClientPayloadError("its chunks are mostly framing, with little or nothing in them")
        body.set_exception(error)
        self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


def _is_interim(message: RawResponseMessage) -> bool:
    return 100 <= message.code <= 199 and message.code != 101
