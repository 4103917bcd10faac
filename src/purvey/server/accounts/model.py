"""Who sells, and what they show to prove it."""

from datetime import datetime

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A seller. `currency` is what a listing gets that names none."""

    id: str
    email: str
    name: str
    currency: str
    created_at: datetime


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of an account. The key itself is nowhere: `preview` is its last four characters."""

    id: str
    name: str
    preview: str
    created_at: datetime
    revoked_at: datetime | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: an account, and the key that it used."""

    account: Account
    key_id: str
