"""What a handler may return: what the buyer gets."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

from purvey.client.clients import AsyncPurvey


@dataclass(frozen=True)
class Text:
    """A text, shown as it is; with `markdown`, formatted."""

    value: str
    markdown: bool = False


@dataclass(frozen=True)
class Url:
    """An address that the buyer is led to."""

    value: str


@dataclass(frozen=True)
class File:
    """A file to upload: its path, or an object opened for reading bytes."""

    source: "str | PathLike[str] | IO[bytes]"
    filename: str | None = None
    content_type: str | None = None


Good = Text | Url | File
Goods = Good | str | Sequence[Good | str] | None
"""A str is a text; None means that nothing is to be delivered."""


def listed(goods: Goods) -> list[Good]:
    """Return what was returned as a list; raise TypeError for what is no such thing."""
    if goods is None:
        return []
    return [_good(one) for one in (goods if isinstance(goods, list | tuple) else [goods])]


def _good(one: Any) -> Good:
    if isinstance(one, str):
        return Text(one)
    if isinstance(one, Text | Url | File):
        return one
    raise TypeError(f"A handler returns Text, Url, File, str, a list of these or None, not {type(one).__name__}.")


async def prepared(client: AsyncPurvey, good: Good) -> dict[str, Any]:
    """Return the deliverable as the server takes it; a file is uploaded first."""
    match good:
        case Text(value=value, markdown=markdown):
            return {"type": "text", "value": value} | ({"format": "markdown"} if markdown else {})
        case Url(value=value):
            return {"type": "url", "value": value}
        case File(source=source, filename=filename, content_type=kind):
            uploaded = await client.files.upload(source, filename=filename, content_type=kind)
            return {"type": "file", "token": uploaded.id}
