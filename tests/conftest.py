"""What all tests stand on: one real PostgreSQL for the run, and a fresh database, cloned from a migrated template, for each test.

With PURVEY_TEST_DATABASE_URL the tests use that server instead of the embedded one; its user must be allowed to create databases.
Tests that use none of its databases prove nothing about it, and are left out.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from purvey.server import migrations
from purvey.server.kit import log
from purvey.server.kit.database import Database
from purvey.server.kit.embedded import EmbeddedPostgres
from purvey.server.kit.migrations import available, migrate

GIVEN_URL = "PURVEY_TEST_DATABASE_URL"
CLUSTER_URL = "TESTS_PURVEY_CLUSTER"
TEMPLATE = "TESTS_PURVEY_TEMPLATE"
# Without autovacuum: its worker belongs to the superuser, whom no test may send away from a database that it drops.
IT_USES = {"database", "fresh_database", "new_database"}
"""Fixtures that lead to a database of the cluster."""
QUICK = {"fsync": "off", "synchronous_commit": "off", "max_connections": "200", "autovacuum": "off"}
_cluster: list[tuple[EmbeddedPostgres, Path]] = []


def database_url(name: str) -> str:
    """Return the URL of the test cluster's database `name`."""
    parts = urlsplit(os.environ[CLUSTER_URL])
    return urlunsplit(parts._replace(path=f"/{name}"))


def pytest_configure(config: pytest.Config) -> None:
    """Start the cluster once, before any worker; workers find it through the environment."""
    log.configure("pretty")
    # A shell's background jobs ignore Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    os.environ[CLUSTER_URL] = os.environ.get(GIVEN_URL) or _start_cluster()
    os.environ[TEMPLATE] = f"purvey_template_{secrets.token_hex(4)}"
    asyncio.run(_make_template(os.environ[TEMPLATE]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a server given, keep the tests that use it."""
    if GIVEN_URL in os.environ:
        kept = [item for item in items if IT_USES & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop the template and stop the cluster."""
    if hasattr(config, "workerinput") or TEMPLATE not in os.environ:
        return
    asyncio.run(_run_sql(f'DROP DATABASE IF EXISTS "{os.environ.pop(TEMPLATE)}"'))
    for server, folder in _cluster:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start_cluster() -> str:
    folder = Path(
        tempfile.mkdtemp(prefix="purvey-tests-", dir="/tmp")
    )  # pytest's own folder is closed to the database's user
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder, options=QUICK)
    _cluster.append((server, folder))
    return server.start()


async def _run_sql(*statements: str) -> None:
    connection = await asyncpg.connect(database_url("postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _make_template(name: str) -> None:
    await _run_sql(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(database_url(name))
    try:
        await migrate(connection, available(migrations.__name__))
    finally:
        await connection.close()


NewDatabase = Callable[[], contextlib.AbstractAsyncContextManager[str]]


@contextlib.asynccontextmanager
async def _new_database() -> AsyncIterator[str]:
    name = f"purvey_{secrets.token_hex(6)}"
    # Copying files takes half as long as writing the same into the log.
    await _run_sql(f'CREATE DATABASE "{name}" TEMPLATE "{os.environ[TEMPLATE]}" STRATEGY FILE_COPY')
    try:
        yield database_url(name)
    finally:
        await _run_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def new_database() -> NewDatabase:
    """What makes migrated databases, each for as long as its context lasts; for tests that need more than one."""
    return _new_database


@pytest.fixture
async def fresh_database() -> AsyncIterator[str]:
    """The URL of a migrated database that only this test uses."""
    async with _new_database() as url:
        yield url


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    opened = await Database.open(fresh_database)
    yield opened
    await opened.close()
