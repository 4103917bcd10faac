"""Who is asking, and their own account."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from purvey.server.accounts import actions
from purvey.server.accounts.model import Account, AccountReadiness, Caller, ReadinessOf
from purvey.server.errors import AuthenticationError
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import SECURITY, Given, Group, identify, limits


class AccountShape(msgspec.Struct, kw_only=True):
    """An account: a seller."""

    object: Literal["account"] = "account"
    id: str
    email: str
    name: str
    currency: str
    created_at: datetime
    readiness: AccountReadiness


class Ping(msgspec.Struct, kw_only=True):
    """The server is there."""

    object: Literal["ping"] = "ping"
    status: Literal["ok"] = "ok"


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let only a caller with a live API key through, and not too often. A guard, so that it runs before the body is read."""
    tools: Tools = connection.app.state.tools
    try:
        caller = await actions.authenticate(tools, connection.headers.get("authorization"))
    except AuthenticationError:
        await limits.by_address(connection, _)
        raise
    await limits.count(connection, caller.key_id)
    connection.scope["user"] = caller
    identify(connection.scope, caller.account.id, caller.key_id)


def for_sellers(*handlers: HTTPRouteHandler) -> Group:
    """Return routes that need an API key, and whose handlers may take `account: Given[Account]` and `caller: Given[Caller]`."""
    return Group(handlers, guards=[require_key], security=SECURITY, asks={"account": _account, "caller": _caller})


def _caller(request: Request[Caller, Any, Any]) -> Caller:
    return request.user


def _account(request: Request[Caller, Any, Any]) -> Account:
    return request.user.account


@get("/v1/account", tags=["Account"])
async def get_account(account: Given[Account], readiness_of: Given[ReadinessOf]) -> AccountShape:
    """Return the account whose API key was sent, and what is still to be done before it can take money."""
    return AccountShape(
        id=account.id,
        email=account.email,
        name=account.name,
        currency=account.currency,
        created_at=account.created_at,
        readiness=await readiness_of(account.id),
    )


@get("/v1/ping", tags=["Account"])
async def ping() -> Ping:
    """Say that the server is there. Needs no API key."""
    return Ping()


routes = [for_sellers(get_account), ping]
