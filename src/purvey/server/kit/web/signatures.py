"""What the framework reads of a handler that stands in another one's place."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from litestar import Request

AnyRequest = Request[Any, Any, Any]
_NAMES = ("__name__", "__qualname__", "__module__", "__doc__")


def in_place_of(
    function: Callable[..., Any],
    call: Callable[..., Awaitable[Any]],
    parameters: Iterable[inspect.Parameter],
    answer: object,
) -> Callable[..., Awaitable[Any]]:
    """Give `call` the name and the words of `function`, these parameters, by keyword, and this return annotation."""
    by_name = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    described = cast("Any", call)
    described.__signature__ = inspect.Signature(by_name, return_annotation=answer)
    described.__annotations__ = {one.name: one.annotation for one in by_name} | {"return": answer}
    for name in _NAMES:
        setattr(described, name, getattr(function, name))
    return call


def parameter(name: str, annotation: object, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    """Return a parameter that is given by keyword."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
