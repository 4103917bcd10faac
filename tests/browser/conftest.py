"""A real browser in front of a whole shop, and in front of every page in every state: one of each for the whole run."""

from collections.abc import AsyncIterator, Mapping

import pytest_asyncio
from playwright.async_api import Browser, Page

from browser.looking import SIZES, chromium, opened, showroom
from conftest import NewDatabase
from fakes import FakeClock
from market import Market, open_market
from purvey.server.kit.database import Database

everything = pytest_asyncio.fixture(scope="session", loop_scope="session")


@everything
async def shared_market(new_database: NewDatabase) -> AsyncIterator[Market]:
    """A running server with its worker, a receiver of webhooks and a mail server."""
    async with new_database() as url:
        database = await Database.open(url)
        async with open_market(database, FakeClock()) as market:
            yield market
        await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def market(shared_market: Market) -> Market:
    """The market, an hour later than in the test before: no limit on what one visitor may ask for is met."""
    shared_market.later(hours=1)
    return shared_market


@everything
async def showroom_url() -> AsyncIterator[str]:
    """Where every state of every page is shown."""
    async with showroom() as url:
        yield url


@everything
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with chromium() as launched:
        yield launched


@everything
async def windows(browser: Browser) -> AsyncIterator[Mapping[str, Page]]:
    """A page for each size, into which a test may bring a script of its own, whatever the page's policy says."""
    contexts = {size: await opened(browser, size, bypass_csp=True) for size in SIZES}
    yield {size: await context.new_page() for size, context in contexts.items()}
    for context in contexts.values():
        await context.close()
