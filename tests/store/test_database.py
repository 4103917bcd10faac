"""What happens when a connection is lost, or PostgreSQL undoes a statement: run again where that is safe, told otherwise."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from purvey.server.kit import database as room
from purvey.server.kit.database import TRIES, Database, TooOldError, connect_once
from purvey.server.kit.problem import Unavailable

GATE = 7
"""The advisory lock that holds statements up until a test lets them go on."""

SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, writes int NOT NULL DEFAULT 1);
CREATE SEQUENCE runs;

CREATE FUNCTION pass_gate() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('runs');
    PERFORM pg_advisory_xact_lock_shared(7);
    RETURN 42;
END $$;

-- Fails with `p_code` until it has been run `p_times`: a sequence counts on, whatever is undone.
CREATE FUNCTION fail(p_code text, p_times int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('runs') <= p_times THEN
        RAISE EXCEPTION USING ERRCODE = p_code, MESSAGE = 'as asked';
    END IF;
    RETURN 42;
END $$;

CREATE FUNCTION write_both(p_first int, p_second int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notes SET writes = writes + 1 WHERE id = p_first;
    PERFORM pass_gate();
    UPDATE notes SET writes = writes + 1 WHERE id = p_second;
END $$;
"""
GUARDED = "INSERT INTO notes (id) VALUES (pass_gate()) ON CONFLICT (id) DO NOTHING RETURNING id"
PLAIN = "INSERT INTO notes (id) VALUES (pass_gate()) RETURNING id"


class Admin:
    """Somebody else's connection: holds statements up and ends backends."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection = connection

    async def shut_gate(self) -> None:
        await self.connection.execute("SELECT pg_advisory_lock($1)", GATE)

    async def open_gate(self) -> None:
        await self.connection.execute("SELECT pg_advisory_unlock($1)", GATE)

    async def at_the_gate(self, many: int = 1) -> list[int]:
        """Return the backends that wait at the gate, once they are `many`."""
        while True:
            waiting = await self.connection.fetch(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())",
                GATE,
            )
            if len(waiting) == many:
                return [row["pid"] for row in waiting]

    async def end(self, *pids: int) -> None:
        """End backends as a fail-over does, and wait until they are gone."""
        for pid in pids:
            assert await self.connection.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)

    async def end_all_others(self) -> int:
        """End every other backend of this database; return how many there were."""
        found = await self.connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        await self.end(*(row["pid"] for row in found))
        return len(found)

    async def runs(self) -> int:
        """Return how often a counting function was run."""
        return int(await self.connection.fetchval("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs"))

    async def notes(self) -> dict[int, int]:
        """Return the notes: id -> how often it was written."""
        return {row["id"]: row["writes"] for row in await self.connection.fetch("SELECT id, writes FROM notes")}


@pytest.fixture
async def admin(fresh_database: str) -> AsyncIterator[Admin]:
    """A connection of its own, and the tables of these tests."""
    connection = await asyncpg.connect(fresh_database)
    await connection.execute(SCHEMA)
    yield Admin(connection)
    await connection.close()


async def cut(admin: Admin, running: "asyncio.Task[Any]") -> None:
    """End the connection on which `running` waits at the gate, then open the gate."""
    assert not running.done()
    await admin.end(*await admin.at_the_gate())
    await admin.open_gate()


async def test_a_read_that_loses_its_connection_is_run_again(database: Database, admin: Admin) -> None:
    ask = "SELECT pass_gate() AS answer"
    for read in (database.value(ask), database.row(ask), database.rows(ask)):
        await admin.shut_gate()
        running: asyncio.Task[Any] = asyncio.ensure_future(read)
        await cut(admin, running)
        assert str(await running) in {"42", "<Record answer=42>", "[<Record answer=42>]"}
    assert await admin.runs() == 6


async def test_a_guarded_write_that_loses_its_connection_is_run_again(database: Database, admin: Admin) -> None:
    await admin.shut_gate()
    running = asyncio.create_task(database.write(GUARDED, again=True))
    await cut(admin, running)
    assert [row["id"] for row in await running] == [42]
    assert await admin.notes() == {42: 1}
    assert await admin.runs() == 2


async def test_a_plain_write_that_loses_its_connection_is_unavailable_and_never_run_again(
    database: Database, admin: Admin
) -> None:
    await admin.shut_gate()
    running = asyncio.create_task(database.write(PLAIN))
    await cut(admin, running)
    with pytest.raises(Unavailable, match="cannot be reached") as refused:
        await running
    assert refused.value.status == 503
    assert refused.value.members["retry_after"] == 1
    assert await admin.notes() == {}
    assert await admin.runs() == 1


async def test_connections_that_died_while_idle_are_replaced(database: Database, admin: Admin) -> None:
    await asyncio.gather(*(database.value("SELECT 1") for _ in range(10)))
    assert await admin.end_all_others() >= 1
    assert await asyncio.gather(*(database.value("SELECT $1::int", number) for number in range(10))) == list(range(10))


async def losing_transaction(database: Database, admin: Admin, *after: str) -> None:
    """Write a note, lose the connection, and go on with the statements `after`."""
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO notes (id) VALUES (1)")
        await admin.end(await connection.fetchval("SELECT pg_backend_pid()"))
        for statement in after:
            await connection.execute(statement)


@pytest.mark.parametrize("after", [["INSERT INTO notes (id) VALUES (2)"], []], ids=["amid", "before its commit"])
async def test_a_lost_transaction_is_unavailable_and_leaves_nothing(
    database: Database, admin: Admin, after: list[str]
) -> None:
    with pytest.raises(Unavailable):
        await losing_transaction(database, admin, *after)
    assert await admin.notes() == {}
    assert await database.value("SELECT 1") == 1


async def test_a_transaction_is_written_whole_or_not_at_all(database: Database, admin: Admin) -> None:
    await written(database, "INSERT INTO notes (id) VALUES (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await written(database, "INSERT INTO notes (id) VALUES (2)", "INSERT INTO notes (id) VALUES (1)")
    assert await admin.notes() == {1: 1}


async def test_of_two_writes_in_a_deadlock_both_are_done_once(database: Database, admin: Admin) -> None:
    await admin.connection.execute("INSERT INTO notes (id) VALUES (1), (2)")
    await admin.shut_gate()
    writes = [asyncio.create_task(database.write("SELECT write_both($1, $2)", *pair)) for pair in ((1, 2), (2, 1))]
    await admin.at_the_gate(2)
    await admin.open_gate()
    await asyncio.gather(*writes)
    assert await admin.notes() == {1: 3, 2: 3}
    assert await admin.runs() == 3


async def test_a_write_that_postgresql_undid_is_run_again(database: Database, admin: Admin) -> None:
    [row] = await database.write("SELECT fail('40001', 2) AS answer")
    assert row["answer"] == 42
    assert await admin.runs() == 3


async def test_a_write_that_postgresql_always_undoes_is_given_up(database: Database, admin: Admin) -> None:
    with pytest.raises(Unavailable):
        await database.write("SELECT fail('40001', 1000)")
    assert await admin.runs() == TRIES


async def test_a_full_disk_is_told_and_not_tried_again(database: Database, admin: Admin) -> None:
    with pytest.raises(Unavailable, match="disk is full"):
        await database.write("SELECT fail('53100', 1000)", again=True)
    with pytest.raises(Unavailable, match="disk is full"):
        await written(database, "SELECT fail('53100', 1000)")
    assert await admin.runs() == 2


async def test_a_statement_that_is_wrong_is_no_absent_database(database: Database, admin: Admin) -> None:
    await database.write("INSERT INTO notes (id) VALUES (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.write("INSERT INTO notes (id) VALUES (1)", again=True)
    with pytest.raises(asyncpg.DataError, match="out of int32 range"):
        await database.value("SELECT $1::int", 2**31)
    assert await admin.notes() == {1: 1}


async def test_an_error_does_not_tell_the_row_that_it_is_about(database: Database) -> None:
    await database.write("CREATE TABLE told (address text CHECK (address <> 'ada@example.com'))")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await database.write("INSERT INTO told VALUES ('ada@example.com')")
    with pytest.raises(asyncpg.CheckViolationError) as rolled_back:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO told VALUES ('ada@example.com')")
    for error in (refused.value, rolled_back.value):
        assert "told_address_check" in str(error)
        assert "ada@example.com" not in str(error)


async def test_a_statement_that_takes_too_long_is_unavailable_and_not_tried_again(
    fresh_database: str, admin: Admin
) -> None:
    await admin.shut_gate()
    async with asyncpg.create_pool(fresh_database, min_size=1, max_size=1, command_timeout=0.05) as pool:
        with pytest.raises(Unavailable):
            await Database(pool).value("SELECT pass_gate()")
    assert await admin.runs() == 1


async def test_reads_and_writes_are_given_up_when_no_connection_can_be_had(database: Database, admin: Admin) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, and never listened on
        database.pool.set_connect_args(
            host="127.0.0.1", port=nobody.getsockname()[1], user="nobody", database="nothing"
        )
        await admin.end_all_others()
        for attempt in (database.value("SELECT 1"), database.write("SELECT 1"), written(database, "SELECT 1")):
            with pytest.raises(Unavailable, match="cannot be reached"):
                await attempt


async def written(database: Database, *statements: str) -> None:
    """Run the statements in one transaction."""
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_json_travels_as_its_own_bytes(database: Database) -> None:
    text = '{ "b" : 1.10, "a":"\\u00e9" }'
    for given in (text, text.encode(), msgspec.Raw(text.encode())):
        read = await database.value("SELECT $1::json", given)
        assert bytes(read).decode() == text
    assert bytes(await database.value("SELECT $1::json", {"a": [1]})) == b'{"a":[1]}'


async def test_close_waits_for_what_is_running(fresh_database: str, admin: Admin) -> None:
    opened = await Database.open(fresh_database, connections=2)
    await admin.shut_gate()
    running = asyncio.create_task(opened.value("SELECT pass_gate()"))
    await admin.at_the_gate()
    closing = asyncio.create_task(opened.close())
    await admin.open_gate()
    assert await running == 42
    await closing


async def test_a_server_that_is_too_old_is_refused_and_let_go(
    fresh_database: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "OLDEST_SERVER", 9_900_000)
    with pytest.raises(
        TooOldError, match=r"^PostgreSQL \d+ is too old: version 15 or later is needed\. Upgrade the server"
    ):
        await Database.open(fresh_database)
    assert await admin.end_all_others() == 0


async def test_sessions_are_in_utc_and_name_themselves(fresh_database: str, database: Database) -> None:
    connection = await connect_once(fresh_database)
    try:
        for ask in (connection.fetchval, database.value):
            assert await ask("SHOW timezone") == "UTC"
            assert await ask("SHOW application_name") == "purvey"
    finally:
        await connection.close()
