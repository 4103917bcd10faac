"""All SQL of the sandbox's books."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.kit.database import Database
from purvey.server.payments.model import DisputeStatus, Payment, RefundReport, RefundRequest, Refused
from purvey.server.payments.sandbox.model import Booked, BookedRefund, Owed

JOB = "payments.sandbox_notice"

_PAYMENT = "'sandbox' AS provider, reference, checkout_id, amount, currency"

BOOKED = f"""
SELECT {_PAYMENT}, status AS dispute_status FROM sandbox_payments paid
LEFT JOIN (SELECT payment, status FROM sandbox_disputes) dispute ON payment = paid.reference WHERE paid.reference = $1
"""


async def pay(
    database: Database, payment: Payment, number: int, card: str, dispute: tuple[str, datetime] | None, now: datetime
) -> None:
    """Book a payment and the job that reports it, in one transaction; each `number` of a checkout is paid once.

    `dispute` is the reference and the instant of the dispute that follows by itself.
    """
    await database.write(
        "SELECT sandbox_pay($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        payment.reference,
        payment.checkout_id,
        number,
        card,
        payment.amount,
        payment.currency,
        *(dispute or (None, None)),
        now,
        again=True,
    )


async def of_checkout(database: Database, checkout_id: str) -> Payment | None:
    """Return the first payment of a checkout."""
    row = await database.row(
        f"SELECT {_PAYMENT} FROM sandbox_payments WHERE checkout_id = $1 ORDER BY number LIMIT 1", checkout_id
    )
    return Payment(**row) if row else None


async def payments_of(database: Database, checkout_id: str) -> int:
    """Return how many payments a checkout has."""
    return int(await database.value("SELECT count(*) FROM sandbox_payments WHERE checkout_id = $1", checkout_id))


async def refund(database: Database, reference: str, request: RefundRequest, now: datetime) -> RefundReport | Refused:
    """Book a refund that we ask for, once for each of our ids."""
    [row] = await database.write(
        "SELECT * FROM sandbox_refund($1, $2, $3, $4, $5, $6)",
        reference,
        request.id,
        request.payment_reference,
        request.amount,
        request.reason,
        now,
        again=True,
    )
    if row["refusal"]:
        return Refused(row["refusal"])
    return RefundReport(
        "sandbox", row["reference"], request.payment_reference, row["amount"], row["currency"], request.id
    )


async def refund_by_hand(
    database: Database, reference: str, payment: str, amount: int | None, now: datetime
) -> str | None:
    """Book a refund that nobody asked us for; return why there is none."""
    [row] = await database.write(
        "SELECT * FROM sandbox_refund($1, NULL, $2, $3, NULL, $4)", reference, payment, amount, now
    )
    refusal: str | None = row["refusal"]
    return refusal


async def dispute(database: Database, reference: str, payment: str, status: DisputeStatus, now: datetime) -> bool:
    """Open the dispute of a payment or move it on; return whether anything changed."""
    rows = await database.write("SELECT sandbox_dispute($1, $2, $3, $4)", reference, payment, status, now)
    return bool(rows[0][0])


async def booked(database: Database, reference: str) -> Booked | None:
    """Return a payment with all that became of it."""
    row = await database.row(BOOKED, reference)
    if row is None:
        return None
    fields = dict(row)
    disputed = fields.pop("dispute_status")
    refunds = await database.rows(
        "SELECT reference, amount, refunded_at FROM sandbox_refunds WHERE payment = $1 ORDER BY refunded_at, reference",
        reference,
    )
    return Booked(Payment(**fields), disputed, tuple(BookedRefund(**one) for one in refunds))


async def owed(database: Database, ids: Sequence[str]) -> dict[str, Owed]:
    """Return the notices with these ids, by id."""
    rows = await database.rows("SELECT id, type, said FROM sandbox_notices WHERE id = ANY($1)", ids)
    return {row["id"]: Owed(row["id"], row["type"], msgspec.Raw(row["said"])) for row in rows}
