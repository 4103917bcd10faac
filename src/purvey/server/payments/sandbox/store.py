"""All SQL of the sandbox's books."""

from collections.abc import Sequence
from datetime import datetime

from purvey.server.kit.database import Database
from purvey.server.payments.model import Payment
from purvey.server.payments.store import LANE

JOB = "payments.sandbox_notice"

PAY = """
WITH paid AS (
    INSERT INTO sandbox_payments (reference, checkout_id, card, amount, currency, paid_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (checkout_id) DO NOTHING RETURNING reference
)
SELECT jobs_push(ARRAY[(derived_id('job_', 'sandbox:' || reference), $7, $8, NULL, reference, $6)::job_new], $6) FROM paid
"""

_PAYMENT = "'sandbox' AS provider, reference, checkout_id, amount, currency"


async def pay(database: Database, payment: Payment, card: str, now: datetime) -> None:
    """Book a payment and the job that reports it, in one transaction; a checkout is paid once."""
    await database.write(
        PAY, payment.reference, payment.checkout_id, card, payment.amount, payment.currency, now, LANE, JOB, again=True
    )


async def of_checkout(database: Database, checkout_id: str) -> Payment | None:
    """Return the payment of a checkout."""
    row = await database.row(f"SELECT {_PAYMENT} FROM sandbox_payments WHERE checkout_id = $1", checkout_id)
    return Payment(**row) if row else None


async def by_references(database: Database, references: Sequence[str]) -> dict[str, Payment]:
    """Return the payments with these references, by reference."""
    rows = await database.rows(f"SELECT {_PAYMENT} FROM sandbox_payments WHERE reference = ANY($1)", references)
    return {row["reference"]: Payment(**row) for row in rows}
