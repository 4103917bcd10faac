"""PostgreSQL through asyncpg: the pool, and what happens when a connection is lost.

Reads are run again on a fresh connection. A write is run again only when PostgreSQL says that it undid it (deadlock,
serialisation), or when its caller says that a second run is harmless (`again=True`: the statement is guarded, so what
happened already happens no second time). Everything else becomes `Unavailable`, a 503: nothing was half done.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import asyncpg
import msgspec
import structlog

from purvey.server.kit.problem import Unavailable

log = structlog.get_logger()

T = TypeVar("T")
Record = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]"

OLDEST_SERVER = 150000
"""The oldest `server_version_num` that is known to work: PostgreSQL 15."""

LOST = (
    OSError,
    asyncpg.InterfaceError,
    # What asyncpg says between the server's farewell and the end of the stream, before anything is sent.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""The connection is gone, or was never had: what it did last is unknown."""

FAULTS = (asyncpg.DataError, asyncpg.UnsupportedClientFeatureError, asyncpg.exceptions.ClientConfigurationError)
"""Interface errors that are not about the connection: what was asked makes no sense, now or later."""

UNDONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""PostgreSQL undid the transaction, whole: it may always be run again."""

FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.InsufficientResourcesError)
"""The server has no room: undone as well, but running it again at once would not help."""

TRIES = 5
"""How often a statement is run before it is given up; the waits between are 0.05, 0.1, 0.2 and 0.4 s, each times 0.5 to 1.5."""


ACQUIRE_WITHIN = 10.0
"""Seconds that a statement waits for a free connection before its caller is told to come again."""


class TooOldError(Exception):
    """The PostgreSQL server is older than 15."""


def _encode_json(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | msgspec.Raw) else msgspec.json.encode(value)


async def prepare(connection: Connection) -> None:
    """Make a fresh connection speak our types: `json` columns travel as their own bytes, unparsed."""
    # Binary, which for json is its text: only so can a json column be part of a composite value.
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.Raw, format="binary"
    )


async def connect_once(url: str) -> "asyncpg.Connection[Record]":
    """Open one connection outside any pool."""
    connection = await asyncpg.connect(url, server_settings=_SESSION, timeout=10)
    await prepare(connection)
    return connection


_SESSION = {"application_name": "purvey", "timezone": "UTC", "jit": "off"}


class _Clean(asyncpg.Connection):
    """A connection that needs no cleaning after use: nothing here outlives its transaction. So a release costs no round trip."""

    def get_reset_query(self) -> str:
        """Return nothing to run."""
        return ""


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(self, pool: "asyncpg.Pool[Record]") -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, connections: int = 10) -> "Database":
        """Connect to `url`; raise TooOldError when the server is older than PostgreSQL 15."""
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=connections,
            init=prepare,
            connection_class=_Clean,
            server_settings=_SESSION,
            timeout=10,
            command_timeout=60,
            max_inactive_connection_lifetime=120,
        )
        database = cls(pool)
        version = int(await database.value("SHOW server_version_num"))
        if version < OLDEST_SERVER:
            await pool.close()
            raise TooOldError(
                f"PostgreSQL {version // 10000} is too old: version 15 or later is needed. "
                "Upgrade the server that PURVEY_DATABASE_URL names, or unset it to use the embedded one."
            )
        return database

    async def close(self) -> None:
        """Close every connection, after what runs on it has ended; at most 10 seconds."""
        try:
            await asyncio.wait_for(self.pool.close(), 10)
        except TimeoutError:
            self.pool.terminate()

    async def rows(self, sql: str, *args: Any) -> list[Record]:
        """Read all rows."""
        return await self._tried(lambda connection: connection.fetch(sql, *args), again=True)

    async def row(self, sql: str, *args: Any) -> Record | None:
        """Read one row, or None."""
        return await self._tried(lambda connection: connection.fetchrow(sql, *args), again=True)

    async def value(self, sql: str, *args: Any) -> Any:
        """Read the first column of the first row, or None."""
        return await self._tried(lambda connection: connection.fetchval(sql, *args), again=True)

    async def write(self, sql: str, *args: Any, again: bool = False) -> list[Record]:
        """Run one writing statement, its own transaction; `again` allows a second run after a lost connection."""
        return await self._tried(lambda connection: connection.fetch(sql, *args), again=again)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Hold one transaction. Losing the connection in it raises Unavailable; nothing of it stays."""
        try:
            with _discreet():
                async with self.pool.acquire(timeout=ACQUIRE_WITHIN) as connection, connection.transaction():
                    yield connection
        except FAULTS:
            raise
        except (*LOST, *FULL, TimeoutError) as error:
            raise _unavailable(error) from error

    async def _tried(self, run: Callable[[Connection], Awaitable[T]], *, again: bool) -> T:
        repeatable = (*UNDONE, *LOST) if again else UNDONE
        for tried in range(1, TRIES + 1):
            try:
                with _discreet():
                    async with self.pool.acquire(timeout=ACQUIRE_WITHIN) as connection:
                        return await run(connection)
            except FAULTS:
                raise
            except TimeoutError as error:
                # An OSError by birth, but a second run would only take as long again.
                raise _unavailable(error) from error
            except repeatable as error:
                if tried == TRIES:
                    raise _unavailable(error) from error
                log.warning("database.again", tried=tried, error=type(error).__name__)
                await asyncio.sleep(0.05 * 2 ** (tried - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, no secret
            except (*LOST, *FULL) as error:
                raise _unavailable(error) from error
        raise AssertionError("unreachable")


@contextlib.contextmanager
def _discreet() -> Iterator[None]:
    """Keep the rows that PostgreSQL's errors are about to themselves: whoever logs such an error would log addresses and goods."""
    try:
        yield
    except asyncpg.PostgresError as error:
        error.detail = None
        raise


def _unavailable(error: BaseException) -> Unavailable:
    log.error("database.unavailable", error=type(error).__name__, reason=str(error))
    if isinstance(error, asyncpg.DiskFullError):
        return Unavailable("The database's disk is full. Nothing was changed; try again when there is room.")
    return Unavailable("The database cannot be reached. Nothing is half done; try again in a moment.", retry_after=1)
