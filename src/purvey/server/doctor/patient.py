"""What the checks look at: the settings, and the database when it can be reached."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from purvey.server import migrations
from purvey.server.doctor.model import Finding, ok, problem, warning
from purvey.server.installation import open_database
from purvey.server.kit.database import Database
from purvey.server.kit.embedded import EmbeddedPostgres, attach, binaries
from purvey.server.kit.embedded.installation import MAJOR
from purvey.server.kit.embedded.layout import Layout
from purvey.server.kit.embedded.postmaster import READY, read_pid_file
from purvey.server.kit.migrations import NewerSchemaError, available, check
from purvey.server.settings import Settings, SettingsError

T = TypeVar("T")

REACHED_WITHIN = 12.0
"""Seconds that the database may take to let us in."""


class Missing(Exception):
    """A check cannot be made, because of something that another check tells of."""


@dataclass(frozen=True)
class Patient:
    """An installation. `asked` are its settings or what is wrong with them; `reached` is what came of reaching its database.

    `schema` tells of the schema: an ok finding when it is this program's; None without a database.
    """

    asked: Settings | SettingsError
    reached: Finding | None = None
    opened: Database | None = None
    schema: Finding | None = None

    @property
    def settings(self) -> Settings:
        """The settings; Missing when they cannot be read."""
        if isinstance(self.asked, SettingsError):
            raise Missing
        return self.asked

    @property
    def server(self) -> Database:
        """The database, whatever is in it; Missing when it was not reached."""
        if self.opened is None:
            raise Missing
        return self.opened

    @property
    def shop(self) -> Database:
        """The database with this program's schema in it; Missing otherwise."""
        if self.schema is None or self.schema.level != "ok":
            raise Missing
        return self.server


async def aside(work: Callable[[], T]) -> T:
    """Run `work`, which may block for long, in a thread that nobody waits for at the end of the program."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(give: Callable[[], None]) -> None:
        # Refused when the loop is closed: nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else give())

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # whoever waits for it gets it
            tell(partial(done.set_exception, error))
        else:
            tell(partial(done.set_result, result))

    threading.Thread(target=run, daemon=True).start()
    return await done


@contextlib.asynccontextmanager
async def admitted(asked: Settings | SettingsError) -> AsyncIterator[Patient]:
    """Reach what can be reached; whatever cannot is told by a finding and never raised."""
    if isinstance(asked, SettingsError):
        yield Patient(asked)
        return
    try:
        async with asyncio.timeout(REACHED_WITHIN):
            url, reached = await _url(asked)
            database = await open_database(url, connections=3) if url else None
    except Exception as error:  # noqa: BLE001  # whatever it is, the other checks go on
        yield Patient(asked, problem(*_parted(_words(error), _remedy(error))))
        return
    if database is None:
        yield Patient(asked, reached)
        return
    try:
        yield Patient(asked, reached, database, await _schema(database))
    finally:
        await database.close()


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"The database has not answered within {REACHED_WITHIN:.0f} seconds."
    if isinstance(error, OSError):
        return f"{error.filename or 'The database'} cannot be used: {error.strerror or error}."
    return str(error) or f"The database cannot be used: {type(error).__name__}."


def _remedy(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "Run the doctor as the user whom the server runs as."
    return "See whether the server runs and who may connect to it."


def _parted(message: str, otherwise: str) -> tuple[str, str]:
    """Return what is wrong and what to do, which our messages have as their first sentence and the rest."""
    says, found, remedy = message.partition(". ")
    return (f"{says}.", remedy) if found else (message, otherwise)


async def _url(settings: Settings) -> tuple[str | None, Finding]:
    if settings.database_url:
        return settings.database_url, ok("The PostgreSQL that PURVEY_DATABASE_URL names lets us in.")
    return await aside(lambda: _embedded(settings.data_dir))


def _embedded(data_dir: Path) -> tuple[str | None, Finding]:
    """Return the URL of the embedded server if it answers, and what is to be said of it."""
    binaries()
    layout = Layout(data_dir.resolve())
    made_by = _cluster_version(layout)
    if made_by is None:
        return None, ok(
            f"There is no database yet: the first `purvey serve` makes one, with PostgreSQL {MAJOR}, in {data_dir}."
        )
    if made_by != str(MAJOR):
        return None, problem(
            f"The database in {data_dir} was made by PostgreSQL {made_by}, and this program brings PostgreSQL {MAJOR}.",
            "Install the version of Purvey that made it, and move the data with its pg_dump.",
        )
    written = read_pid_file(layout)
    if written and written.status != READY and EmbeddedPostgres(data_dir).is_running():
        return None, warning(f"The PostgreSQL in {data_dir} is just starting, or recovering.", "Ask again in a minute.")
    if not EmbeddedPostgres(data_dir).is_running():
        return None, warning(
            f"No server runs from {data_dir}, so nothing was looked at that is in its database.",
            "Start `purvey serve` with this data directory and ask again.",
        )
    return attach(data_dir), ok(f"The embedded PostgreSQL runs from {data_dir}.")


def _cluster_version(layout: Layout) -> str | None:
    try:
        return (layout.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


async def _schema(database: Database) -> Finding:
    known = available(migrations.__name__)
    try:
        async with database.transaction() as connection:
            pending = await check(connection, known)
    except NewerSchemaError as error:
        return problem(*_parted(str(error), ""))
    except Exception as error:  # noqa: BLE001  # it is told, and the rest goes on
        return problem(
            f"The schema cannot be read: {error}.", "See whether the user in PURVEY_DATABASE_URL owns the tables."
        )
    if pending:
        return problem(
            f"The schema is behind this program: {pending[0]} and {len(pending) - 1} more have not run."
            if len(pending) > 1
            else f"The schema is behind this program: {pending[0]} has not run.",
            "Run `purvey migrate`, or start `purvey serve`, which does it by itself.",
        )
    return ok(f"The schema is this program's: {known[-1].name}.")
