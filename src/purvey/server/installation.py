"""The installation's own secret: where it comes from, and how a wrong one is noticed before it does harm."""

import os
from pathlib import Path

from purvey.server.kit.crypto import Keyring, WrongKeyError
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.settings import Settings

SECRET_FILE = "secret-key"
_CHECK = "secret_key_check"


class SecretKeyError(Exception):
    """The secret key is missing or wrong; the message says what to do."""


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
        raise SecretKeyError(f"PURVEY_SECRET_KEY: {error}.") from None


def _kept(path: Path) -> str:
    """Return the key in the file, which is made with mode 0600 if it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(Ids().secret() + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    return path.read_text(encoding="ascii").strip()


async def check_secret_key(database: Database, keys: Keyring) -> None:
    """Raise SecretKeyError when this database's secrets were sealed with a key that is not among `keys`."""
    await database.write(
        "INSERT INTO installation (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", _CHECK, keys.seal(_CHECK), again=True
    )
    sealed = await database.value("SELECT value FROM installation WHERE key = $1", _CHECK)
    try:
        keys.open(sealed)
    except WrongKeyError:
        raise SecretKeyError(
            "PURVEY_SECRET_KEY is not the key that this database's secrets were sealed with. Put the old key back; to change it, "
            "give both, the new one first: PURVEY_SECRET_KEY=new,old."
        ) from None
