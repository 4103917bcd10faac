"""What a request to Stripe may carry: its form, read by the parameter types of the official package.

A field that the types do not know, or a value that is not of their kind, is refused with Stripe's own error. Where a type lists
words and also allows any other (the package does, for words to come), only the listed ones pass.
"""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union
from urllib.parse import parse_qsl

from stripe import RequestOptions
from typing_extensions import is_typeddict

Form = dict[str, Any]

KNOWN_ELSEWHERE = {"StripeContext": str, "Mapping": Mapping}
"""Names that the types of the package use and do not import where they are evaluated: those of options that travel as headers."""


class RefusedError(Exception):
    """Stripe would answer with an error. `param` names the field, as Stripe writes it: `line_items[0][price]`."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.status = status
        self.kind = "invalid_request_error"


def read(text: str, kind: type) -> Form:
    """Return what a form says, by the parameters of `kind`; raise RefusedError."""
    return typing.cast("Form", _checked(_nested(text), kind, ""))


def _nested(text: str) -> Form:
    """Return a form with its brackets undone: `a[b][0]=c` is {"a": {"b": {"0": "c"}}}."""
    root: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        parts = re.findall(r"[^\[\]]+|\[\]", name)
        at = root
        for part in parts[:-1]:
            at = at.setdefault(part if part != "[]" else str(len(at)), {})
        last = parts[-1]
        at[last if last != "[]" else str(len(at))] = value
    return root


@cache
def fields_of(kind: type) -> Mapping[str, Any]:
    """Return the fields of a parameter type, without the options that travel as headers."""
    hints = typing.get_type_hints(kind, localns=KNOWN_ELSEWHERE, include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in RequestOptions.__annotations__}


@cache
def required_of(kind: type) -> frozenset[str]:
    """Return the fields that must be given."""
    return frozenset(name for name, hint in fields_of(kind).items() if typing.get_origin(hint) is not NotRequired)


def _checked(value: Any, kind: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {NotRequired, Required}:
        return _checked(value, arguments[0], path)
    if origin in {Union, types.UnionType}:
        return _one_of(value, arguments, path)
    if is_typeddict(kind):
        return _object(value, kind, path)
    if origin in {list, Sequence}:
        return _list(value, arguments[0], path)
    if origin in {dict, Mapping}:
        return {name: _checked(one, arguments[1], f"{path}[{name}]") for name, one in _mapping(value, path).items()}
    return _plain(value, kind, arguments if origin is Literal else None, path)


def _object(value: Any, kind: type, path: str) -> Form:
    given, known = _mapping(value, path), fields_of(kind)
    for name in given:
        if name not in known:
            at = f"{path}[{name}]" if path else name
            raise RefusedError(f"Received unknown parameter: {at}", code="parameter_unknown", param=at)
    for name in sorted(required_of(kind) - set(given)):
        at = f"{path}[{name}]" if path else name
        raise RefusedError(f"Missing required param: {at}.", code="parameter_missing", param=at)
    return {name: _checked(one, known[name], f"{path}[{name}]" if path else name) for name, one in given.items()}


def _list(value: Any, kind: Any, path: str) -> list[Any]:
    given = _mapping(value, path)
    if sorted(given) != sorted(str(number) for number in range(len(given))):
        raise RefusedError("Invalid array", param=path)
    return [_checked(given[str(number)], kind, f"{path}[{number}]") for number in range(len(given))]


def _one_of(value: Any, kinds: Sequence[Any], path: str) -> Any:
    """Return the value as the first of `kinds` that takes it. `str` beside listed words stands for words to come: none is."""
    listed = any(typing.get_origin(kind) is Literal and typing.get_args(kind) != ("",) for kind in kinds)
    refusals = []
    for kind in kinds:
        if kind is type(None) or (kind is str and listed) or "UntypedStripeObject" in str(kind):
            continue
        try:
            return _checked(value, kind, path)
        except RefusedError as refusal:
            refusals.append(refusal)
    raise next((one for one in refusals if one.param != path), refusals[-1])


def _mapping(value: Any, path: str) -> Form:
    if not isinstance(value, dict):
        raise RefusedError(f"Invalid object: {path}", param=path)
    return value


def _plain(value: Any, kind: Any, words: Sequence[Any] | None, path: str) -> Any:
    if not isinstance(value, str):
        raise RefusedError(f"Invalid string: {path}", param=path)
    if words is not None:
        if value not in words:
            raise RefusedError(f"Invalid {path}: must be one of {', '.join(map(str, words))}", param=path)
        return value
    if kind is bool:
        if value not in {"true", "false"}:
            raise RefusedError(f"Invalid boolean: {value}", param=path)
        return value == "true"
    if kind is int:
        if not re.fullmatch(r"-?[0-9]+", value):
            raise RefusedError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
        return int(value)
    if kind is str:
        return value
    raise RefusedError(f"Not understood by the stand-in: {path} of {kind}", param=path)
