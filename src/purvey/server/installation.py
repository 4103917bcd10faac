"""What every process of an installation needs before it works: its database, the schema in it, and its own secret.

What is missing or wrong is noticed here, before it does harm, and said in a sentence that tells what to do.
"""

import contextlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from purvey.server import migrations
from purvey.server.kit.crypto import Keyring, WrongKeyError
from purvey.server.kit.database import LOST, Database, connect_once
from purvey.server.kit.ids import Ids
from purvey.server.kit.migrations import available, check, migrate
from purvey.server.settings import Settings

SECRET_FILE = "secret-key"  # noqa: S105  # a file's name
_CHECK = "secret_key_check"
_BASE_URL = "base_url"


class StartError(Exception):
    """The process cannot start; the message says why and what to do."""


class SecretKeyError(StartError):
    """The secret key is missing or wrong."""


async def open_database(url: str, *, connections: int) -> Database:
    """Open the database; raise StartError when it cannot be reached, TooOldError when it is older than PostgreSQL 15."""
    try:
        return await Database.open(url, connections=connections)
    except (*LOST, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise StartError(
            f"The database{_place(url)} cannot be reached: {_reason(error)}. "
            "Check PURVEY_DATABASE_URL (postgresql://user:password@host:5432/name)."
        ) from None


def _place(url: str) -> str:
    """Return where a URL leads, without its user and password; nothing for one that says it otherwise."""
    try:
        parts = urlsplit(url)
        place = (parts.hostname, parts.port or 5432)
    except ValueError:
        return ""
    return f" at {place[0]}:{place[1]}" if place[0] else ""


def _reason(error: BaseException) -> str:
    """Return the error in words, without its number; a connection that took too long has none of its own."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).rstrip(".") or "it does not answer"


async def bring_up_to_date(url: str) -> list[str]:
    """Run the migrations that have not run, and return their names; raise StartError when they may not, or there is no database."""
    await (await open_database(url, connections=1)).close()
    connection = await connect_once(url)
    try:
        return await migrate(connection, available(migrations.__name__))
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartError(
            f"The database's schema cannot be brought up to date: {error}. "
            "The user in PURVEY_DATABASE_URL must be allowed to create tables and functions there."
        ) from None
    finally:
        await connection.close()


async def check_schema(database: Database) -> None:
    """Raise StartError when migrations have yet to run, NewerSchemaError when the schema is ahead of this program."""
    async with database.transaction() as connection:
        pending = await check(connection, available(migrations.__name__))
    if pending:
        raise StartError(
            f"The database's schema is not up to date: {', '.join(pending)} has not run. "
            "Run `purvey migrate`, or start `purvey serve`, which does it by itself."
        )


def keyring(settings: Settings) -> Keyring:
    """Return the keys of PURVEY_SECRET_KEY; with the embedded database one is made on the first start and kept beside it."""
    keys = settings.secret_keys
    if not keys and settings.database_url:
        raise SecretKeyError(
            "PURVEY_SECRET_KEY is missing: with PURVEY_DATABASE_URL, every process needs the same one. Make one with\n"
            '  python3 -c "import secrets; print(secrets.token_urlsafe(32))"\nand keep it: without it, sealed secrets are lost.'
        )
    try:
        return Keyring(keys or (_kept(settings.data_dir / SECRET_FILE),))
    except ValueError as error:
        raise SecretKeyError(f"PURVEY_SECRET_KEY: {error} (a comma ends one key and begins the next).") from None


def _kept(path: Path) -> str:
    """Return the key in the file, which is made with mode 0600 if it is not there; of several makers, one wins."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(Ids().secret() + "\n")
        file.flush()
        os.fsync(file.fileno())
    # A link, unlike a new name, is refused where there is a file already.
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
    return path.read_text(encoding="ascii").strip()


async def check_secret_key(database: Database, keys: Keyring) -> None:
    """Raise SecretKeyError when this database's secrets were sealed with a key that is not among `keys`."""
    await database.write(
        "INSERT INTO installation (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        _CHECK,
        keys.seal(_CHECK),
        again=True,
    )
    if not await opens(database, keys):
        raise SecretKeyError(
            "PURVEY_SECRET_KEY is not the key that this database's secrets were sealed with. Put the old key back; to change it, "
            "give both, the new one first: PURVEY_SECRET_KEY=new,old."
        )


async def opens(database: Database, keys: Keyring) -> bool:
    """Return whether `keys` open what this database's secrets were sealed with; any do when none was sealed yet."""
    sealed = await database.value("SELECT value FROM installation WHERE key = $1", _CHECK)
    try:
        if sealed is not None:
            keys.open(sealed)
    except WrongKeyError:
        return False
    return True


async def agree_on_url(database: Database, settings: Settings, *, answers: bool) -> Settings:
    """Let a worker that was told no base URL take that of the server: what it mails must lead there.

    Whoever `answers` requests leaves its own for it.
    """
    if answers:
        await database.write(
            "INSERT INTO installation AS told (key, value) VALUES ($1, $2)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE told.value <> excluded.value",
            _BASE_URL,
            settings.url.encode(),
            again=True,
        )
    elif settings.base_url is None:
        told = await database.value("SELECT value FROM installation WHERE key = $1", _BASE_URL)
        return msgspec.structs.replace(settings, base_url=told.decode() if told else None)
    return settings


async def has_secrets(database: Database) -> bool:
    """Return whether a key has been used with this database."""
    found: bool = await database.value("SELECT EXISTS (SELECT FROM installation WHERE key = $1)", _CHECK)
    return found
