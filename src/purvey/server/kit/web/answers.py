"""The shapes that answers share."""

from typing import Generic, Literal, TypeVar

import msgspec
from litestar import Response

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """One page of a list. `cursor` asks for the next one; it is null when there is none."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    cursor: str | None


class Fault(msgspec.Struct, kw_only=True):
    """One field at fault."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(msgspec.Struct, kw_only=True):
    """An error (RFC 9457). Programs branch on `code`. There may be more members, which belong to the code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    param: str | None = None
    errors: list[Fault] | msgspec.UnsetType = msgspec.UNSET


def json_bytes(document: bytes, status: int = 200) -> Response[bytes]:
    """Answer with JSON that is there already, as bytes."""
    return Response(document, status_code=status, media_type="application/json")
