"""All SQL of checkouts. They are marked as paid by the SQL function `checkouts_pay`, in the transaction that makes the order."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.checkout.model import Checkout
from purvey.server.kit.database import Database, Record
from purvey.server.orders.wire import DeliverableFacts

JOB = "checkout.confirm_free"
LANE = "checkout"

INSERT = """
INSERT INTO checkouts (id, account_id, listing_id, status, payment_url, buyer_email, checkout_data, amount, currency,
                       content_type, deliverables, listing, seller, grant_after, grant_downloads, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""

INSERT_FREE = f"""
WITH stored AS ({INSERT} RETURNING id, account_id)
SELECT jobs_push(ARRAY[(derived_id('job_', 'free:' || id), $18, $19, account_id, id, $20)::job_new], $16) FROM stored
"""


def _checkout(record: Record) -> Checkout:
    fields = dict(record)
    fields["deliverables"] = tuple(msgspec.json.decode(fields["deliverables"], type=list[DeliverableFacts]))
    return Checkout(**fields)


async def insert(database: Database, checkout: Checkout) -> None:
    """Store a new checkout."""
    await database.write(INSERT, *_values(checkout))


async def insert_free(database: Database, checkout: Checkout, check_at: datetime) -> None:
    """Store a new checkout that costs nothing, with a job that makes sure of its order, in one transaction."""
    await database.write(INSERT_FREE, *_values(checkout), LANE, JOB, check_at)


def _values(checkout: Checkout) -> tuple[object, ...]:
    return (
        checkout.id,
        checkout.account_id,
        checkout.listing_id,
        checkout.status,
        checkout.payment_url,
        checkout.buyer_email,
        checkout.checkout_data,
        checkout.amount,
        checkout.currency,
        checkout.content_type,
        checkout.deliverables,
        checkout.listing,
        checkout.seller,
        checkout.grant_after,
        checkout.grant_downloads,
        checkout.created_at,
        checkout.expires_at,
    )


async def by_ids(database: Database, ids: Sequence[str]) -> dict[str, Checkout]:
    """Return the checkouts with these ids, by id."""
    rows = await database.rows("SELECT * FROM checkouts WHERE id = ANY($1)", ids)
    return {row["id"]: _checkout(row) for row in rows}
