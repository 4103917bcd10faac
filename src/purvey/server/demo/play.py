"""The play: who does what, in which order, told as it happens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape

from purvey.server.demo.browser import Browser, Page
from purvey.server.demo.processes import (
    DemoError,
    create_account,
    folder,
    free_port,
    interruptible,
    process,
    until_answering,
)

WIDTH = 80
"""Columns of the narrowest terminal that shows each line whole; only a link may be longer."""
INDENT = " " * 13
CARD = "4242 4242 4242 4242"
PATIENCE = 60.0
"""Seconds that a buyer waits for the content."""

STATIC = {
    "name": "Star chart starter kit",
    "price": 900,
    "content_type": "static",
    "tagline": "Everything to draw your first chart",
    "deliverables": [
        {"type": "text", "value": "Your licence key: STAR-7H2K-QX4M"},
        {"type": "url", "value": "https://example.com/star-chart-kit"},
    ],
}
GENERATED = {
    "name": "Personal Horoscope Reading",
    "price": 500,
    "fulfillment": "external",
    "checkout_schema": [
        {"key": "birth_date", "type": "date", "label": "Your birth date", "required": True},
        {
            "key": "zodiac_focus",
            "type": "select",
            "label": "Reading focus",
            "required": False,
            "options": ["Career", "Love", "Health", "General"],
        },
    ],
}

DYNAMIC = {
    "name": "A night at the observatory",
    "price": 2900,
    "tagline": "Your pass, issued the moment you pay",
    "checkout_schema": [
        {
            "key": "telescope",
            "type": "select",
            "label": "Which telescope?",
            "options": ["The refractor", "The great mirror"],
        }
    ],
}


class Teller:
    """Prints each step with the seconds since the beginning, and what is being waited for."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._began = time.monotonic()

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[list[str]]:
        """Show `doing` while the body runs, then the step as done, and below it what the body has put into the list."""
        told: list[str] = []
        with self.console.status(doing):
            yield told
        self.say(f"[green]✓[/] [dim]{time.monotonic() - self._began:6.2f} s[/]  {doing}")
        for line in told:
            for part in wrap(line, WIDTH - len(INDENT), break_long_words=False, break_on_hyphens=False):
                self.say(f"{INDENT}[dim]{escape(part)}[/]")

    def head(self, title: str) -> None:
        """Begin a new part."""
        self.say(f"\n[bold]{title}[/]")

    def say(self, line: str) -> None:
        """Print a line, never broken: a link must stay one word for who copies it."""
        self.console.print(line, soft_wrap=True)


async def play(*, keep: bool) -> None:
    """Play it all; with `keep`, leave the stage standing until Ctrl-C.

    Raises DemoError if anything does not happen, or when SIGINT or SIGTERM ends it before; nothing is left behind either way.
    """
    teller = Teller()
    with interruptible(), folder() as stage:
        async with _server(teller, stage) as (url, account), _seller(url, account["api_key"]) as api:
            static = await _list_static(teller, api)
            agent_port = free_port()
            generated = await _list_generated(teller, api, agent_port)
            dynamic = await _list_dynamic(teller, api, agent_port)
            told = {
                "PORT": str(agent_port),
                "API_URL": url,
                "API_KEY": account["api_key"],
                "WEBHOOK_SECRET": generated["signing_secret"],
                "DYNAMIC_SECRET": dynamic["dynamic_webhook_secret"],
            }
            async with _agent(teller, stage, told):
                opened = [
                    await _buy(teller, static, "ada@example.com", wait_for="STAR-7H2K-QX4M"),
                    await _buy(
                        teller,
                        generated,
                        "grace@example.com",
                        wait_for="Your career this month",
                        **{"data.birth_date": "1990-05-15", "data.zodiac_focus": "Career"},
                    ),
                    await _buy(
                        teller,
                        dynamic,
                        "mary@example.com",
                        wait_for="Show PASS-",
                        **{"data.telescope": "The great mirror"},
                    ),
                ]
                await _tell_events(teller, api)
                await _tell_links(teller, api, url, opened)
                if keep:
                    await _stand(teller, account, stage)
                else:
                    teller.say("\nThe server stops now. To look around, run: purvey demo --keep")


@contextlib.asynccontextmanager
async def _server(teller: Teller, stage: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    teller.head("The server")
    port, data, log = free_port(), stage / "data", stage / "server.log"
    environment = {"PURVEY_ALLOW_PRIVATE_URLS": "1", "PURVEY_LOG_FORMAT": "json"}
    url = f"http://127.0.0.1:{port}"
    async with process(
        "purvey", "serve", "--port", str(port), "--data", str(data), log=log, environment=environment
    ) as child:
        with teller.step("purvey serve starts, with a PostgreSQL of its own") as told:
            await until_answering(f"{url}/readyz", child, log)
            told.append(url)
        with teller.step("purvey accounts create makes a seller and an API key"):
            account = await create_account(data, environment)
        yield url, account


@contextlib.asynccontextmanager
async def _seller(url: str, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {api_key}"}) as session:
        yield session


async def _call(api: aiohttp.ClientSession, method: str, path: str, body: object = None) -> dict[str, Any]:
    async with api.request(method, path, json=body) as answer:
        found: dict[str, Any] = await answer.json(content_type=None)
        if answer.status >= 400:
            raise DemoError(f"{method} {path} was refused: {found}")
        return found


async def _list_static(teller: Teller, api: aiohttp.ClientSession) -> dict[str, Any]:
    teller.head("The seller")
    with teller.step("lists a kit for $9.00, content attached (static)"):
        made = await _call(api, "POST", "/v1/listings", STATIC)
        return made | await _call(api, "POST", f"/v1/listings/{made['id']}/publish")


async def _list_generated(teller: Teller, api: aiohttp.ClientSession, agent_port: int) -> dict[str, Any]:
    with teller.step("lists a horoscope for $5.00, made for each order (generated)"):
        hook = f"http://127.0.0.1:{agent_port}/hook"
        made = await _call(api, "POST", "/v1/listings", GENERATED | {"agent_callback_url": hook})
        return await _call(api, "POST", f"/v1/listings/{made['id']}/publish") | {
            "signing_secret": made["signing_secret"]
        }


async def _list_dynamic(teller: Teller, api: aiohttp.ClientSession, agent_port: int) -> dict[str, Any]:
    with teller.step("lists a night for $29.00, answered by the agent at once (dynamic)"):
        address = f"http://127.0.0.1:{agent_port}/pass"
        made = await _call(api, "POST", "/v1/listings", DYNAMIC | {"dynamic_webhook": address})
        return made | await _call(api, "POST", f"/v1/listings/{made['id']}/publish")


@contextlib.asynccontextmanager
async def _agent(teller: Teller, stage: Path, told: dict[str, str]) -> AsyncIterator[None]:
    log = stage / "agent.log"
    async with process("purvey.server.demo.agent", log=log, environment=told) as child:
        with teller.step("starts an agent, a process of its own that waits for orders"):
            await until_answering(f"http://127.0.0.1:{told['PORT']}/", child, log)
        yield


async def _buy(teller: Teller, listing: dict[str, Any], email: str, *, wait_for: str, **answers: str) -> str:
    """Buy a listing as a browser would, wait for the content, and return the access page's address."""
    teller.head(f"{email} buys “{listing['name']}”")
    async with Browser() as browser:
        with teller.step("opens the product page"):
            page = await browser.open(listing["url"])
        with teller.step("fills in the form"):
            page = await browser.submit(page, buyer_email=email, **answers)
        with teller.step("pays with a test card"):
            page = await browser.submit(page, card=CARD)
        with teller.step("sees the content") as told:
            page = await _until_shown(browser, page, wait_for)
            told += [page.url, next(line.strip() for line in page.form.text.splitlines() if wait_for in line)]
    return page.url


async def _until_shown(browser: Browser, page: Page, text: str) -> Page:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while text not in page.form.text:
                await asyncio.sleep(0.1)
                page = await browser.open(page.url)
            return page
    raise DemoError(f"{page.url} does not show {text!r} (status {page.status}).")


async def _tell_events(teller: Teller, api: aiohttp.ClientSession) -> None:
    teller.head("What happened, as the event log has it")
    for event in (await _call(api, "GET", "/v1/events"))["data"]:
        teller.say(f"  {event['sequence']}  {event['type']:15}  {event['order_id']}  [dim]{event['id']}[/]")


async def _tell_links(teller: Teller, api: aiohttp.ClientSession, url: str, opened: list[str]) -> None:
    orders = (await _call(api, "GET", "/v1/orders"))["data"]
    if [order["status"] for order in orders] != ["fulfilled"] * len(opened):
        raise DemoError(f"Not every order is fulfilled: {orders}")
    teller.head("All three orders are delivered")
    for page in opened:
        teller.say(f"  content  {page}")
    teller.say(f"  mail     {url}/mailbox\n  API      {url}/docs")


async def _stand(teller: Teller, account: dict[str, str], stage: Path) -> None:
    """Leave everything running until Ctrl-C."""
    teller.say(f"  API key  {account['api_key']}\n  logs     {stage}\n\nThe server goes on. Ctrl-C ends it.")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
