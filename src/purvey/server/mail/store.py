"""All SQL of the messages and of the built-in mailbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from purvey.server.jobs.model import Result as Ended
from purvey.server.kit.database import Database, Record
from purvey.server.mail.model import FOR_SELLERS, EndpointFacts, Facts, Letter, Message, Result, Sent, Template
from purvey.server.mail.render import subject

WAITING = """
SELECT account_id, id, template, order_id, recipient, facts, good_until, link.email,
    CASE WHEN m.sealed IS NOT NULL THEN coalesce(link.sealed, m.sealed) END AS sealed
FROM messages m LEFT JOIN LATERAL orders_link(m.account_id, m.order_id) link ON true
WHERE (account_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND status = 'waiting'
"""

RECORD = "SELECT messages_record($1::message_result, $2::job_result, $3)"

PUT_IN_MAILBOX = """
INSERT INTO mailbox (message_id, recipient, subject, text, html, received_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (message_id) DO NOTHING
"""

LETTER = "SELECT message_id, recipient, subject, text, html, received_at FROM mailbox"


async def waiting(database: Database, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Message]:
    """Return those of the (account, message) ids that wait to be sent."""
    accounts, ids = [key[0] for key in keys], [key[1] for key in keys]
    rows = await database.rows(WAITING, accounts, ids)
    return {(row["account_id"], row["id"]): _message(row) for row in rows}


async def record(database: Database, message: Message, result: Result, ended: Ended, now: datetime) -> bool:
    """Record the result and end the job, in one transaction; return False, having done nothing, when the lease was lost."""
    came = (result.status, result.attempts, result.error, result.sent_at)
    recorded = (message.account_id, message.id, *came, message.recipient)
    rows = await database.write(RECORD, recorded, msgspec.structs.astuple(ended), now, again=True)
    held: bool = rows[0][0]
    return held


async def put_in_mailbox(database: Database, letter: Letter) -> None:
    """Keep the letter; one with the same message id stays as it was."""
    await database.write(PUT_IN_MAILBOX, *msgspec.structs.astuple(letter), again=True)


async def letters(database: Database, limit: int) -> list[Letter]:
    """Return up to `limit` letters, newest first."""
    rows = await database.rows(f"{LETTER} ORDER BY received_at DESC, message_id DESC LIMIT $1", limit)
    return [Letter(**row) for row in rows]


async def letter(database: Database, message_id: str) -> Letter | None:
    """Return the letter, or None."""
    row = await database.row(f"{LETTER} WHERE message_id = $1", message_id)
    return Letter(**row) if row else None


async def about(database: Database, account_id: str, order_id: str) -> list[Sent]:
    """Return the messages about an order, oldest first."""
    rows = await database.rows(
        "SELECT template, facts, recipient, status, created_at, sent_at FROM messages WHERE account_id = $1 AND order_id = $2"
        " ORDER BY created_at, id",
        account_id,
        order_id,
    )
    return [_sent(dict(row)) for row in rows]


def _sent(row: dict[str, Any]) -> Sent:
    template, facts = Template(row.pop("template")), msgspec.json.decode(row.pop("facts"), type=Facts)
    return Sent(template, subject(template, facts), **row)


def _message(row: Record) -> Message:
    about: Any = EndpointFacts if row["template"] == Template.ENDPOINT else Facts | None
    return Message(
        account_id=row["account_id"],
        id=row["id"],
        template=Template(row["template"]),
        order_id=row["order_id"],
        recipient=_recipient(row),
        facts=msgspec.json.decode(row["facts"], type=about),
        sealed=row["sealed"],
        good_until=row["good_until"],
    )


def _recipient(row: Record) -> str:
    recipient: str = row["recipient"]
    return recipient if row["template"] in FOR_SELLERS else row["email"] or recipient
