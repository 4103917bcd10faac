"""What is wrong with a request body, field by field, in words.

The decoder stops at its first complaint. Only when it has complained is the body walked again, here, to name everything
that is wrong at once: an answer with all of it saves the caller a round trip for each.
"""

import difflib
import re
import types
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import chain, islice
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import msgspec

from purvey.server.kit.problem import FieldError

MOST_FAULTS = 50
"""How many faults one answer lists at most."""

_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "datetime": "a time such as 2026-04-17T10:23:00Z",
}
_KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_LENGTH = re.compile(r"Expected `(str|array|object)` of length (<=|>=|==) (\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)` (<=|>=|<|>) (-?[\d.]+)")
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
_UNITS = {"str": ("character", "characters"), "array": ("entry", "entries"), "object": ("entry", "entries")}
_WORDS = {"<=": "at most", ">=": "at least", "==": "exactly", "<": "less than", ">": "more than"}


def faults(value: object, type_: Any) -> list[FieldError]:
    """Return what keeps `value` (decoded JSON) from being a `type_`: at least one fault if it is none."""
    found = list(islice(_walk(value, type_, ()), MOST_FAULTS))
    return found or list(_own_fault(value, type_, ()))


def sentence(complaint: str, type_: Any = None) -> str:
    """Put a complaint of msgspec's in words that say what would be right."""
    complaint = complaint.partition(" - at `")[0]
    if match := _LENGTH.fullmatch(complaint):
        unit = _UNITS[match[1]]
        return f"needs {_WORDS[match[2]]} {match[3]} {unit[0] if match[3] == '1' else unit[1]}"
    if match := _BOUND.fullmatch(complaint):
        return f"must be {_WORDS[match[1]]} {match[2]}"
    if match := _KIND.fullmatch(complaint):
        return f"must be {_alternatives(match[1])}, not {_NAMES.get(match[2], match[2])}"
    if match := _PATTERN.fullmatch(complaint):
        return f"must match the pattern {match[1]}"
    if complaint.startswith("Invalid enum value") and (choices := _choices(type_)):
        return f"must be one of {', '.join(choices)}"
    return complaint[:1].lower() + complaint[1:]


def unknown_field(name: str, known: Sequence[str]) -> str:
    """Say that `name` is no field, and which known one is nearest."""
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean `{nearest[0]}`?" if nearest else ""
    return f"`{name}` is not a field here{hint}"


def _walk(value: object, type_: Any, loc: tuple[str | int, ...]) -> Iterator[FieldError]:
    struct, item = _struct(type_), _item(type_)
    if struct is not None and isinstance(value, dict):
        yield from _walk_fields(value, struct, loc)
    elif item is not None and isinstance(value, list):
        entries = (_walk(entry, item, (*loc, place)) for place, entry in enumerate(value))
        found = list(islice(chain.from_iterable(entries), MOST_FAULTS))
        yield from found or _own_fault(value, type_, loc)
    else:
        yield from _own_fault(value, type_, loc)


def _walk_fields(
    value: dict[str, Any], struct: type[msgspec.Struct], loc: tuple[str | int, ...]
) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in value:
        if name not in fields:
            yield FieldError(loc=[*loc, name], msg=unknown_field(name, list(fields)), type="unknown_field")
    for name, field in fields.items():
        if name in value:
            yield from _walk(value[name], field.type, (*loc, name))
        elif field.required:
            yield FieldError(loc=[*loc, name], msg="is required", type="missing")


def _own_fault(value: object, type_: Any, loc: tuple[str | int, ...]) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, type_)
    except (msgspec.ValidationError, RecursionError) as error:
        yield FieldError(loc=list(loc), msg=sentence(str(error), type_), type="invalid")


def _members(type_: Any) -> tuple[Any, ...]:
    """Return the types that `type_` allows, without Annotated, None and UNSET."""
    if get_origin(type_) is Annotated:
        return _members(get_args(type_)[0])
    if get_origin(type_) in {Union, types.UnionType}:
        return tuple(member for part in get_args(type_) for member in _members(part))
    return () if type_ in {type(None), msgspec.UnsetType} else (type_,)


def _is_struct(type_: Any) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _struct(type_: Any) -> type[msgspec.Struct] | None:
    members = _members(type_)
    return members[0] if len(members) == 1 and _is_struct(members[0]) else None


def _item(type_: Any) -> Any:
    """Return the type of the entries if `type_` is a list, else None."""
    members = _members(type_)
    return get_args(members[0])[0] if len(members) == 1 and get_origin(members[0]) is list else None


def _choices(type_: Any) -> list[str]:
    literals = [choice for member in _members(type_) if get_origin(member) is Literal for choice in get_args(member)]
    enums = [member for member in _members(type_) if isinstance(member, type) and issubclass(member, Enum)]
    return [str(choice) for choice in (*literals, *(choice.value for enum in enums for choice in enum))]


def _alternatives(kinds: str) -> str:
    return " or ".join(_NAMES.get(kind.strip(), kind.strip()) for kind in kinds.split("|"))
