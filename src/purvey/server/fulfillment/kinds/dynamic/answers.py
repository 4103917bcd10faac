"""Which answers are accepted, and how each is stored (DW-18 to DW-24). Pure.

A JSON object is stored as it is, or what is under its `data` if that is an object; a text as `dynamic_response`; an empty body as a
word that the seller sends the goods. What else there is, is refused: a seller who answers a list has a bug, and the buyer would get
something odd for good money.
"""

import json
from typing import Any, NoReturn

import msgspec

from purvey.server.fulfillment.kinds.dynamic.model import Failed, Items

LARGEST = 1_048_576
"""Bytes of an answer that are read at most; more is refused."""
DEEPEST = 100
"""Levels of lists and objects within each other at most."""
FALLBACK = "Your order is confirmed. The seller sends you what belongs to it."
"""What is stored as the text for the buyer when the answer is empty (DW-23)."""
DELIVERY_TYPE = "DYNAMIC"
QUANTITY = 1

_KINDS = {list: "array", bool: "boolean", int: "number", float: "number", type(None): "null"}


class _NotJsonError(ValueError):
    """The body is a text of its own, no JSON."""


def read(body: bytes, *, truncated: bool = False) -> Items | Failed:
    """Return what the body of a successful answer brings, or why it is refused (`unsupported_response`)."""
    if truncated or len(body) > LARGEST:
        return _refused(f"it is larger than {LARGEST} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _refused("it is neither JSON nor text in UTF-8")
    if not text.strip():
        return _items({"service_text": FALLBACK}, count=0)
    try:
        value = _parsed(text)
    except _NotJsonError:
        return _items({"dynamic_response": text})
    except RecursionError:
        return _refused(f"its lists and objects lie more than {DEEPEST} deep")
    return _of_json(text, value)


def _of_json(text: str, value: Any) -> Items | Failed:
    if isinstance(value, str) and value:
        return _items({"dynamic_response": value}) if _is_text(value) else _refused("it holds half of a character")
    if not isinstance(value, dict):
        return _refused(f"it is a JSON {_KINDS[type(value)]}" if value != "" else "it is an empty JSON string")
    if _depth(value) > DEEPEST:
        return _refused(f"its lists and objects lie more than {DEEPEST} deep")
    if not _is_text(json.dumps(value, ensure_ascii=False)):
        return _refused("it holds half of a character")
    # Everything inside is kept to the letter, numbers of any length included: only the outermost names are read.
    fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    if isinstance(value.get("data"), dict):
        fields = msgspec.json.decode(fields["data"], type=dict[str, msgspec.Raw])
    return _items(fields)


def _items(fields: dict[str, Any], count: int = QUANTITY) -> Items:
    """Return the fields as they are stored: with `deliveryType` and `count` where they are missing (DW-21)."""
    stored = fields | {
        name: value for name, value in (("deliveryType", DELIVERY_TYPE), ("count", count)) if name not in fields
    }
    return Items(msgspec.Raw(msgspec.json.encode(stored)))


def _refused(why: str) -> Failed:
    return Failed(
        f"unsupported_response: the answer was not understood, because {why}. Answer a JSON object, or a text that is not empty."
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_number, parse_float=_number)
    except ValueError as error:
        raise _NotJsonError from error


def _number(_: str) -> int:
    """Stand in for a number: only its spelling is kept, which may be longer than any number."""
    return 0


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_text(text: str) -> bool:
    """Return whether `text` can be written as UTF-8: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: Any) -> int:
    """Return how deep lists and objects lie within each other."""
    deepest, level = 0, [value]
    while level:
        inner: list[Any] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        deepest += 1
        level = [one for one in inner if isinstance(one, dict | list)]
    return deepest
