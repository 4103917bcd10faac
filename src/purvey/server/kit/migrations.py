"""Numbered SQL migrations, each run once, in order, under an advisory lock.

A file is `NNNN_room_what.sql`. What was run is a row of `schema_migrations`. A schema with a number that this program does not
know is newer than the program, which then refuses to run.
"""

from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from purvey.server.kit.database import Connection

_LOCK = 0x507572766579
"""The advisory lock's key: "Purvey" in ASCII."""


class NewerSchemaError(Exception):
    """The database was migrated by a later version of the program."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without the ending, and its SQL."""

    number: int
    name: str
    sql: str


def available(package: str) -> list[Migration]:
    """Return the migrations that `package` carries, in order."""
    found = [entry for entry in files(package).iterdir() if entry.name.endswith(".sql")]
    return [
        Migration(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]


async def migrate(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Run what has not run yet, all in one transaction, and return the names; raise NewerSchemaError if ahead of us."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (number int PRIMARY KEY, name text NOT NULL, run_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        pending = await _pending(connection, migrations)
        for migration in pending:
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
            )
    return [migration.name for migration in pending]


async def check(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Return the names of the migrations that have yet to run; raise NewerSchemaError if ahead of us."""
    try:
        pending = await _pending(connection, migrations)
    except asyncpg.UndefinedTableError:
        pending = migrations
    return [migration.name for migration in pending]


async def _pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    done = {row["number"]: row["name"] for row in await connection.fetch("SELECT number, name FROM schema_migrations")}
    unknown = sorted(set(done) - {migration.number for migration in migrations})
    if unknown:
        raise NewerSchemaError(
            f"The database's schema is newer than this program: it has migration {done[unknown[-1]]!r}, which is unknown here. "
            "Install the version of Purvey that made it, or a later one."
        )
    return [migration for migration in migrations if migration.number not in done]
