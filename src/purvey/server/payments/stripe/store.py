"""All SQL of merchants, sessions and their payments."""

from datetime import datetime, timedelta

from purvey.server.kit.database import Database, Record
from purvey.server.payments.store import LANE
from purvey.server.payments.stripe.model import SessionRow, Standing, Whose

RECONCILE = "payments.stripe_reconcile"
"""The job that looks for what was missed; there is one of it."""

ADD_SESSION = """
WITH opened AS (
    INSERT INTO stripe_sessions (id, checkout_id, account_id, owner, stripe_account, opened_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
)
SELECT jobs_push(ARRAY[('job_stripe_reconcile', $7, $8, NULL, 'stripe', $9)::job_new], $6) FROM opened
WHERE NOT EXISTS (SELECT FROM jobs WHERE id = 'job_stripe_reconcile')
"""

_SESSION = "session.id, session.checkout_id, session.account_id, session.owner, session.stripe_account"


class MerchantRow:
    """One row of `stripe_merchants`, with what Stripe said last; keys are sealed."""

    def __init__(self, row: Record) -> None:
        self.account_id: str = row["account_id"]
        self.secret_key: bytes | None = row["secret_key"]
        self.webhook_secret: bytes | None = row["webhook_secret"]
        self.stripe_account: str | None = row["stripe_account"]
        self.fee_basis_points: int = row["fee_basis_points"]


async def merchant(database: Database, account_id: str) -> MerchantRow | None:
    """Return how an account takes payments, if it has a way of its own."""
    row = await database.row("SELECT * FROM stripe_merchants WHERE account_id = $1", account_id)
    return MerchantRow(row) if row else None


async def merchant_at(database: Database, stripe_account: str) -> MerchantRow | None:
    """Return the merchant that the installation's key acts for under this name at Stripe."""
    row = await database.row(
        "SELECT * FROM stripe_merchants WHERE stripe_account = $1 ORDER BY account_id LIMIT 1", stripe_account
    )
    return MerchantRow(row) if row else None


async def merchants(database: Database) -> list[MerchantRow]:
    """Return all accounts that have a way of their own to take payments."""
    return [MerchantRow(row) for row in await database.rows("SELECT * FROM stripe_merchants ORDER BY account_id")]


async def set_merchant(
    database: Database,
    account_id: str,
    secret_key: bytes | None,
    webhook_secret: bytes | None,
    stripe_account: str | None,
    fee_basis_points: int,
    now: datetime,
) -> None:
    """Set how an account takes payments."""
    await database.write(
        """
        INSERT INTO stripe_merchants (account_id, secret_key, webhook_secret, stripe_account, fee_basis_points, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (account_id) DO UPDATE SET
            secret_key = excluded.secret_key, webhook_secret = excluded.webhook_secret,
            stripe_account = excluded.stripe_account, fee_basis_points = excluded.fee_basis_points, updated_at = $6
        """,
        account_id,
        secret_key,
        webhook_secret,
        stripe_account,
        fee_basis_points,
        now,
        again=True,
    )


async def remove_merchant(database: Database, account_id: str) -> bool:
    """Let an account take payments by the installation's own key again; return whether it had another way."""
    rows = await database.write(
        "DELETE FROM stripe_merchants WHERE account_id = $1 RETURNING account_id", account_id, again=True
    )
    return bool(rows)


async def standing(database: Database, whose: Whose) -> Standing | None:
    """Return what Stripe said last of a merchant."""
    row = await database.row(
        "SELECT charges_enabled, due, disabled_reason FROM stripe_standings WHERE owner = $1 AND stripe_account = $2",
        whose.owner or "",
        whose.stripe_account or "",
    )
    if row is None:
        return None
    return Standing(
        charges_enabled=row["charges_enabled"], due=tuple(row["due"]), disabled_reason=row["disabled_reason"]
    )


async def set_standing(database: Database, whose: Whose, said: Standing, at: datetime) -> None:
    """Note what Stripe says of a merchant at `at`; what it said later stays."""
    await database.write(
        """
        INSERT INTO stripe_standings AS known (owner, stripe_account, charges_enabled, due, disabled_reason, told_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (owner, stripe_account) DO UPDATE SET
            charges_enabled = $3, due = $4, disabled_reason = $5, told_at = $6 WHERE known.told_at <= $6
        """,
        whose.owner or "",
        whose.stripe_account or "",
        said.charges_enabled,
        said.due,
        said.disabled_reason,
        at,
        again=True,
    )


async def reconciled_until(database: Database, whose: Whose) -> datetime | None:
    """Return until when a merchant's books were compared with ours."""
    found: datetime | None = await database.value(
        "SELECT until FROM stripe_reconciled WHERE owner = $1 AND stripe_account = $2",
        whose.owner or "",
        whose.stripe_account or "",
    )
    return found


async def set_reconciled(database: Database, whose: Whose, until: datetime) -> None:
    """Note until when a merchant's books were compared with ours."""
    await database.write(
        """
        INSERT INTO stripe_reconciled AS known (owner, stripe_account, until) VALUES ($1, $2, $3)
        ON CONFLICT (owner, stripe_account) DO UPDATE SET until = $3 WHERE known.until < $3
        """,
        whose.owner or "",
        whose.stripe_account or "",
        until,
        again=True,
    )


async def queue_reconciling(database: Database, now: datetime) -> None:
    """Queue the job that looks every hour for what was missed, unless it is there."""
    await database.write(
        "SELECT jobs_push(ARRAY[('job_stripe_reconcile', $1, $2, NULL, 'stripe', $3)::job_new], $3)"
        " WHERE NOT EXISTS (SELECT FROM jobs WHERE id = 'job_stripe_reconcile')",
        LANE,
        RECONCILE,
        now,
        again=True,
    )


async def add_session(database: Database, session: SessionRow, now: datetime) -> None:
    """Note a session that was opened. The first one of all brings the job that will look every hour for what was missed."""
    await database.write(
        ADD_SESSION,
        session.id,
        session.checkout_id,
        session.account_id,
        session.whose.owner,
        session.whose.stripe_account,
        now,
        LANE,
        RECONCILE,
        now + timedelta(hours=1),
        again=True,
    )


async def session(database: Database, session_id: str) -> SessionRow | None:
    """Return a session of ours by Stripe's id."""
    return _session(await database.row(f"SELECT {_SESSION} FROM stripe_sessions session WHERE id = $1", session_id))


async def session_of(database: Database, checkout_id: str) -> SessionRow | None:
    """Return the session of a checkout."""
    return _session(
        await database.row(f"SELECT {_SESSION} FROM stripe_sessions session WHERE checkout_id = $1", checkout_id)
    )


async def session_paid_by(database: Database, reference: str) -> SessionRow | None:
    """Return the session that a payment paid."""
    return _session(
        await database.row(
            f"SELECT {_SESSION} FROM stripe_sessions session JOIN stripe_payments ON session_id = session.id"
            " WHERE reference = $1",
            reference,
        )
    )


async def add_payment(database: Database, reference: str, session_id: str) -> None:
    """Note which session a payment paid."""
    await database.write(
        "INSERT INTO stripe_payments (reference, session_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        reference,
        session_id,
        again=True,
    )


def _session(row: Record | None) -> SessionRow | None:
    if row is None:
        return None
    return SessionRow(row["id"], row["checkout_id"], row["account_id"], Whose(row["owner"], row["stripe_account"]))
