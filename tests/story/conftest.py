"""Stories are told through HTTP: a real server on a real database, with a clock that stands still until it is moved."""

from collections.abc import AsyncIterator

import pytest

from calling import SellersServer, sellers_server
from fakes import FakeClock
from market import Market, open_market, running_shop
from purvey.server.kit.database import Database
from served import Shop


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told to."""
    return FakeClock()


@pytest.fixture
async def shop(database: Database, clock: FakeClock) -> AsyncIterator[Shop]:
    """A running server with one seller; nothing that is queued gets done."""
    async with running_shop(database, clock) as (opened, _):
        yield opened


@pytest.fixture
async def market(database: Database, clock: FakeClock) -> AsyncIterator[Market]:
    """A running server with its worker, a receiver of webhooks and a mail server."""
    async with open_market(database, clock) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[SellersServer]:
    """A seller's server, for dynamic orders to call."""
    async with sellers_server() as running:
        yield running
