"""What the documentation of the interface shows works as it stands: its receiver and its curl commands."""

import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from purvey.server.demo.browser import Browser, Page
from purvey.server.demo.processes import free_port
from running import SECRET_KEY, Serve, open_folder, process, run, serving, until

RECEIVER = Path(__file__).with_name("seed_receiver.py")

CREATE = """\
curl -X POST https://api.listbee.so/v1/listings \\
 -H "Authorization: Bearer lb_..." \\
 -H "Content-Type: application/json" \\
 -d '{
 "name": "Personal Horoscope Reading",
 "price": 500,
 "fulfillment": "external",
 "checkout_schema": [
 {
 "key": "birth_date",
 "type": "date",
 "label": "Your birth date",
 "required": true
 },
 {
 "key": "zodiac_focus",
 "type": "select",
 "label": "Reading focus",
 "required": false,
 "options": ["Career", "Love", "Health", "General"]
 }
 ]
 }'
"""
UPLOAD = """\
curl -X POST https://api.listbee.so/v1/files \\
 -H "Authorization: Bearer lb_..." \\
 -F "file=@generated-report.pdf"
"""
DELIVER_FILE = """\
curl -X POST https://api.listbee.so/v1/orders/ord_.../deliver \\
 -H "Authorization: Bearer lb_..." \\
 -H "Content-Type: application/json" \\
 -d '{"type": "file", "token": "file_..."}'
"""
DELIVER_URL = """\
curl -X POST https://api.listbee.so/v1/orders/ord_.../deliver \\
 -H "Authorization: Bearer lb_..." \\
 -H "Content-Type: application/json" \\
 -d '{"type": "url", "value": "https://generated-content.example.com/report"}'
"""
DELIVER_TEXT = """\
curl -X POST https://api.listbee.so/v1/orders/ord_.../deliver \\
 -H "Authorization: Bearer lb_..." \\
 -H "Content-Type: application/json" \\
 -d '{"type": "text", "value": "Your generated content here..."}'
"""

with_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


@pytest.fixture
async def server(folder: Path, fresh_database: str) -> AsyncIterator[Serve]:
    """A running `purvey serve` that may call receivers on this machine."""
    settings = {
        "PURVEY_DATABASE_URL": fresh_database,
        "PURVEY_SECRET_KEY": SECRET_KEY,
        "PURVEY_ALLOW_PRIVATE_URLS": "1",
    }
    async with serving(folder / "data", settings=settings) as running:
        yield running


async def buy(browser: Browser, url: str, **answers: str) -> Page:
    """Buy at a product page as a person would, with these answers, and return the page after the payment."""
    page = await browser.submit(await browser.open(url), buyer_email="grace@example.com", **answers)
    return await browser.submit(page, card="4242 4242 4242 4242")


async def until_shown(browser: Browser, url: str, text: str) -> Page:
    async def look() -> Page | None:
        page = await browser.open(url)
        return page if text in page.form.text else None

    shown: Page = await until(look, f"{url} shows {text!r}")
    return shown


async def test_the_documented_receiver_fulfils_an_order_df_2_to_df_9_df_15_to_df_18(
    server: Serve, folder: Path
) -> None:
    """DF-2..DF-4 the listing, DF-5..DF-9 the webhook and its signature, DF-10..DF-18 the delivery and what the buyer sees."""
    key = (await server.account())["api_key"]
    port = free_port()
    body = documented_body() | {"agent_callback_url": f"http://127.0.0.1:{port}/hook"}
    listing = await server.list_kit(key, **body)
    environment = {
        "RECEIVER_API_URL": server.url,
        "RECEIVER_API_KEY": key,
        "RECEIVER_WEBHOOK_SECRET": listing["signing_secret"],
    }
    assert listing["signing_secret"].startswith("whsec_")
    async with (
        process(
            sys.executable, str(RECEIVER), str(port), log=folder / "receiver.log", settings=environment
        ) as receiver,
        Browser() as browser,
    ):
        await receiver.until_said("Uvicorn running")
        answers = {"data.birth_date": "1990-05-15", "data.zodiac_focus": "Career"}
        page = await buy(browser, listing["url"], **answers)
        page = await until_shown(browser, page.url, "Your personalized career horoscope for 1990-05-15...")
        assert page.status == 200
        await receiver.until_said('"POST /hook HTTP/1.1" 200')
        # DF-4: the optional answer left out, the handler falls back on its own default.
        page = await buy(browser, listing["url"], **{"data.birth_date": "2001-12-31"})
        await until_shown(browser, page.url, "Your personalized general horoscope for 2001-12-31...")
    assert await told(server, key) == ["order.paid", "order.fulfilled"] * 2


async def test_a_receiver_with_another_secret_answers_400_and_nothing_is_fulfilled_df_9_df_19(
    server: Serve, folder: Path
) -> None:
    """DF-8, DF-9: the signature decides; DF-19: no order.fulfilled before the delivery."""
    key = (await server.account())["api_key"]
    port = free_port()
    body = documented_body() | {"agent_callback_url": f"http://127.0.0.1:{port}/hook"}
    listing = await server.list_kit(key, **body)
    environment = {
        "RECEIVER_API_URL": server.url,
        "RECEIVER_API_KEY": key,
        "RECEIVER_WEBHOOK_SECRET": "whsec_of_another_listing",
    }
    async with (
        process(
            sys.executable, str(RECEIVER), str(port), log=folder / "receiver.log", settings=environment
        ) as receiver,
        Browser() as browser,
    ):
        await receiver.until_said("Uvicorn running")
        await buy(browser, listing["url"], **{"data.birth_date": "1990-05-15"})
        await receiver.until_said('"POST /hook HTTP/1.1" 400')
        path = f"/v1/webhooks/{listing['callback_endpoint_id']}/deliveries"

        async def tried() -> Any:
            deliveries = (await server.ask("GET", path, key=key)).json["data"]
            return [each for each in deliveries if each["attempt_count"]]

        [delivery] = await until(tried, "the failed attempt is recorded")
    assert delivery["status"] == "waiting"
    assert await told(server, key) == ["order.paid"]


@with_curl
async def test_the_documented_curl_commands_list_and_deliver_df_1_df_2_df_10_to_df_17(server: Serve) -> None:
    """DF-1, DF-2, DF-20 create; DF-10..DF-13, DF-15 deliver; DF-17 a text is shown, a url redirects on access."""
    key = (await server.account())["api_key"]
    listing = await curl(CREATE, server.url, key)
    assert listing["checkout_schema"][1]["options"] == ["Career", "Love", "Health", "General"]
    published = await server.ask("POST", f"/v1/listings/{listing['id']}/publish", key=key)
    assert published.status == 200, published.text
    async with Browser() as browser:
        page = await buy(browser, published.json["url"], **{"data.birth_date": "1990-05-15"})
        order = await curl(DELIVER_TEXT, server.url, key, await newest_order(server, key))
        assert order["status"] == "fulfilled"
        await until_shown(browser, page.url, "Your generated content here...")
        page = await buy(browser, published.json["url"], **{"data.birth_date": "1990-05-15"})
        order = await curl(DELIVER_URL, server.url, key, await newest_order(server, key))
        assert order["status"] == "fulfilled"
        shown = await until_shown(browser, page.url, "generated-content.example.com")
    link = re.search(r'href="([^"]*/download/[^"]+)"', shown.html)
    assert link
    opened = await server.ask("GET", urljoin(shown.url, link[1]).removeprefix(server.url))
    assert (opened.status, opened.headers["Location"]) == (302, "https://generated-content.example.com/report")


@with_curl
async def test_a_file_made_for_one_order_is_sold_with_the_documented_curl_commands(server: Serve, folder: Path) -> None:
    """The listing, the upload and the delivery as documented; the buyer downloads what was made for this order (DF-14, DF-17)."""
    key = (await server.account())["api_key"]
    listing = await curl(CREATE, server.url, key)
    published = await server.ask("POST", f"/v1/listings/{listing['id']}/publish", key=key)
    report = b"%PDF-1.4\n% made for one order\n%%EOF\n"
    (folder / "generated-report.pdf").write_bytes(report)
    async with Browser() as browser:
        page = await buy(browser, published.json["url"], **{"data.birth_date": "1990-05-15"})
        token = (await curl(f"cd {folder} && {UPLOAD}", server.url, key))["id"]
        order = await curl(DELIVER_FILE.replace("file_...", token), server.url, key, await newest_order(server, key))
        assert order["status"] == "fulfilled"
        shown = await until_shown(browser, page.url, "generated-report.pdf")
    assert await download(server, shown) == report


async def download(server: Serve, page: Page) -> bytes:
    """Follow the one download link of an access page, and return what came."""
    link = re.search(r'href="([^"]*/download/[^"]+)"', page.html)
    assert link
    async with server.session.get(urljoin(page.url, link[1])) as answer:
        assert answer.status == 200
        return await answer.read()


def documented_body() -> dict[str, Any]:
    """Return the JSON body of the documented command that creates the listing."""
    body: dict[str, Any] = json.loads(CREATE[CREATE.index("{") : CREATE.rindex("}") + 1])
    return body


async def curl(command: str, url: str, key: str, order_id: str = "") -> dict[str, Any]:
    """Run a documented command as it stands, host, key and order id aside, and return the object that came back."""
    real = command.replace("https://api.listbee.so", url).replace("lb_...", key).replace("ord_...", order_id)
    ended = await run("bash", "-c", real)
    assert ended.status == 0, ended.errors
    answer: dict[str, Any] = json.loads(ended.output)
    return answer


async def newest_order(server: Serve, key: str) -> str:
    """Return the id of the order that was paid last, from its event."""
    events = (await server.ask("GET", "/v1/events?type=order.paid&order=desc&limit=1", key=key)).json["data"]
    order_id: str = events[0]["order_id"]
    return order_id


async def told(server: Serve, key: str) -> list[str]:
    """Return the types of all events, oldest first."""
    return [event["type"] for event in (await server.ask("GET", "/v1/events", key=key)).json["data"]]
