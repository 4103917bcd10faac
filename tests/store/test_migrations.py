"""Migrations: each is run once, whoever starts when, and a schema that is ahead of the program stops it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from purvey.server import migrations
from purvey.server.kit.migrations import Migration, NewerSchemaError, available, check, migrate

GATE = 8
"""The advisory lock that holds the migration `0001_kit_one` up when a test wants it to."""

ONE = Migration(1, "0001_kit_one", f"SELECT pg_advisory_xact_lock_shared({GATE}); CREATE TABLE one (id int);")
TWO = Migration(2, "0002_kit_two", "CREATE TABLE two (id int); INSERT INTO two SELECT 1;")
BROKEN = Migration(3, "0003_kit_broken", "CREATE TABLE three (id int); SELECT 1 / 0;")


@asynccontextmanager
async def session(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Connect with a schema of our own in front, which is empty at first."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "blank"})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection to an empty schema."""
    async with session(fresh_database) as opened:
        await opened.execute("CREATE SCHEMA blank")
        yield opened


async def tables(connection: "asyncpg.Connection[Any]") -> set[str]:
    """Return the names of the tables in the schema."""
    return {
        row["tablename"] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'blank'")
    }


async def waiting(connection: "asyncpg.Connection[Any]", many: int) -> None:
    """Return when `many` backends of this database wait for a lock."""
    while many != await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        pass


async def test_a_fresh_database_gets_them_all_in_order(connection: "asyncpg.Connection[Any]") -> None:
    assert await migrate(connection, [ONE, TWO]) == ["0001_kit_one", "0002_kit_two"]
    assert await tables(connection) == {"schema_migrations", "one", "two"}
    assert [
        tuple(row) for row in await connection.fetch("SELECT number, name FROM schema_migrations ORDER BY number")
    ] == [
        (1, "0001_kit_one"),
        (2, "0002_kit_two"),
    ]


async def test_a_second_run_does_nothing(connection: "asyncpg.Connection[Any]") -> None:
    await migrate(connection, [ONE, TWO])
    assert await migrate(connection, [ONE, TWO]) == []
    assert await connection.fetchval("SELECT count(*) FROM two") == 1


async def test_only_what_is_new_is_run(connection: "asyncpg.Connection[Any]") -> None:
    await migrate(connection, [ONE])
    assert await migrate(connection, [ONE, TWO]) == ["0002_kit_two"]


async def test_two_at_once_run_each_once(fresh_database: str, connection: "asyncpg.Connection[Any]") -> None:
    await connection.execute("SELECT pg_advisory_lock($1)", GATE)
    async with AsyncExitStack() as sessions:
        both = [await sessions.enter_async_context(session(fresh_database)) for _ in range(2)]
        running = [asyncio.create_task(migrate(one, [ONE, TWO])) for one in both]
        await waiting(connection, 2)
        await connection.execute("SELECT pg_advisory_unlock($1)", GATE)
        assert sorted(await asyncio.gather(*running)) == [[], ["0001_kit_one", "0002_kit_two"]]
    assert await connection.fetchval("SELECT count(*) FROM two") == 1


async def test_a_newer_schema_is_refused_untouched(connection: "asyncpg.Connection[Any]") -> None:
    await migrate(connection, [ONE, TWO])
    with pytest.raises(
        NewerSchemaError, match=r"it has migration '0002_kit_two', which is unknown here\. Install the version"
    ):
        await migrate(connection, [ONE, BROKEN])
    with pytest.raises(NewerSchemaError):
        await check(connection, [ONE])
    assert await tables(connection) == {"schema_migrations", "one", "two"}


async def test_a_migration_that_fails_leaves_nothing_of_the_run(connection: "asyncpg.Connection[Any]") -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [ONE, TWO, BROKEN])
    assert await tables(connection) == set()


async def test_after_a_failure_the_mended_run_goes_on_where_the_last_good_one_ended(
    connection: "asyncpg.Connection[Any]",
) -> None:
    await migrate(connection, [ONE])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [ONE, TWO, BROKEN])
    assert await tables(connection) == {"schema_migrations", "one"}
    assert await migrate(connection, [ONE, TWO]) == ["0002_kit_two"]


async def test_check_names_what_has_yet_to_run_and_runs_nothing(connection: "asyncpg.Connection[Any]") -> None:
    assert await check(connection, [ONE, TWO]) == ["0001_kit_one", "0002_kit_two"]
    assert await tables(connection) == set()
    await migrate(connection, [ONE])
    assert await check(connection, [ONE, TWO]) == ["0002_kit_two"]
    await migrate(connection, [ONE, TWO])
    assert await check(connection, [ONE, TWO]) == []


async def test_the_program_s_own_migrations_run_on_an_empty_schema_and_are_complete(
    connection: "asyncpg.Connection[Any]",
) -> None:
    ours = available(migrations.__name__)
    assert await migrate(connection, ours) == [migration.name for migration in ours]
    assert await check(connection, ours) == []


def test_migrations_come_in_the_order_of_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_migrations"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, sql in (("0010_b_last", "SELECT 10"), ("0002_a_middle", "SELECT 2"), ("0001_c_first", "SELECT 1")):
        (package / f"{name}.sql").write_text(sql, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert available("some_migrations") == [
        Migration(1, "0001_c_first", "SELECT 1"),
        Migration(2, "0002_a_middle", "SELECT 2"),
        Migration(10, "0010_b_last", "SELECT 10"),
    ]
