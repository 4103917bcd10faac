"""Text that no database column and no JSON answer can hold: U+0000 and lone surrogates, wherever a caller puts them.

The raw bytes are looked at first, which costs next to nothing; only what is suspicious is taken apart to name the field.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from purvey.server.kit.problem import FieldError, invalid
from purvey.server.kit.text import UNSTORABLE

_ENCODED = re.compile(rb"%00|%[eE][dD]%[abAB]|\x00")
_MESSAGE = "must not contain the character U+{:04X}, which no text can hold"


def suspicious(raw: bytes) -> bool:
    """Return whether a JSON document may hold U+0000; lone surrogates make the decoder itself stop."""
    return rb"\u0000" in raw


def faults_in(raw: bytes) -> list[FieldError]:
    """Return the fields of a JSON document whose name or text holds such a character; none if it is no JSON at all."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        found = list(_walk(json.loads(text), ()))
    except (ValueError, RecursionError):
        return []
    return found if _is_utf8(raw) else [{**fault, "msg": "is not valid UTF-8"} for fault in found]


async def refuse(request: Request[Any, Any, Any]) -> None:
    """Refuse a request with such a character in its path or query; runs before every handler."""
    scope = request.scope
    if _ENCODED.search(scope["raw_path"]):
        # The server has put U+FFFD where the path was no UTF-8.
        values = [(name, str(value).replace("\ufffd", "\ud800")) for name, value in request.path_params.items()]
        _refuse_each(values)
    if _ENCODED.search(scope["query_string"]):
        query = scope["query_string"].decode("latin-1")
        _refuse_each(parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_each(pairs: list[tuple[str, str]]) -> None:
    found = [_fault((_safe(name),), text) for name, text in pairs if UNSTORABLE.search(text) or UNSTORABLE.search(name)]
    if found:
        raise invalid(found)


def _walk(value: object, loc: tuple[str | int, ...]) -> Iterator[FieldError]:
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            yield _fault(loc, value)
    elif isinstance(value, dict):
        for name, entry in value.items():
            if UNSTORABLE.search(name):
                yield _fault((*loc, _safe(name)), name)
            yield from _walk(entry, (*loc, _safe(name)))
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            yield from _walk(entry, (*loc, place))


def _fault(loc: tuple[str | int, ...], text: str) -> FieldError:
    match = UNSTORABLE.search(text)
    code = ord(match.group()) if match else 0
    return FieldError(loc=list(loc), msg=_MESSAGE.format(code), type="odd_text")


def _safe(name: str) -> str:
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", name)
