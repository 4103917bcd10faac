"""`purvey listen`, `purvey events tail` and `purvey deliveries explain`, as processes of their own beside a server."""

import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from standardwebhooks import Webhook

from fakes import FakeClock
from makers import SECRET_KEY
from market import Market, Outside, expect, outside_world
from purvey.server.accounts import actions as accounts
from purvey.server.app import App, build
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.settings import Settings
from running import PURVEY, assert_told, open_folder, process, purvey, until
from served import Shop, reserved_port, served


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as found:
        yield found


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts in the present: the library that checks signatures looks at the machine's."""
    return FakeClock(datetime.now(UTC))


def seen_by(shop: Shop) -> dict[str, str]:
    return {"PURVEY_API_KEY": shop.key, "PURVEY_API_URL": shop.url}


def secret_in(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("Secret")).split()[1]


async def happen(shop: Shop, app: App, event: str, kind: str = "order.paid") -> None:
    """Append an event, and wake who waits for one."""
    row = (shop.account.id, event, kind, None, f"ord_{event}", f'{{"id":"ord_{event}"}}')
    await shop.tools.database.write("SELECT events_append($1::event_new[], $2)", [row], shop.clock.now())
    app.wake.poke()


async def test_listen_hands_events_to_a_local_program_across_a_restart_of_the_server(
    database: Database, clock: FakeClock, folder: Path
) -> None:
    with reserved_port() as port, tempfile.TemporaryDirectory() as files:
        settings = Settings(port=port, allow_private_urls=True, storage_url=Path(files).as_uri())
        first, second = (build(settings, database, clock, Keyring([SECRET_KEY])) for _ in range(2))
        account, key = await accounts.create_account(first.tools, "seller@example.com", "The Shop")
        async with outside_world() as outside, aiohttp.ClientSession() as session:
            shop = Shop(f"http://127.0.0.1:{port}", session, first.tools, clock, account, key)
            command = (*PURVEY, "listen", "--forward-to", outside.hook_url, "--events", "order.paid,order.refunded")
            async with process(*command, log=folder / "listen.log", settings=seen_by(shop)) as listening:
                async with served(first.web, port):
                    await happen(shop, first, "evt_before")
                    await listening.until_said("Secret")
                    await happen(shop, first, "evt_other", kind="order.fulfilled")
                    await happen(shop, first, "evt_one")
                    await comes(outside, secret_in(listening.said), "evt_one")
                    first.watch.stop()
                await happen(shop, first, "evt_two")
                outside.answers[:] = [500]
                await listening.until_said("Trying again")
                async with served(second.web, port):
                    await comes(outside, secret_in(listening.said), "evt_two")
                    await listening.until_said("evt_two  500")
                    assert await listening.end(signal.SIGINT) == 0
                    assert "Aborted" not in listening.said
                    second.watch.stop()
            assert outside.hooks.empty()
            assert "evt_one  200" in listening.said
        await first.close()
        await second.close()


async def comes(outside: Outside, secret: str, event: str) -> None:
    """The local program gets the event, signed."""
    hook = await outside.next_hook()
    assert Webhook(secret).verify(hook.body, dict(hook.headers))["id"] == event
    assert {name.lower() for name in hook.headers} >= {"x-listbee-event", "x-listbee-signature"}


async def test_tail_prints_what_happens_and_explain_says_what_holds_a_delivery(market: Market, folder: Path) -> None:
    listing = await market.generated()
    endpoint = listing["callback_endpoint_id"]
    tail = (*PURVEY, "events", "tail", "--json")
    async with process(*tail, log=folder / "tail.log", settings=seen_by(market.shop)) as tailing:
        await tailing.until_said("Following")
        market.outside.answers[:] = [503]
        await market.buy(listing)
        await market.outside.next_hook()
        found = expect(await market.shop.get(f"/v1/webhooks/{endpoint}/deliveries"), 200)["data"]
        await tailing.until_said(found[0]["event_id"])
    delivery = found[0]["id"]

    async def explained() -> str:
        told = await purvey("deliveries", "explain", delivery, settings=seen_by(market.shop))
        assert (told.status, told.errors) == (0, "")
        return told.output

    async def waits() -> bool:
        return "next_attempt" in await explained()

    await until(waits, "the first attempt is on record")
    assert "HTTP 503" in await explained()
    expect(await market.shop.patch(f"/v1/webhooks/{endpoint}", json={"enabled": False}), 200)
    assert "endpoint_disabled" in await explained()
    assert_told(await purvey("deliveries", "explain", "dlv_none", settings=seen_by(market.shop)), "dlv_none")
    assert_told(await purvey("deliveries", "explain", delivery), "PURVEY_API_KEY")
    unheard_of = ("listen", "--forward-to", "localhost:1", "--events", "order.paid,order.eaten")
    assert_told(await purvey(*unheard_of, settings=seen_by(market.shop)), "must be one of order.paid")


async def test_what_listen_signs_with_stays_the_same_and_is_the_account_s_own(market: Market) -> None:
    first, again = [expect(await market.shop.post("/v1/listen-sessions"), 201) for _ in range(2)]
    assert first == again
    other = expect(await market.shop.post("/v1/listen-sessions", key=await market.stranger()), 201)
    assert other["secret"] != first["secret"]
