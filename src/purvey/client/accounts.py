"""Whose API key it is, and whether the server is there."""

from purvey.client.calls import Call
from purvey.client.methods import AsyncGroup, AsyncMethod, Group, Method
from purvey.client.objects import Account, Ping


def get_account() -> Call[Account]:
    """Return the account that the API key belongs to."""
    return Call("GET", "/v1/account", Account)


def ping() -> Call[Ping]:
    """Ask whether the server is there."""
    return Call("GET", "/v1/ping", Ping)


class Accounts(Group):
    """The account that the API key belongs to."""

    get = Method(get_account)


class AsyncAccounts(AsyncGroup):
    """The account that the API key belongs to."""

    get = AsyncMethod(get_account)
