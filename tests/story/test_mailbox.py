"""The built-in mailbox through HTTP: for eyes, and for programs."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes import FakeClock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import make_app
from purvey.server.mail import store
from purvey.server.mail.model import Letter
from purvey.server.storefront import mailbox
from purvey.server.storefront.shop import Shop
from served import reserved_port, served

JSON = {"Accept": "application/json"}


@pytest.fixture
def tools(database: Database) -> Tools:
    """A server's tools, with a clock that stands still."""
    return Tools(database, FakeClock(), Ids(), Keyring(["a secret key of the tests, long enough"]), "http://127.0.0.1")


@pytest.fixture(params=[True])
async def browser(tools: Tools, request: pytest.FixtureRequest) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server whose mailbox is there, or not."""
    shop = Shop(test_mode=True, has_mailbox=request.param)
    app = make_app(mailbox.routes, ids=tools.ids, given={"tools": tools, "shop": shop})
    with reserved_port() as port:
        async with served(app, port) as url, aiohttp.ClientSession(url) as session:
            yield session


async def receive(tools: Tools, message_id: str = "msg_1", html: str = "<p>Here.</p>") -> None:
    letter = Letter(
        message_id=message_id,
        recipient="buyer@example.com",
        subject=f"Your <order> {message_id}",
        text="Here:\nhttps://shop.example/access/tOkEn\n",
        html=html,
        received_at=tools.clock.now(),
    )
    await store.put_in_mailbox(tools.database, letter)


async def test_a_program_lists_and_reads_mail_as_json(tools: Tools, browser: aiohttp.ClientSession) -> None:
    await receive(tools)
    async with browser.get("/mailbox", headers=JSON) as answer:
        listed = await answer.json()
    assert (answer.status, listed["object"]) == (200, "list")
    async with browser.get("/mailbox/msg_1", headers=JSON) as answer:
        letter = await answer.json()
    assert listed["data"] == [letter]
    assert letter["recipient"] == "buyer@example.com"
    assert "https://shop.example/access/tOkEn" in letter["text"]


async def test_a_person_sees_pages(tools: Tools, browser: aiohttp.ClientSession) -> None:
    await receive(tools)
    for path in ("/mailbox", "/mailbox/msg_1"):
        async with browser.get(path, headers={"Accept": "text/html,*/*;q=0.8"}) as answer:
            page = await answer.text()
        assert answer.content_type == "text/html"
        assert "Your &lt;order&gt; msg_1" in page
        assert answer.headers["Cache-Control"] == "private, no-store"


async def test_the_html_of_a_mail_runs_nothing_and_belongs_to_nobody(
    tools: Tools, browser: aiohttp.ClientSession
) -> None:
    await receive(tools, html="<script>alert(1)</script>")
    async with browser.get("/mailbox/msg_1/html") as answer:
        assert await answer.text() == "<script>alert(1)</script>"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize("path", ["/mailbox/msg_unknown", "/mailbox/msg_unknown/html"])
async def test_unknown_mail_is_not_found(browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(path, headers=JSON) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("browser", [False], indirect=True)
@pytest.mark.parametrize("path", ["/mailbox", "/mailbox/msg_1", "/mailbox/msg_1/html"])
async def test_there_is_no_mailbox_where_mail_goes_to_a_server(
    tools: Tools, browser: aiohttp.ClientSession, path: str
) -> None:
    await receive(tools)
    async with browser.get(path, headers=JSON) as answer:
        assert answer.status == 404
