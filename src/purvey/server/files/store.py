"""All SQL of files. They are attached by the SQL function `files_attach`, in the transaction of whatever names them."""

from collections.abc import Sequence
from datetime import datetime

from purvey.server.files.model import TABLE, File, NewFile, Status, Sum
from purvey.server.kit.database import Database

JOB = "files.remove"
VANISHED = "PVF01"
"""The SQLSTATE that `files_attach` raises for a file that cannot be attached, or not any more."""

_FILE = "account_id, id, filename, content_type, blob, size, sha256, created_at, expires_at"

BEGIN = "SELECT files_begin($1, $2, $3, $4, $5, $6, $7)"
FINISH = f"""
UPDATE files SET status = 'waiting', size = $3, sha256 = $4
WHERE account_id = $1 AND id = $2 AND status = ANY ($5) AND expires_at > $6
RETURNING {_FILE}
"""
LEAVE = """
UPDATE files SET status = 'leaving' WHERE account_id = $1 AND id = $2 AND status = ANY ($3) AND expires_at <= $4 RETURNING blob
"""
BREAK_OFF = (
    "UPDATE files SET status = 'leaving' WHERE account_id = $1 AND id = $2 AND status = 'arriving' RETURNING blob"
)
FORGET = "DELETE FROM files WHERE account_id = $1 AND id = $2 AND status = 'leaving'"
SERVED = (
    f"SELECT {_FILE} FROM files JOIN unnest($1::text[], $2::text[]) AS wanted (account_id, id) USING (account_id, id)"
)


async def begin(database: Database, new: NewFile) -> None:
    """Write the row of a file whose first byte is yet to come, and the job that removes it unless it is attached."""
    named = new.named
    args = (new.account_id, new.id, named.filename, named.content_type, new.blob, new.created_at, new.expires_at)
    await database.write(BEGIN, *args, again=True)


async def finish(database: Database, new: NewFile, total: Sum, now: datetime) -> File | None:
    """Say that all bytes are stored, and return the file; None if it is being removed. A second time changes nothing."""
    allowed = [*TABLE.sources(Status.WAITING), Status.WAITING]
    rows = await database.write(FINISH, new.account_id, new.id, total.size, total.sha256, allowed, now, again=True)
    return File(**rows[0]) if rows else None


async def leave(database: Database, account_id: str, file_id: str, now: datetime) -> str | None:
    """Give up a file whose time is over, so that nobody attaches it any more; return its blob, None if it stays."""
    rows = await database.write(LEAVE, account_id, file_id, list(TABLE.sources(Status.LEAVING)), now, again=True)
    return rows[0]["blob"] if rows else None


async def break_off(database: Database, account_id: str, file_id: str) -> str | None:
    """Give up a file that is still arriving; return its blob, None if it has arrived."""
    rows = await database.write(BREAK_OFF, account_id, file_id)
    return rows[0]["blob"] if rows else None


async def forget(database: Database, account_id: str, file_id: str) -> None:
    """Delete the row of a file whose bytes are gone."""
    await database.write(FORGET, account_id, file_id, again=True)


async def arrived(database: Database, keys: Sequence[tuple[str, str]], now: datetime) -> dict[str, File]:
    """Return those files of these (account, file) ids that are there and stay or may still be attached, by file id."""
    rows = await database.rows(
        f"{SERVED} WHERE status = 'attached' OR (status = 'waiting' AND expires_at > $3)",
        [account_id for account_id, _ in keys],
        [file_id for _, file_id in keys],
        now,
    )
    return {row["id"]: File(**row) for row in rows}


async def unattached(database: Database, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the (account, file) ids whose file was not attached."""
    rows = await database.rows(
        "SELECT account_id, id FROM files JOIN unnest($1::text[], $2::text[]) AS wanted (account_id, id) USING (account_id, id)"
        " WHERE status <> 'attached'",
        [account_id for account_id, _ in keys],
        [file_id for _, file_id in keys],
    )
    return {(row["account_id"], row["id"]) for row in rows}
