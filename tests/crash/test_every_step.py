"""A server that dies at any step loses nothing and does nothing twice.

Two buyers buy a static and a generated listing; the seller's agent delivers when it hears of its order. First the story is told
without a death, to learn its steps. Then, for each step, the server kills itself there (SIGKILL), another one is started, and
everybody goes on: the buyer tries again, the receiver takes what comes. In the end every paid order must be fulfilled, with one
grant, one of each event, and no gap in the sequence.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import child
from conftest import NewDatabase
from makers import make_tools
from market import Outside, outside_world
from purvey.server.accounts import actions as accounts
from purvey.server.accounts.model import Account
from purvey.server.deliverables.rules import DeliverableIn
from purvey.server.kit.database import Database
from purvey.server.listings import actions as listings
from purvey.server.listings.wire import NewListing
from served import reserved_port

PATIENCE = 20.0
"""Real seconds after which a server that does not get on has failed."""
LEASE = 60.0
"""Seconds by which the next server's clock is ahead, so that no lease of the dead one still holds."""
processes = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def _preloaded() -> None:
    """Start the process that the servers are forked from; it has imported everything, so that a server starts at once."""
    processes.set_forkserver_preload(["child"])
    # It looks for the module where its environment says, and nowhere else.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        forkserver.ensure_running()


@dataclass
class Stage:
    """The world around the servers of one story."""

    database: Database
    database_url: str
    port: int
    outside: Outside
    account: Account
    key: str
    agent_url: str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Server:
    """A child process that serves; it reports its steps."""

    def __init__(self, stage: Stage, die_at: str | None, ahead: float) -> None:
        ours, theirs = processes.Pipe()
        self._pipe = ours
        told = child.Orders(stage.database_url, stage.port, stage.outside.smtp_url, die_at, ahead)
        self._process = processes.Process(target=child.run, args=(told, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._stage = stage
        self.ready = asyncio.Event()
        self.dead = asyncio.create_task(asyncio.to_thread(self._listen, asyncio.get_running_loop()))

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                heard = self._pipe.recv()
                if heard == "ready":
                    loop.call_soon_threadsafe(self.ready.set)
                else:
                    self._stage.steps.append(heard)
        self._process.join()

    async def until_ready(self) -> None:
        """Wait until it answers, or is dead."""
        ready = asyncio.create_task(self.ready.wait())
        await asyncio.wait({ready, self.dead}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def stop(self) -> None:
        """End it in peace, if it still lives."""
        with contextlib.suppress(OSError):
            self._pipe.send("stop")
        try:
            await asyncio.wait_for(asyncio.shield(self.dead), PATIENCE)
        except TimeoutError:
            self._process.kill()
            raise

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode


@contextlib.asynccontextmanager
async def open_stage(database: Database, database_url: str) -> AsyncIterator[Stage]:
    """Open the world: a seller with an agent, a mail server, a free port."""
    with reserved_port() as port:
        async with outside_world() as outside:
            account, key = await accounts.create_account(make_tools(database), "seller@example.com", "The Shop")
            stage = Stage(database, database_url, port, outside, account, key)
            async with agent(stage) as agent_url:
                stage.agent_url = agent_url
                yield stage


@contextlib.asynccontextmanager
async def agent(stage: Stage) -> AsyncIterator[str]:
    """Run the seller's agent: it delivers each generated order that it hears of, and asks again later if the server is away."""

    async def hear(request: web.Request) -> web.Response:
        event = await request.json()
        if event["type"] == "order.paid":
            body = {"type": "text", "value": f"made for {event['order_id']}"}
            if not await call(stage, "POST", f"/v1/orders/{event['order_id']}/deliver", body):
                return web.Response(status=503)
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", hear)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def call(stage: Stage, method: str, path: str, body: Any = None) -> Any:
    """Call the API; None when the server is not there or dies meanwhile."""
    headers = {"Authorization": f"Bearer {stage.key}"}
    with contextlib.suppress(aiohttp.ClientError):
        async with (
            aiohttp.ClientSession(stage.url, headers=headers) as session,
            session.request(method, path, json=body, allow_redirects=False) as answer,
        ):
            assert answer.status < 400 or answer.status == 503, await answer.text()
            return await answer.json(content_type=None) if answer.status < 300 else {}
    return None


@dataclass
class Wish:
    """What a buyer wants, and how far it has got: tried again from where it was lost."""

    listing: Any
    checkout: Any = None
    paid: Any = None

    async def pursue(self, stage: Stage) -> None:
        """Start the checkout and pay it, as far as the server is there."""
        if self.checkout is None:
            body = {"listing_id": self.listing.id, "buyer_email": "ada@example.com"}
            self.checkout = await call(stage, "POST", "/v1/checkouts", body)
        if self.checkout and self.paid is None:
            card = {"card": "4242424242424242"}
            self.paid = await call(stage, "POST", f"/sandbox/checkouts/{self.checkout['id']}/pay", card)
        if self.paid:
            await call(stage, "GET", f"/checkout/{self.checkout['id']}/return")


async def list_for_sale(stage: Stage) -> list[Any]:
    """Make the two listings, so that the steps are those of orders alone."""
    tools = make_tools(stage.database)
    text = DeliverableIn(type="text", value="the goods")
    made = [
        await listings.create(tools, stage.account, NewListing(name="Kit", price=900, deliverables=[text])),
        await listings.create(
            tools,
            stage.account,
            NewListing(name="Reading", price=500, content_type="generated", agent_callback_url=stage.agent_url),
        ),
    ]
    for listing in made:
        await listings.publish(tools, stage.account.id, listing.id)
    return made


async def tell(stage: Stage, die_at: str | None) -> bool:
    """Tell the story, with a death at `die_at`; return whether that step came by."""
    wishes = [Wish(listing) for listing in await list_for_sale(stage)]
    server = Server(stage, die_at, 0)
    await server.until_ready()
    await go_on(stage, wishes, server)
    died = server.dead.done()
    if died:
        assert server.exit_code == -signal.SIGKILL
        server = Server(stage, None, LEASE)
        await server.until_ready()
        await go_on(stage, wishes, server)
    await server.stop()
    return died


async def go_on(stage: Stage, wishes: list[Wish], server: Server) -> None:
    """Have every wish pursued, and wait until all is done or the server is dead."""
    for wish in wishes:
        await wish.pursue(stage)
    done = asyncio.create_task(until(lambda: finished(stage, len(wishes))))
    await asyncio.wait({done, server.dead}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    done.cancel()


async def until(condition: Callable[[], Any]) -> None:
    """Look again and again; what is waited for happens in another process, which has no signal to give."""
    while not await condition():  # noqa: ASYNC110  # no event reaches this process
        await asyncio.sleep(0.02)


async def finished(stage: Stage, orders: int) -> bool:
    """Return whether every order is fulfilled and nothing is left to do."""
    row = await stage.database.row(
        "SELECT (SELECT count(*) FROM orders WHERE status = 'fulfilled') AS fulfilled, (SELECT count(*) FROM jobs) AS jobs"
    )
    return row is not None and row["fulfilled"] == orders and row["jobs"] == 0


CHECKS = {
    "every payment has its order, fulfilled": """
        SELECT count(*) = 2 AND bool_and(orders.status = 'fulfilled') FROM sandbox_payments
        LEFT JOIN orders ON orders.payment_reference = sandbox_payments.reference""",
    "no order without a payment": "SELECT count(*) = 2 FROM orders",
    "one grant an order": "SELECT count(*) = 2 AND count(DISTINCT order_id) = 2 FROM grants",
    "one of each event an order": """
        SELECT bool_and(types = ARRAY['order.paid', 'order.fulfilled']) AND count(*) = 2
        FROM (SELECT array_agg(type ORDER BY sequence) AS types FROM events GROUP BY order_id) told""",
    "no gap in the sequence": "SELECT array_agg(sequence ORDER BY sequence) = ARRAY[1, 2, 3, 4]::bigint[] FROM events",
    "every delivery delivered": "SELECT count(*) = 2 AND bool_and(status = 'delivered') FROM deliveries",
    "every message sent": "SELECT count(*) = 3 AND bool_and(status = 'sent') FROM messages",
    "the history has every version": """
        SELECT bool_and(versions = version) FROM orders
        JOIN (SELECT order_id, count(*) AS versions FROM order_history GROUP BY order_id) h ON h.order_id = orders.id""",
    "every notice handled": "SELECT count(*) = 2 AND bool_and(outcome = 'handled') FROM notices",
    "nothing in flight": "SELECT count(*) = 0 FROM lanes WHERE in_flight <> 0",
}


async def check(stage: Stage) -> None:
    """Hold the database to what was promised."""
    broken = [what for what, sql in CHECKS.items() if not await stage.database.value(sql)]
    assert not broken, f"{broken}; the last steps were {stage.steps[-60:]}"


STEPS = [
    "after checkouts #1",
    "after checkouts #2",
    "after sandbox_payments #1",
    "after sandbox_payments #2",
    "before fulfillment_commit #1",
    "after fulfillment_commit #1",
    "after fulfillment_commit #2",
    "before fulfillment_commit #3",
    "after fulfillment_commit #3",
    "after notices #1",
    "after jobs_claim #1",
    "after jobs_claim #3",
    "after jobs_claim #5",
    "after jobs_claim #7",
    "after jobs_finish #1",
    "after jobs_finish #2",
    "before http #1",
    "after http #1",
    "before http #2",
    "after http #2",
    "after webhooks_record #1",
    "before mail #1",
    "after mail #1",
    "after mail #2",
    "before mail #3",
    "after mail #3",
    "after messages_record #1",
    "after messages_record #3",
]
"""Where the server dies. Between two of these nothing lasting happens."""
TELLINGS = 5
"""How often the story is told until a step comes by that does not in each telling: the redirect and the notice race."""


async def test_the_story_without_a_death(database: Database, fresh_database: str) -> None:
    async with open_stage(database, fresh_database) as stage:
        assert not await tell(stage, None)
        await check(stage)
        known = {step.rpartition(" ")[0].partition(" ")[2] for step in STEPS}
        assert {step.rpartition(" ")[0].partition(" ")[2] for step in stage.steps} - known <= NOTHING_LASTS


NOTHING_LASTS = {"pg_notify", "jobs_rescue", "jobs_renew"}
"""Statements that need no death of their own: a hint that may be lost, and what only other processes' deaths make happen."""


@pytest.mark.parametrize("step", STEPS)
async def test_a_death_at_any_step_loses_nothing(step: str, new_database: NewDatabase) -> None:
    for _ in range(TELLINGS):
        async with new_database() as url, opened(url) as database, open_stage(database, url) as stage:
            came = await tell(stage, step)
            await check(stage)
        if came:
            return
    raise AssertionError(f"{step} never came by")


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open a database for the test's own looks at it."""
    database = await Database.open(url, connections=2)
    yield database
    await database.close()
