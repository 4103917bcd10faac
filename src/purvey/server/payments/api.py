"""Where providers send their notices."""

from typing import Any

from litestar import Request, post
from litestar.params import FromPath, FromQuery

from purvey.server.kit.web import Given, problems
from purvey.server.payments.inbox import Inbox


@post(
    "/payments/{provider:str}/notices",
    status_code=200,
    tags=["Payments"],
    security=[],
    responses=problems(_400="The provider did not sign this.", _404="No such provider is in use here."),
)
async def receive_notice(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    inbox: Given[Inbox],
    account: FromQuery[str | None] = None,
) -> dict[str, bool]:
    """Take a signed notice. 200 says that it is stored; the same notice again is thanked again and changes nothing.

    `account` is the id of the account whose own contract with the provider it comes from, if it has one.
    """
    await inbox.receive(provider, request.headers, await request.body(), account)
    return {"received": True}


routes = [receive_notice]
