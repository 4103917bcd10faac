"""What the server answers, as objects: typed as far as this version knows the fields, and holding those that it does not know."""

import typing
from collections.abc import Iterator
from functools import lru_cache
from types import UnionType
from typing import Any


class Shape:
    """An object of the server. A field is an attribute, and an item as well: `order.status`, `order["status"]`.

    A field that a later version of the server adds is there too. What a field's own object holds is shaped likewise where this
    version knows it; free-form objects (`checkout_data`, `metadata`) are plain dicts.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        hints = _hints(type(self))  # type: ignore[arg-type]  # a class is hashable
        for name, value in fields.items():
            self.__dict__.setdefault(name, _shaped(hints.get(name), value))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this {type(self).__name__} has no {name!r}; it has {', '.join(self._fields)}")

    def __getitem__(self, name: str) -> Any:
        if name not in self._fields:
            raise KeyError(name)
        return self.__dict__[name] if name != "_fields" else self._fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash((type(self), self._fields.get("id")))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fields!r})"

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default` where there is none."""
        return self[name] if name in self else default  # noqa: SIM401  # it is this very method

    def to_dict(self) -> dict[str, Any]:
        """Return the object as the server sent it."""
        return self._fields


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _shaped(hint: Any, value: Any) -> Any:
    """Return `value` as what a field is said to be, if that is a shape or a list of shapes; else as it is."""
    origin = typing.get_origin(hint)
    if origin in {typing.Union, UnionType}:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return _shaped(kinds[0], value) if len(kinds) == 1 else value
    if origin is list and isinstance(value, list):
        [kind] = typing.get_args(hint)
        return [_shaped(kind, one) for one in value]
    if isinstance(hint, type) and issubclass(hint, Shape) and isinstance(value, dict):
        return hint(value)
    return value
