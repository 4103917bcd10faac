"""The route of download links: the one door through which files and URLs are opened (FU-10, FU-12)."""

from typing import Any

from litestar import Request, get
from litestar.params import FromPath
from litestar.types import ASGIApp

from purvey.server.access import actions, sending
from purvey.server.access.model import Link, Target, Visit, What, Wish
from purvey.server.errors import Forbidden, NotFound, PreconditionFailed, RangeNotSatisfiable
from purvey.server.files.model import File
from purvey.server.files.storage import Storage
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, add_header, is_head
from purvey.server.kit.web.ranges import Span, asked
from purvey.server.kit.web.streamed import Streamed

Browser = Request[Any, Any, Any]
AHEAD = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""Headers by which a browser says that nobody has clicked yet: prefetch, prerender, preview."""


def visit_of(request: Browser, what: What = "page", deliverable_id: str = "") -> Visit:
    """Return from where somebody asks."""
    address = request.client.host if request.client else ""
    return Visit(what, deliverable_id, address, request.headers.get("user-agent", "")[:200])


@get("/download/{grant_id:str}/{deliverable_id:str}/{expires:int}/{signature:str}", include_in_schema=False)
async def download(
    request: Browser,
    grant_id: FromPath[str],
    deliverable_id: FromPath[str],
    expires: FromPath[int],
    signature: FromPath[str],
    tools: Given[Tools],
    storage: Given[Storage],
) -> ASGIApp:
    """Open a deliverable: send a file, redirect to a URL. Opening counts; HEAD, a part of what was opened before, does not."""
    _refuse_ahead(request)
    target = await actions.follow(tools, Link(grant_id, deliverable_id, expires, signature))
    if target.file is not None:
        return await _file(request, tools, storage, target, target.file)
    return await _url(request, tools, target)


async def _url(request: Browser, tools: Tools, target: Target) -> Streamed:
    url = target.deliverable.value if target.deliverable.type == "url" else None
    if url is None:
        raise NotFound("This link opens nothing.")
    if is_head(request.scope):
        await actions.peek(tools, target)
    else:
        await actions.open_lease(tools, target, Wish())
        await actions.note_opening(tools, target, visit_of(request, "url", target.deliverable.id))
    return Streamed(302, sending.HEADERS | {"Location": url, "Content-Length": "0"})


async def _file(request: Browser, tools: Tools, storage: Storage, target: Target, file: File) -> Streamed:
    if is_head(request.scope):
        await actions.peek(tools, target)
        return Streamed(200, sending.headers(file, None))
    match asked(request.headers, file.size, sending.etag(file)):
        case "unchanged":
            return Streamed(304, sending.HEADERS | {"ETag": sending.etag(file)})
        case "other":
            raise PreconditionFailed("The file is another one than If-Match names.")
        case "beyond":
            add_header(request.scope, b"content-range", b"bytes */%d" % file.size)
            raise RangeNotSatisfiable(f"The file has {file.size} bytes; the part that was asked for lies beyond them.")
        case "whole":
            sent = await _sent(tools, storage, target, file, None)
            # After it was let out: what is noted is shown to banks as proof that the buyer had it.
            await actions.note_opening(tools, target, visit_of(request, "file", target.deliverable.id))
            return sent
        case span:
            sent = await _sent(tools, storage, target, file, span)
            await actions.note_opening(tools, target, visit_of(request, "part", target.deliverable.id))
            return sent


async def _sent(tools: Tools, storage: Storage, target: Target, file: File, part: Span | None) -> Streamed:
    """Count, unless a part is asked for and joins a lease, and send. What cannot be reached is not counted."""
    await storage.find(file.blob)
    span = part or Span(0, file.size)
    wish = Wish(joins=part is not None, asked=span.length, first=sending.first_window(span))
    lease = await actions.open_lease(tools, target, wish)
    return Streamed(
        206 if part else 200, sending.headers(file, part), sending.pieces(tools, storage, lease, file, span)
    )


def _refuse_ahead(request: Browser) -> None:
    """Refuse what a browser fetches before anybody has asked for it: it would count, and perhaps never be used."""
    if any(
        word in request.headers.get(name, "").lower() for name in AHEAD for word in ("prefetch", "preview", "prerender")
    ):
        raise Forbidden("A download is not fetched ahead of time; it starts when the link is opened.")


routes = [download]
