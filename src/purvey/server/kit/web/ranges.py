"""Which bytes of a body are asked for (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.ASCII | re.IGNORECASE)
_LONGEST = 18
"""Digits of a number that is read as it is; a longer one is larger than any file."""
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Span(msgspec.Struct, frozen=True):
    """The bytes from `first` up to, but without, `end`."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.end - self.first

    def content_range(self, size: int) -> str:
        """Return the header Content-Range of an answer that holds this part of `size` bytes."""
        return f"bytes {self.first}-{self.end - 1}/{size}"


Asked = Span | Literal["whole", "beyond", "unchanged", "other"]
"""A part; the whole; a part that lies beyond the end (416); nothing: the client has it (304), or wants another version (412)."""


def asked(headers: Mapping[str, str], size: int, etag: str) -> Asked:
    """Return what a GET asks for of a body of `size` bytes (one or more) whose strong validator is `etag`.

    `headers` are in lower case. A range that is not understood, several at once, and one whose If-Range names something else are
    answered with the whole, as RFC 9110 allows or demands.
    """
    if "if-match" in headers and not _names(headers["if-match"], etag, weak=False):
        return "other"
    if "if-none-match" in headers and _names(headers["if-none-match"], etag, weak=True):
        return "unchanged"
    wanted = headers.get("range")
    if wanted is None or headers.get("if-range", etag).strip() != etag:
        return "whole"
    return _span(wanted, size)


def _span(wanted: str, size: int) -> Asked:
    match = _ONE_RANGE.fullmatch(wanted.strip())
    if match is None:
        return "whole"
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(_number(suffix), size)
        return Span(size - length, size) if length else "beyond"
    begin, end = _number(first), _number(last) + 1 if last else size
    if end <= begin and last:
        return "whole"
    return Span(begin, min(end, size)) if begin < size else "beyond"


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _LONGEST else 10**_LONGEST + int(significant[-_LONGEST:])


def _names(header: str, etag: str, *, weak: bool) -> bool:
    """Return whether a list of validators names this one; `weak` ones count only where that is allowed."""
    if header.strip() == "*":
        return True
    tags = _TAG.findall(header)
    return etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
