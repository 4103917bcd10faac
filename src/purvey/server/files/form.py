"""The form of an upload, read as it comes: one part called `file`, and nothing else. No more of it is held than one chunk.

What is wrong is said as early as it can be known: by the headers before anything is read, by the part's header before anything
is stored, by the bytes when the limit is crossed.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from purvey.server.errors import FieldError, PayloadTooLarge, ValidationError, invalid
from purvey.server.files.model import Named
from purvey.server.files.rules import content_type_of, safe_name

FIELD = "file"
AROUND = 64 * 1024
"""Bytes that may surround the file in its form."""
GATHERED = 256 * 1024
"""Bytes that are handed on at once, roughly: small pieces cost more than they hold."""
HOW = "send multipart/form-data with one field `file`, as `curl -F file=@report.pdf` does"

Event: TypeAlias = MultipartSegment | bytes | bytearray | None


class UploadForm:
    """A form that is being sent. `named` is known when `begin` has returned; `chunks` yields the file's bytes."""

    def __init__(self, request: Request[Any, Any, Any], largest: int) -> None:
        self._receive = request.receive
        self._largest = largest
        self._parser = _parser(request)
        self._events = self._parsed()
        self._size = 0
        _refuse_large(request.headers.get("content-length"), largest)

    async def begin(self) -> Named:
        """Read up to the file's first byte; raise ValidationError if there is none, or if something else comes first."""
        first = await anext(self._events, None)
        if not isinstance(first, MultipartSegment):
            raise _fault("required", f"is required: {HOW}")
        return _named(first)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file. Ends only when the whole form has come and was right; raises as `begin` does."""
        gathered = bytearray()
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                raise _second(event)
            gathered += event or b""
            self._count(len(event or b""))
            if len(gathered) >= GATHERED:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)
        if not self._size:
            raise _fault("empty", "has no bytes; there would be nothing to download")

    def _count(self, length: int) -> None:
        self._size += length
        if self._size > self._largest:
            raise _too_large(self._largest)

    async def _parsed(self) -> AsyncIterator[Event]:
        async for chunk in self._sent():
            for event in self._understood(chunk):
                yield event
        for event in self._understood(b""):
            yield event

    def _understood(self, chunk: bytes) -> Iterator[Event]:
        """Yield what a chunk holds; what comes after the end of the form is dropped."""
        if self._parser.closed:
            return
        try:
            yield from self._parser.parse(chunk)
        except MultipartError as error:
            said = f"The form cannot be read: {error.args[0]}; {HOW}."
            raise ValidationError(said, errors=[FieldError(loc=[], msg=said, type="form")]) from None

    async def _sent(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes in, with a limit of its own: the framework's is for what is held in memory."""
        came = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ValidationError("The upload broke off.")
            came += len(message["body"])
            if came > self._largest + AROUND:
                raise _too_large(self._largest)
            if message["body"]:
                yield bytes(message["body"])
            if not message["more_body"]:
                return


def _parser(request: Request[Any, Any, Any]) -> PushMultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type", ""))  # type: ignore[no-untyped-call]  # the library's
    boundary = options.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        said = f"The body is no multipart/form-data with a boundary; {HOW}."
        raise ValidationError(said, errors=[FieldError(loc=[], msg=said, type="content_type")])
    try:
        return PushMultipartParser(boundary, strict=True)
    except (MultipartError, ValueError):
        raise ValidationError(f"The boundary in the header Content-Type is none; {HOW}.") from None


def _refuse_large(announced: str | None, largest: int) -> None:
    """Refuse what says of itself that it is too large, before any of it is read."""
    if announced and announced.isascii() and announced.isdigit() and int(announced[:20]) > largest + AROUND:
        raise _too_large(largest)


def _named(part: MultipartSegment) -> Named:
    if part.name != FIELD:
        raise _unknown(part.name)
    if part.filename is None:
        raise _fault("file", f"is a text, no file with a name: {HOW}")
    if "\0" in part.filename:
        message = "must not contain the character U+0000, which no text can hold"
        raise invalid([FieldError(loc=[FIELD, "filename"], msg=message, type="odd_text")])
    filename = safe_name(part.filename)
    return Named(filename, content_type_of(part.content_type, filename))


def _second(part: MultipartSegment) -> ValidationError:
    if part.name == FIELD:
        return _fault("count", "is there twice; upload each file by a request of its own")
    return _unknown(part.name)


def _unknown(name: str | None) -> ValidationError:
    shown = (name or "").replace("\0", "\N{REPLACEMENT CHARACTER}")[:100]
    message = "is not known here; the only field is `file`"
    return invalid([FieldError(loc=[shown], msg=message, type="unknown")])


def _fault(kind: str, message: str) -> ValidationError:
    return invalid([FieldError(loc=[FIELD], msg=message, type=kind)])


def _too_large(largest: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"A file may have {largest} bytes at most.", limit=largest)
