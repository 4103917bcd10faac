"""What every command stands in: settings read, errors told in a sentence, a database to talk to."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from purvey.server import installation
from purvey.server.installation import StartError
from purvey.server.kit.clock import DatabaseClock
from purvey.server.kit.database import TooOldError
from purvey.server.kit.directory_lock import DirectoryInUse
from purvey.server.kit.embedded import EmbeddedError, attach
from purvey.server.kit.ids import Ids
from purvey.server.kit.migrations import NewerSchemaError
from purvey.server.kit.problem import ProblemError
from purvey.server.kit.tools import Tools
from purvey.server.settings import Settings, SettingsError, read

if sys.platform == "win32":
    new_event_loop = asyncio.new_event_loop
else:
    # The standard loop in C: half the cost of a request was in the other one.
    from uvloop import new_event_loop

T = TypeVar("T")

data_option = click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the embedded database and the secret key live.  [default: ./purvey-data]",
)

TOLD = (
    SettingsError,
    StartError,
    EmbeddedError,
    DirectoryInUse,
    TooOldError,
    NewerSchemaError,
    ProblemError,
    OSError,
)
"""Errors whose message tells a person what to do; anything else is a fault of ours and shows its traceback."""


def settings(**given: object) -> Settings:
    """Read the settings; what the command line gave wins."""
    try:
        return read(os.environ, **given)
    except SettingsError as error:
        complain(error)


def complain(error: Exception | str) -> NoReturn:
    """End with the error's message and status 1."""
    raise click.ClickException(str(error)) from None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; an error that a person can mend is told without a traceback."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(work)
    except TOLD as error:
        complain(error)


@contextlib.asynccontextmanager
async def tools(given: Settings) -> AsyncIterator[Tools]:
    """Open the database of a running server, or the one that PURVEY_DATABASE_URL names."""
    url = given.database_url or attach(given.data_dir)
    keys = installation.keyring(given)
    database = await installation.open_database(url, connections=2)
    try:
        await installation.check_schema(database)
        clock = DatabaseClock(lambda: database.value("SELECT clock_timestamp()"))
        await clock.measure()
        await installation.check_secret_key(database, keys)
        yield Tools(database, clock, Ids(), keys, given.url, private_urls=given.allow_private_urls)
    finally:
        await database.close()
