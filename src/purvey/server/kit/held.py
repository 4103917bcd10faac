"""A database for the length of one request: what it writes is one transaction, whoever writes it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from purvey.server.kit.database import Connection, Database, Record


class Held(Database):
    """Stands in for a database. The first write begins a transaction, and from then on everything happens in it.

    So no transaction is open while an action still asks others over the network, as long as it asks before it writes.
    A `transaction()` within is a savepoint.
    """

    def __init__(self, database: Database, stack: contextlib.AsyncExitStack) -> None:
        super().__init__(database.pool)
        self._database = database
        self._stack = stack
        self._connection: Connection | None = None

    async def rows(self, sql: str, *args: Any) -> list[Record]:
        """Read all rows."""
        if self._connection is None:
            return await self._database.rows(sql, *args)
        return await self._connection.fetch(sql, *args)

    async def row(self, sql: str, *args: Any) -> Record | None:
        """Read one row, or None."""
        if self._connection is None:
            return await self._database.row(sql, *args)
        return await self._connection.fetchrow(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        """Read the first column of the first row, or None."""
        if self._connection is None:
            return await self._database.value(sql, *args)
        return await self._connection.fetchval(sql, *args)

    async def write(self, sql: str, *args: Any, again: bool = False) -> list[Record]:
        """Run one writing statement in the request's transaction; it is never run again by itself."""
        del again
        connection = await self._begun()
        return await connection.fetch(sql, *args)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Hold a savepoint of the request's transaction."""
        connection = await self._begun()
        async with connection.transaction():
            yield connection

    async def _begun(self) -> Connection:
        if self._connection is None:
            self._connection = await self._stack.enter_async_context(self._database.transaction())
            self._stack.callback(self._end)
        return self._connection

    def _end(self) -> None:
        self._connection = None


@contextlib.asynccontextmanager
async def held(database: Database) -> AsyncIterator[Held]:
    """Commit all that was written when the block ends, and nothing when it raises. Raises Unavailable as `Database` does."""
    async with contextlib.AsyncExitStack() as stack:
        yield Held(database, stack)
