"""All SQL of the library."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.jobs.model import Result as Ended
from purvey.server.kit.database import Database
from purvey.server.library.model import Ask, Invited, NewLink
from purvey.server.mail.model import NewMessage

JOB = "library.invite"

INVITE = "SELECT library_invite($1, $2::library_link, $3::message_new, $4, $5, $6::job_result, $7)"

# The same session may be made twice, after a lost connection; another one with the same link may not. A session that the browser
# brought along ends: nobody goes on in one that somebody else may know.
SIGN_IN = """
WITH used AS (
    UPDATE library_links SET session_hash = $2
    WHERE token_hash = $1 AND expires_at > $3 AND (session_hash IS NULL OR session_hash = $2)
    RETURNING email
), before AS (
    UPDATE library_sessions SET ended_at = $3 WHERE token_hash = $5 AND ended_at IS NULL AND EXISTS (SELECT FROM used)
), made AS (
    INSERT INTO library_sessions (token_hash, email, created_at, expires_at) SELECT $2, email, $3, $4 FROM used
    ON CONFLICT (token_hash) DO NOTHING
)
SELECT email FROM used
"""


async def ask(database: Database, ask_id: str, email: str, now: datetime) -> None:
    """Note an ask, and the job that answers it."""
    await database.write("SELECT library_ask($1, $2, $3)", ask_id, email, now, again=True)


async def asks(database: Database, ids: Sequence[str]) -> dict[str, Ask]:
    """Return those of the asks that wait for an answer, by id."""
    rows = await database.rows("SELECT id, email, asked_at FROM library_asks WHERE id = ANY($1)", ids)
    return {row["id"]: Ask(**row) for row in rows}


async def invite(
    database: Database, ask_id: str, link: NewLink, message: NewMessage, since: datetime, most: int, ended: Ended
) -> Invited | None:
    """Answer an ask and end its job, in one transaction; return None, having done nothing, when the lease was lost."""
    structs = [msgspec.structs.astuple(one) for one in (link, message, ended)]
    rows = await database.write(
        INVITE, ask_id, structs[0], structs[1], since, most, structs[2], link.created_at, again=True
    )
    came: Invited | None = rows[0][0]
    return came


async def forget(database: Database, before: datetime, most: int, now: datetime) -> None:
    """Forget up to `most` links that expired before then, and as many sessions that are over."""
    await database.write("SELECT library_forget($1, $2, $3)", before, most, now, again=True)


async def has_link(database: Database, token_hash: bytes, now: datetime) -> bool:
    """Return whether a link would sign in now."""
    found: bool = await database.value(
        "SELECT EXISTS (SELECT FROM library_links WHERE token_hash = $1 AND session_hash IS NULL AND expires_at > $2)",
        token_hash,
        now,
    )
    return found


async def sign_in(
    database: Database, link_hash: bytes, session_hash: bytes, before_hash: bytes | None, now: datetime, until: datetime
) -> str | None:
    """Exchange a link for a session, which replaces the one before; return whose it is, or None if the link signs in no more."""
    rows = await database.write(SIGN_IN, link_hash, session_hash, now, until, before_hash, again=True)
    return rows[0]["email"] if rows else None


async def email_of(database: Database, session_hash: bytes, now: datetime) -> str | None:
    """Return whose session it is, unless it is over."""
    found: str | None = await database.value(
        "SELECT email FROM library_sessions WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2",
        session_hash,
        now,
    )
    return found


async def sign_out(database: Database, session_hash: bytes, now: datetime) -> None:
    """End a session."""
    await database.write(
        "UPDATE library_sessions SET ended_at = $2 WHERE token_hash = $1 AND ended_at IS NULL",
        session_hash,
        now,
        again=True,
    )
