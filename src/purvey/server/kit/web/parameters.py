"""How a handler says where its parameters come from."""

from typing import Annotated, Final, TypeVar

from litestar.params import QueryParameter

T = TypeVar("T")

GIVEN: Final = object()
Given = Annotated[T, GIVEN]
"""Handed in by the application, under the parameter's name: `tools: Given[Tools]`."""

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many entries a page has at most.")]
Cursor = Annotated[str | None, QueryParameter(description="The `cursor` of the page before; the first page has none.")]
