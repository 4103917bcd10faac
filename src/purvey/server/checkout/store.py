"""All SQL of checkouts. They are marked as paid by the SQL function `checkouts_pay`, in the transaction that makes the order."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.checkout.model import Checkout
from purvey.server.kit.database import Database, Record
from purvey.server.orders.model import Promise
from purvey.server.orders.wire import DeliverableFacts

JOB = "checkout.confirm_free"
LANE = "checkout"

# What is limited is taken in the very statement that stores the checkout; where nothing is left, nothing is stored.
INSERT = """
INSERT INTO checkouts (id, account_id, listing_id, status, payment_url, buyer_email, checkout_data, amount, currency,
                       content_type, deliverables, listing, seller, grant_after, grant_downloads, limited, created_at, expires_at,
                       promise, description)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19::json, $20
WHERE NOT $16 OR stock_hold($2, $3, $1, $18, $17)
RETURNING id
"""

INSERT_FREE = f"""
WITH stored AS ({INSERT}, account_id)
SELECT jobs_push(ARRAY[(derived_id('job_', 'free:' || id), $21, $22, account_id, id, $23)::job_new], $17) FROM stored
"""


def _checkout(record: Record) -> Checkout:
    fields = dict(record)
    fields["deliverables"] = tuple(msgspec.json.decode(fields["deliverables"], type=list[DeliverableFacts]))
    fields["promise"] = msgspec.json.decode(fields["promise"], type=Promise) if fields["promise"] else None
    return Checkout(**fields)


async def insert(database: Database, checkout: Checkout) -> bool:
    """Store a new checkout, and hold for it what is limited; return False, having done nothing, when none is left."""
    return bool(await database.write(INSERT, *_values(checkout)))


async def insert_free(database: Database, checkout: Checkout, check_at: datetime) -> bool:
    """Store a new checkout that costs nothing, with a job that makes sure of its order, in one transaction.

    Returns False, having done nothing, when none is left.
    """
    return bool(await database.write(INSERT_FREE, *_values(checkout), LANE, JOB, check_at))


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
        checkout.limited,
        checkout.created_at,
        checkout.expires_at,
        checkout.promise,
        checkout.description,
    )


async def by_ids(database: Database, ids: Sequence[str]) -> dict[str, Checkout]:
    """Return the checkouts with these ids, by id."""
    rows = await database.rows("SELECT * FROM checkouts WHERE id = ANY($1)", ids)
    return {row["id"]: _checkout(row) for row in rows}
