"""Who sells, and what they show to prove it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

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


class AccountAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do before, or while, money is taken. `resolve` names the command, the setting or the page that does it."""

    code: str
    kind: Literal["human"] = "human"
    priority: Literal["required", "suggested"]
    message: str
    resolve: Mapping[str, str]


class AccountReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an account can take payments, by whom, and what to do about it. In `test` mode no card is charged."""

    can_take_payments: bool
    provider: str
    mode: Literal["test", "live"] | None
    actions: Sequence[AccountAction] = ()
    next: AccountAction | None = None


ReadinessOf = Callable[[str], Awaitable[AccountReadiness]]
"""Returns the readiness of an account, by its id: accounts know no payments themselves."""
