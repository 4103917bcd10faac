"""What looks at the pages: a server that shows every state with the real headers, and Chromium in every size and colour."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

from litestar import Response, get
from litestar.params import FromPath
from playwright.async_api import Browser, BrowserContext, ViewportSize, async_playwright

from browser.states import MAILS, STATES
from purvey.server.kit.ids import Ids
from purvey.server.kit.web import make_app
from purvey.server.storefront import api
from purvey.server.storefront.answers import page
from served import reserved_port, served

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES: dict[str, ViewportSize] = {
    "desktop": ViewportSize(width=1280, height=800),
    "phone": ViewportSize(width=390, height=844),
}
_STATES = {state.name: state for state in STATES}
_MAILS = {mail.name: mail for mail in MAILS}
_MAIL_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@get("/states/{name:str}", include_in_schema=False)
async def show_state(name: FromPath[str]) -> Response[str]:
    """Show a page as the shop does."""
    return page(_STATES[name].make())


@get("/mails/{name:str}", include_in_schema=False)
async def show_mail(name: FromPath[str]) -> Response[str]:
    """Show a mail as a mail program does: with its own styles, and nothing from elsewhere."""
    return Response(_MAILS[name].make(), media_type="text/html", headers=_MAIL_POLICY)


@contextlib.asynccontextmanager
async def showroom() -> AsyncIterator[str]:
    """Serve every state at /states/NAME and every mail at /mails/NAME; yields the base URL."""
    app = make_app([show_state, show_mail, api.asset], ids=Ids(), given={})
    with reserved_port() as port:
        async with served(app, port) as url:
            yield url


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a headless Chromium."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        await launched.close()


async def opened(browser: Browser, size: str, **told: Any) -> BrowserContext:
    """Return a context of the given size; a phone has a touch screen."""
    return await browser.new_context(
        viewport=SIZES[size], has_touch=size == "phone", is_mobile=size == "phone", reduced_motion="reduce", **told
    )
