"""All SQL of refunds that reads. They are written by the SQL function `refunds_note`, with the change of their order."""

from purvey.server.kit.database import Database, Record
from purvey.server.payments.model import RefundNote, RefundReport
from purvey.server.refunds.model import Refund

ORDER_OF = """
SELECT account_id, order_id FROM refunds
WHERE id = $1 OR (provider = $2 AND (reference = $3 OR payment_reference = $4)) LIMIT 1
"""


async def of_order(database: Database, account_id: str, order_id: str) -> list[Refund]:
    """Return the refunds of an order, oldest first."""
    rows = await database.rows(
        "SELECT * FROM refunds WHERE account_id = $1 AND order_id = $2 ORDER BY requested_at, id", account_id, order_id
    )
    return [_refund(row) for row in rows]


async def by_keys(database: Database, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Refund]:
    """Return the refunds with these (account, refund) ids, by the same."""
    rows = await database.rows(
        "SELECT refunds.* FROM refunds JOIN unnest($1::text[], $2::text[]) AS wanted (account_id, id) USING (account_id, id)",
        [account_id for account_id, _ in keys],
        [refund_id for _, refund_id in keys],
    )
    return {(row["account_id"], row["id"]): _refund(row) for row in rows}


async def order_of(database: Database, report: RefundReport) -> tuple[str, str] | None:
    """Return the account and the order of the refund that is reported, or of another one of the same payment."""
    row = await database.row(ORDER_OF, report.refund_id, report.provider, report.reference, report.payment_reference)
    return (row["account_id"], row["order_id"]) if row else None


async def order_of_payment(database: Database, provider: str, reference: str) -> tuple[str, str] | None:
    """Return the account and the order of a payment that has refunds."""
    row = await database.row(
        "SELECT account_id, order_id FROM refunds WHERE provider = $1 AND payment_reference = $2 LIMIT 1",
        provider,
        reference,
    )
    return (row["account_id"], row["order_id"]) if row else None


def _refund(row: Record) -> Refund:
    fields = dict(row)
    requested_at, ended_at = fields.pop("requested_at"), fields.pop("ended_at")
    return Refund(note=RefundNote(**fields), requested_at=requested_at, ended_at=ended_at)
