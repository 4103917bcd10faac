"""Stories are told through HTTP: a real server on a real database, with a clock that stands still until it is moved."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from fakes import FakeClock
from purvey.server.accounts import actions as accounts
from purvey.server.accounts import api as accounts_api
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import make_app
from purvey.server.listings import api as listings_api
from served import Shop, reserved_port, served

SECRET_KEY = "a secret key of the tests, long enough"


def build(tools: Tools) -> Any:
    """Put the application together from the rooms' routes."""
    return make_app([*accounts_api.routes, *listings_api.routes], ids=tools.ids, given={"tools": tools})


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told to."""
    return FakeClock()


@pytest.fixture
async def shop(database: Database, clock: FakeClock) -> AsyncIterator[Shop]:
    """A running server with one seller."""
    with reserved_port() as port:
        ids = Ids()
        tools = Tools(database, clock, ids, Keyring([SECRET_KEY]), f"http://127.0.0.1:{port}")
        account, key = await accounts.create_account(tools, "seller@example.com", "The Shop")
        async with served(build(tools), port) as url, aiohttp.ClientSession() as session:
            yield Shop(url=url, session=session, tools=tools, clock=clock, account=account, key=key)
