"""The one place that sends bytes of files: window by window, each charged to the lease before it goes out."""

import asyncio
import base64
from collections.abc import AsyncGenerator

from purvey.server.access import actions
from purvey.server.access.model import Lease
from purvey.server.access.rules import disposition
from purvey.server.files.model import File
from purvey.server.files.storage import Storage
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.tools import Tools
from purvey.server.kit.web.ranges import Span
from purvey.server.kit.web.streamed import BrokenOff

WINDOW = 4 * 1024 * 1024
"""Bytes that are charged at once: what a death of the process may cost a lease, and what still goes out after a refund."""

HEADERS = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}
"""Of everything that is opened by a download link."""
SAVED = {
    # Nothing that a seller uploads runs here, whatever a browser makes of its type.
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Accept-Ranges": "bytes",
}


def etag(file: File) -> str:
    """Return the strong validator of a file's bytes: their SHA-256."""
    return f'"{file.sha256.hex()}"'


def headers(file: File, span: Span | None) -> dict[str, str]:
    """Return the headers of an answer that holds the whole file, or a part of it."""
    length = span.length if span else file.size
    part = {"Content-Range": span.content_range(file.size)} if span else {}
    return {
        **HEADERS,
        **SAVED,
        **part,
        "Content-Type": file.content_type,
        "Content-Length": str(length),
        "Content-Disposition": disposition(file.filename),
        "ETag": etag(file),
        # Of the whole file, whichever part of it this is (RFC 9530).
        "Repr-Digest": f"sha-256=:{base64.b64encode(file.sha256).decode()}:",
    }


def first_window(span: Span) -> int:
    """Return how many bytes of `span` are charged when the lease is opened."""
    return min(span.length, WINDOW)


async def pieces(tools: Tools, storage: Storage, lease: Lease, file: File, span: Span) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of `span`. A piece is sent when the next one is asked for; what was charged and not sent is given back.

    Raises BrokenOff when nothing more may be sent, or the storage has gone away.
    """
    at, charged = span.first, lease.charged
    try:
        while at < span.end:
            if not charged:
                charged = await _charged(tools, lease, span.end - at)
            async for piece in storage.read(file.blob, at, at + charged):
                yield piece
                at += len(piece)
                charged -= len(piece)
    except Unavailable as error:
        raise BrokenOff from error
    finally:
        if charged:
            # Shielded: the request may be cut short together with its client.
            await asyncio.shield(actions.give_back(tools, lease, charged))


async def _charged(tools: Tools, lease: Lease, left: int) -> int:
    """Charge the next window, and return its length."""
    window = min(left, WINDOW)
    if not await actions.charge(tools, lease, window):
        raise BrokenOff
    return window
