"""How a handler says where its parameters come from."""

from typing import Annotated, TypeVar

from litestar.di import Dependency
from litestar.params import QueryParameter, SkipValidationMarker

T = TypeVar("T")

Given = Annotated[T, Dependency(kind="named"), SkipValidationMarker()]
"""Handed in by the application, under the parameter's name: `tools: Given[Tools]`."""

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many entries a page has at most.")]
Cursor = Annotated[str | None, QueryParameter(description="The `cursor` of the page before; the first page has none.")]
