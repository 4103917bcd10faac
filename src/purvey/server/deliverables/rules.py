"""Which deliverables a seller may give (FU-7, FU-9, DF-11 to DF-13). Pure."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated
from urllib.parse import quote

import msgspec

from purvey.server.deliverables.model import Content, Deliverable, DeliverableType
from purvey.server.errors import FieldError, invalid
from purvey.server.kit.safe_http.url import UnsafeUrl, parse

MOST = 3
"""Deliverables of a listing, and of an order, at most (FU-7)."""
LONGEST_TEXT = 100_000
"""Characters of a text."""
LONGEST_URL = 2048
"""Characters of a URL, as given and as stored."""
_TYPES: Mapping[str, DeliverableType] = MappingProxyType({"file": "file", "url": "url", "text": "text"})

Loc = tuple[str | int, ...]
Say = Callable[[str, str], None]
"""Notes a fault: the field, and what is wrong with it."""


KEY_POOL = (
    "For type text, instead of `value`: each order gets a licence key of its own, of those uploaded with"
    " PUT /v1/listings/{id}/keys. A listing may have one key pool; an order none"
)


class DeliverableIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a buyer receives: `type` with `value` for url and text, with `token` for file."""

    type: Annotated[str, msgspec.Meta(description="file, url or text; nothing is guessed")] | None = None
    value: Annotated[str, msgspec.Meta(description="The URL, or the text of up to 100,000 characters")] | None = None
    token: Annotated[str, msgspec.Meta(description="The id of an uploaded file, `file_...`")] | None = None
    format: Annotated[str, msgspec.Meta(description="`markdown`, for a text that is to be rendered")] | None = None
    key_pool: Annotated[bool, msgspec.Meta(description=KEY_POOL)] | None = None


def check(
    items: Sequence[DeliverableIn],
    *,
    at: Loc = ("deliverables",),
    least: int = 0,
    most: int = MOST,
    numbered: bool = True,
    pools: int = 0,
) -> tuple[Content, ...]:
    """Return the checked content of `items`, or raise ValidationError with every fault.

    `at` is where the items stand in the request, for the errors; `numbered` says that their places follow. `pools` is how many
    key pools there may be: a listing may have one.
    """
    if not least <= len(items) <= most:
        needed = f"{least} to {most}" if least else f"at most {most}"
        raise invalid([FieldError(loc=list(at), msg=f"needs {needed} deliverables, not {len(items)}", type="count")])
    faults: list[FieldError] = []
    content = [_check_one(item, (*at, place) if numbered else at, faults) for place, item in enumerate(items)]
    pooled = [place for place, item in enumerate(items) if item.key_pool]
    for place in pooled[pools:]:
        message = (
            "is one too many: a listing has one key pool"
            if pools
            else "belongs to listings; give the key itself as `value`"
        )
        faults.append(
            FieldError(loc=[*at, place, "key_pool"] if numbered else [*at, "key_pool"], msg=message, type="deliverable")
        )
    if faults:
        raise invalid(faults)
    return tuple(one for one in content if one is not None)


def _check_one(item: DeliverableIn, at: Loc, faults: list[FieldError]) -> Content | None:
    before = len(faults)

    def say(field: str, message: str) -> None:
        faults.append(FieldError(loc=[*at, field], msg=message, type="deliverable"))

    kind = _TYPES.get(item.type or "")
    if kind is None:
        say("type", "is required: file, url or text" if item.type is None else "must be file, url or text")
        return None
    if item.key_pool:
        _check_pool(item, kind, say)
    else:
        _check_pairing(item, kind, say)
    value = item.value
    if len(faults) == before and not item.key_pool:
        value = _CHECKS[kind](item, say)
    if len(faults) > before:
        return None
    return Content(type=kind, value=value, token=item.token, format="markdown" if item.format else None)


def _check_pairing(item: DeliverableIn, kind: DeliverableType, say: Say) -> None:
    wanted, other = ("token", "value") if kind == "file" else ("value", "token")
    if not getattr(item, wanted):
        say(wanted, f"is required for type {kind}")
    if getattr(item, other) is not None:
        say(other, f"does not belong to type {kind}, which has a `{wanted}`")
    if item.format is not None and kind != "text":
        say("format", "belongs to type text only")


def _check_pool(item: DeliverableIn, kind: DeliverableType, say: Say) -> None:
    if kind != "text":
        say("key_pool", "belongs to type text only")
    for name in ("value", "token", "format"):
        if getattr(item, name) is not None:
            say(name, "does not belong to a key pool, whose keys are uploaded")


def _check_text(item: DeliverableIn, say: Say) -> str | None:
    text = item.value or ""
    if len(text) > LONGEST_TEXT:
        say("value", f"has {len(text)} characters; at most {LONGEST_TEXT} are allowed")
    if item.format not in {None, "markdown"}:
        say("format", "must be markdown, or be left out for plain text")
    return text


def _check_url(item: DeliverableIn, say: Say) -> str | None:
    given = item.value or ""
    try:
        # Measured first: nothing long is taken apart.
        url = _spelled(given) if len(given) <= LONGEST_URL else given
    except UnsafeUrl as error:
        say("value", error.reason)
        return None
    if len(url) > LONGEST_URL:
        say("value", f"has {len(url)} characters; at most {LONGEST_URL} are allowed")
    return url


def _check_file(_: DeliverableIn, __: Say) -> str | None:
    """Accept any token: whether there is such a file is for whoever attaches it to find out."""
    return None


def _spelled(url: str) -> str:
    """Return the URL as a Location header can carry it: untouched if it is ASCII, else percent-encoded.

    It may be private and is never called from here: a buyer's browser opens it.
    """
    target = parse(url)
    if url.isascii():
        return url
    _, hash_sign, fragment = url.partition("#")
    return target.url + hash_sign + quote(fragment, safe="%/:@!$&'()*+,;=~?")


_CHECKS: Mapping[DeliverableType, Callable[[DeliverableIn, Say], str | None]] = MappingProxyType(
    {"text": _check_text, "url": _check_url, "file": _check_file}
)


def content_of(deliverable: Deliverable) -> Content:
    """Return what a deliverable holds, without its id."""
    return Content(deliverable.type, deliverable.value, deliverable.token, deliverable.format)
