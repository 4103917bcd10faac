"""A real browser in front of a whole shop: Chromium from the system, driven by Playwright."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from fakes import FakeClock
from market import Market, open_market
from purvey.server.kit.database import Database

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]


@pytest.fixture
async def market(database: Database) -> AsyncIterator[Market]:
    """A running server with its worker, a receiver of webhooks and a mail server."""
    async with open_market(database, FakeClock()) as opened:
        yield opened


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        await launched.close()
