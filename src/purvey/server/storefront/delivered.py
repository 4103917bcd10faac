"""What a dynamic order brought, made readable: a text for the buyer, and names with their values (DW-24).

A seller's program wrote it, in whatever shape it liked. Everything in it is shown, nothing is trusted: values stand as text, what
lies deep or goes on for long is shown as the JSON that it is.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from purvey.server.storefront import views

DEEPEST = 4
"""Levels of values within values that get rows of their own."""
MOST_ROWS = 200
"""Rows of one delivery; what there is beyond stands as JSON."""
OURS = frozenset({"deliveryType", "count"})
"""What is said about the delivery, and is none of the goods."""
SECRET = re.compile(
    r"pass(word|wd|phrase|code)?|secrets?|tokens?|keys?|pins?|credentials?|auth(entication|orization)?|licen[cs]es?|private|seed|mnemonic"
    r"|jwt|otp|cookie|bearer",
    re.IGNORECASE,
)
"""A word in a name whose value is masked until it is asked for."""
_SEAMS = re.compile(r"[\s_-]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOTHING = "The seller's server sent no details. Write to the seller if you miss something."


class _Number(str):
    """A number, as it was spelled: it may be longer than any that can be held."""

    __slots__ = ()


def items_of(delivered: msgspec.Raw) -> tuple[views.Item, ...]:
    """Return what is shown of an order's `delivered_items`: its text first, then its values."""
    held = json.loads(bytes(delivered), parse_int=_Number, parse_float=_Number)
    told = held.get("service_text")
    found: list[views.Item] = [views.TextItem(text=_plain(told))] if isinstance(told, str) and told.strip() else []
    values = {
        name: value for name, value in held.items() if name not in OURS and not (found and name == "service_text")
    }
    response = values.pop("dynamic_response", None)
    if isinstance(response, str):
        found.append(views.TextItem(text=_plain(response)))
    elif isinstance(response, dict):
        values = response | values
    elif response is not None:
        values = {"dynamic_response": response} | values
    if values:
        found.append(_table(values))
    return tuple(found) or (views.TextItem(text=_NOTHING),)


def _table(values: dict[str, Any]) -> views.ValuesItem:
    rows = list(_rows(values, (), secret=False))
    rest = _as_json(values) if len(rows) > MOST_ROWS else None
    return views.ValuesItem(rows=tuple(rows[:MOST_ROWS]), rest=rest)


def _rows(value: Any, path: tuple[str, ...], *, secret: bool) -> Iterator[views.Row]:
    """Yield a row for each value in `value`, named by the way that leads to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value, 1)
    for name, one in inner:
        way = (*path, _words(str(name)))
        masked = secret or _is_secret(str(name))
        if isinstance(one, dict | list) and one and len(way) < DEEPEST:
            yield from _rows(one, way, secret=masked)
        else:
            yield _row(way, one, secret=masked)


def _row(way: tuple[str, ...], value: Any, *, secret: bool) -> views.Row:
    text = _text(value)
    is_shown = value is None or isinstance(value, bool) or text == ""
    return views.Row(
        within=way[:-1],
        name=way[-1],
        value=text,
        secret=secret and not is_shown,
        url=text if isinstance(value, str) and not isinstance(value, _Number) and _is_link(text) else None,
    )


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "Yes" if value else "No"
        case str():
            return _plain(value)
        case _:
            return _as_json(value)


def _as_json(value: Any, margin: str = "") -> str:
    """Return the value as JSON, its numbers as they were spelled."""
    inner = f"{margin}  "
    match value:
        case _Number():
            return str(value)
        case dict() if value:
            lines = [f"{inner}{_as_json(name)}: {_as_json(one, inner)}" for name, one in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
        case list() if value:
            return "[\n" + ",\n".join(f"{inner}{_as_json(one, inner)}" for one in value) + f"\n{margin}]"
        case _:
            return _plain(json.dumps(value, ensure_ascii=False))


def _plain(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _words(name: str) -> str:
    """Return a name as people write it: expires_at and expiresAt are Expires at."""
    words = _parts(name)
    if not words:
        return name
    lower = [word if word.isupper() and len(word) > 1 else word.lower() for word in words]
    return " ".join([lower[0][:1].upper() + lower[0][1:], *lower[1:]])


def _parts(name: str) -> list[str]:
    return [word for word in _SEAMS.split(name) if word]


def _is_secret(name: str) -> bool:
    return any(SECRET.fullmatch(word.rstrip("0123456789")) for word in _parts(name))


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(one.isspace() for one in text)
