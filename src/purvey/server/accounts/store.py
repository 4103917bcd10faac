"""All SQL of the room."""

from datetime import datetime

import msgspec

from purvey.server.accounts.model import Account, ApiKey, Caller
from purvey.server.kit.database import Database, Record

_ACCOUNT = "account.id, account.email, account.name, account.currency, account.created_at"
_KEY = "id, name, preview, created_at, revoked_at"


async def make_account(database: Database, account: Account, key: ApiKey, key_hash: bytes) -> bool:
    """Write an account with its first key; return False, having written nothing, if the e-mail address is taken."""
    rows = await database.write(
        """
        WITH made AS (
            INSERT INTO accounts (id, email, name, currency, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (lower(email)) DO NOTHING RETURNING id
        )
        INSERT INTO api_keys (id, account_id, name, hash, preview, created_at)
        SELECT $6, made.id, $7, $8, $9, $5 FROM made RETURNING id
        """,
        account.id,
        account.email,
        account.name,
        account.currency,
        account.created_at,
        key.id,
        key.name,
        key_hash,
        key.preview,
    )
    return bool(rows)


async def id_of(database: Database, email: str) -> str | None:
    """Return the id of the account with this e-mail address, or None."""
    found: str | None = await database.value("SELECT id FROM accounts WHERE lower(email) = lower($1)", email)
    return found


async def make_key(database: Database, account_id: str, key: ApiKey, key_hash: bytes) -> bool:
    """Write a key; return False if there is no such account."""
    rows = await database.write(
        """
        INSERT INTO api_keys (id, account_id, name, hash, preview, created_at)
        SELECT $2, accounts.id, $3, $4, $5, $6 FROM accounts WHERE accounts.id = $1 RETURNING id
        """,
        account_id,
        key.id,
        key.name,
        key_hash,
        key.preview,
        key.created_at,
    )
    return bool(rows)


async def keys_of(database: Database, account_id: str) -> list[ApiKey]:
    """Return the account's keys, the newest first."""
    rows = await database.rows(
        f"SELECT {_KEY} FROM api_keys WHERE account_id = $1 ORDER BY created_at DESC, id DESC", account_id
    )
    return [msgspec.convert(dict(row), ApiKey) for row in rows]


async def revoke_key(database: Database, account_id: str, key_id: str, now: datetime) -> ApiKey | None:
    """Revoke a key, once; return it, or None if the account has no such key."""
    rows = await database.write(
        f"""
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE account_id = $1 AND id = $2 RETURNING {_KEY}
        """,
        account_id,
        key_id,
        now,
        again=True,
    )
    return msgspec.convert(dict(rows[0]), ApiKey) if rows else None


async def caller(database: Database, key_hash: bytes) -> Caller | None:
    """Return whose key has this hash, unless it was revoked."""
    row = await database.row(
        f"""
        SELECT key.id AS key_id, {_ACCOUNT} FROM api_keys AS key JOIN accounts AS account ON account.id = key.account_id
        WHERE key.hash = $1 AND key.revoked_at IS NULL
        """,
        key_hash,
    )
    return Caller(account=_account(row), key_id=row["key_id"]) if row else None


async def account(database: Database, account_id: str) -> Account | None:
    """Return the account, or None."""
    row = await database.row(f"SELECT {_ACCOUNT} FROM accounts AS account WHERE id = $1", account_id)
    return _account(row) if row else None


def _account(row: Record) -> Account:
    return Account(
        id=row["id"], email=row["email"], name=row["name"], currency=row["currency"], created_at=row["created_at"]
    )
