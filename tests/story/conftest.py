"""Stories are told through HTTP: a real server on a real database, with a clock that stands still until it is moved."""

from collections.abc import AsyncIterator

import pytest

from calling import SellersServer, sellers_server
from fakes import FakeClock
from makers import make_tools
from market import Market, open_market, running_shop
from purvey.server.kit.database import Database
from purvey.server.kit.tools import Tools
from served import Shop
from stripe_standin.server import Stripe


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
def tools(database: Database, clock: FakeClock) -> Tools:
    """What a server works with, without a server."""
    return make_tools(database, clock)


@pytest.fixture
def stripe() -> None:
    """No Stripe of the test's own: `PURVEY_PAYMENTS` decides. Modules about Stripe have one in its place."""


@pytest.fixture
async def market(database: Database, clock: FakeClock, stripe: Stripe | None) -> AsyncIterator[Market]:
    """A running server with its worker, a receiver of webhooks and a mail server."""
    async with open_market(database, clock, stripe) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[SellersServer]:
    """A seller's server, for dynamic orders to call."""
    async with sellers_server() as running:
        yield running
