"""How operations become methods: written once as functions that return a `Call`, they are carried out by either transport.

class Orders(Group):
    get = Method(get_order)

class AsyncOrders(AsyncGroup):
    get = AsyncMethod(get_order)
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from purvey.client.calls import Call, ListCall, Listed
from purvey.client.transports import AsyncTransport, Transport

P = ParamSpec("P")
T = TypeVar("T")


class Group:
    """Operations that belong together."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport


class AsyncGroup:
    """Operations that belong together, to be awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport


class Page(Generic[T]):
    """One page of a list. Iterating goes over its `data`; `auto_paging_iter` goes on over all pages that follow."""

    def __init__(self, transport: Transport, listed: Listed[T]) -> None:
        self.data = listed.data
        self.has_more = listed.has_more
        self.cursor = listed.cursor
        self._transport = transport
        self._next = listed.next

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def next_page(self) -> "Page[T] | None":
        """Return the page that follows, None after the last."""
        return Page(self._transport, self._transport.run(self._next.call())) if self._next else None

    def auto_paging_iter(self) -> Iterator[T]:
        """Iterate over this page and all that follow, each read when it is reached."""
        page: Page[T] | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()


class AsyncPage(Generic[T]):
    """One page of a list. Iterating goes over its `data`; `auto_paging_iter` goes on over all pages that follow."""

    def __init__(self, transport: AsyncTransport, listed: Listed[T]) -> None:
        self.data = listed.data
        self.has_more = listed.has_more
        self.cursor = listed.cursor
        self._transport = transport
        self._next = listed.next

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    async def next_page(self) -> "AsyncPage[T] | None":
        """Return the page that follows, None after the last."""
        return AsyncPage(self._transport, await self._transport.run(self._next.call())) if self._next else None

    async def auto_paging_iter(self) -> AsyncIterator[T]:
        """Iterate over this page and all that follow, each read when it is reached."""
        page: AsyncPage[T] | None = self
        while page is not None:
            for one in page.data:
                yield one
            page = await page.next_page()


class Method(Generic[P, T]):
    """A method that carries out the call that `make` returns."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group, owner: type) -> Callable[P, T]: ...
    def __get__(self, group: Group | None, owner: type) -> Self | Callable[P, T]:
        if group is None:
            return self

        @functools.wraps(self.make)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return group.transport.run(self.make(*args, **kwargs))

        return method


class AsyncMethod(Generic[P, T]):
    """A method that carries out the call that `make` returns, when it is awaited."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: AsyncGroup, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: AsyncGroup | None, owner: type) -> Self | Callable[P, Coroutine[Any, Any, T]]:
        if group is None:
            return self

        @functools.wraps(self.make)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await group.transport.run(self.make(*args, **kwargs))

        return method


class Pages(Generic[P, T]):
    """A method that reads a list's page."""

    def __init__(self, make: Callable[P, ListCall[T]]) -> None:
        self.make = make

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group, owner: type) -> Callable[P, Page[T]]: ...
    def __get__(self, group: Group | None, owner: type) -> Self | Callable[P, Page[T]]:
        if group is None:
            return self

        @functools.wraps(self.make)
        def method(*args: P.args, **kwargs: P.kwargs) -> Page[T]:
            return Page(group.transport, group.transport.run(self.make(*args, **kwargs).call()))

        return method


class AsyncPages(Generic[P, T]):
    """A method that reads a list's page, when it is awaited."""

    def __init__(self, make: Callable[P, ListCall[T]]) -> None:
        self.make = make

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: AsyncGroup, owner: type) -> Callable[P, Coroutine[Any, Any, AsyncPage[T]]]: ...
    def __get__(self, group: AsyncGroup | None, owner: type) -> Self | Callable[P, Coroutine[Any, Any, AsyncPage[T]]]:
        if group is None:
            return self

        @functools.wraps(self.make)
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncPage[T]:
            return AsyncPage(group.transport, await group.transport.run(self.make(*args, **kwargs).call()))

        return method
