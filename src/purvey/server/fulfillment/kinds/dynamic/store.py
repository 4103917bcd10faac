"""All SQL of callbacks that is not part of an order's own transition."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from purvey.server.fulfillment.kinds.dynamic.model import Attempt, Callback, Destination, Due, Result
from purvey.server.jobs.model import Job
from purvey.server.jobs.model import Result as Ended
from purvey.server.kit.database import Database, Record
from purvey.server.orders.model import PaymentStatus, Status

JOB = "fulfillment.call"
"""The kind of the jobs that `callbacks_make` queues."""
LANES = "callback"
"""The kind of their lanes: one for each listing."""

DUE = """
SELECT callback.account_id, callback.order_id, callback.listing_id, callback.key, callback.body, callback.round,
       orders.status, orders.payment_status, url, secret, secret_before, secret_before_until, on_failure
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS job (account_id, ref, id, place)
LEFT JOIN callbacks callback
    ON callback.account_id = job.account_id AND callback.order_id = job.ref AND job_id = job.id AND callback.status = 'waiting'
LEFT JOIN orders ON orders.account_id = callback.account_id AND orders.id = callback.order_id
LEFT JOIN LATERAL listings_callback(callback.account_id, callback.listing_id) ON true
ORDER BY place
"""


async def due(database: Database, jobs: Sequence[Job]) -> list[Due | None]:
    """Return what each job is to call for; None where the callback is settled, or another job's."""
    rows = await database.rows(
        DUE, [job.account_id for job in jobs], [job.ref for job in jobs], [job.id for job in jobs]
    )
    return [_due(row) if row["order_id"] is not None else None for row in rows]


def _due(row: Record) -> Due:
    fields = dict(row)
    to = {name: fields.pop(name) for name in Destination.__struct_fields__}
    return Due(
        **fields
        | {
            "status": Status(fields["status"]),
            "payment_status": PaymentStatus(fields["payment_status"]),
            "to": Destination(**to) if to["on_failure"] else Destination(None, None),
        }
    )


async def destination(database: Database, account_id: str, listing_id: str) -> Destination:
    """Return where the listing's callback leads now; it has no URL if it is none of the account's."""
    row = await database.row("SELECT * FROM listings_callback($1, $2)", account_id, listing_id)
    return Destination(*row) if row else Destination(None, None)


async def record(database: Database, records: Sequence[tuple[Result, Ended]], now: datetime) -> set[str]:
    """Record attempts that change no order, and return the ids of the jobs that still held their lease."""
    rows = await database.write(
        "SELECT callbacks_record($1::callback_result[], $2::job_result[], $3) AS id",
        [msgspec.structs.astuple(result) for result, _ in records],
        [msgspec.structs.astuple(ended) for _, ended in records],
        now,
        again=True,
    )
    return {row["id"] for row in rows}


async def of_order(database: Database, account_id: str, order_id: str) -> Callback | None:
    """Return the order's callback, or None."""
    row = await database.row(
        "SELECT account_id, order_id, listing_id, key, body, round, status, attempts, created_at, finished_at"
        " FROM callbacks WHERE account_id = $1 AND order_id = $2",
        account_id,
        order_id,
    )
    return None if row is None else msgspec.convert(dict(row), Callback)


async def attempts(database: Database, account_id: str, order_id: str) -> list[Attempt]:
    """Return the attempts of the order's callback, the first one first."""
    rows = await database.rows(
        "SELECT number, started_at, duration_ms, status_code, stage, error, answer, address FROM callback_attempts"
        " WHERE account_id = $1 AND order_id = $2 ORDER BY number",
        account_id,
        order_id,
    )
    return [msgspec.convert(dict(row), Attempt) for row in rows]
