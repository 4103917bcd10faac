"""Events, endpoints and a receiver, for tests of webhooks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from fakes import START
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from queueing import PATIENCE

ACCOUNT = "acc_1"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def set_callback(
    database: Database,
    keyring: Keyring,
    url: str | None,
    *,
    account: str = ACCOUNT,
    listing: str = "lst_1",
    secret: str = SECRET,
    at: datetime = START,
) -> str | None:
    """Set or (with None) remove the listing's callback; the endpoint's id is `whk_` and the listing's."""
    rows = await database.write(
        "SELECT webhooks_callback_set($1, $2, $3, $4, $5, $6) AS id",
        account,
        listing,
        f"whk_{listing}",
        url,
        keyring.seal(secret),
        at,
    )
    found: str | None = rows[0]["id"]
    return found


async def add_endpoint(
    database: Database,
    keyring: Keyring,
    endpoint_id: str,
    url: str,
    *,
    account: str = ACCOUNT,
    events: tuple[str, ...] = (),
    listing: str | None = None,
) -> None:
    """Make an endpoint of the account's own."""
    await database.write(
        """
        INSERT INTO endpoints (account_id, id, kind, listing_id, name, url, lane_id, events, secret, created_at, updated_at)
        VALUES ($1, $2, 'account', $3, $2, $4, webhooks_lane($1, $4, $7), $5, $6, $7, $7)
        """,
        account,
        endpoint_id,
        listing,
        url,
        list(events),
        keyring.seal(SECRET),
        START,
    )


async def append(
    database: Database,
    *events: str,
    kind: str = "order.paid",
    account: str = ACCOUNT,
    listing: str = "lst_1",
    at: datetime = START,
) -> None:
    """Append one event for each id, each of an order of its own."""
    rows = [(account, event, kind, listing, f"ord_{event}", f'{{"order_id":"ord_{event}"}}') for event in events]
    await database.write("SELECT events_append($1::event_new[], $2)", rows, at)


async def deliveries(database: Database, **only: str) -> list[dict[str, Any]]:
    """Return the rows of deliveries, oldest event first; `only` holds column values they must have."""
    rows = await database.rows("SELECT * FROM deliveries ORDER BY event_sequence, endpoint_id")
    return [dict(row) for row in rows if all(row[column] == value for column, value in only.items())]


async def statuses(database: Database) -> dict[str, str]:
    """Return the status of each delivery, by event and endpoint."""
    return {f"{row['event_id']} {row['endpoint_id']}": row["status"] for row in await deliveries(database)}


async def attempts(database: Database) -> list[dict[str, Any]]:
    """Return the rows of attempts, in the order they were made."""
    return [dict(row) for row in await database.rows("SELECT * FROM attempts ORDER BY started_at, number")]


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Received], web.Response]


class Receiver:
    """A seller's server on loopback. It answers 200, or as `answering` says; a `gate` that is shut holds every answer back."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Received] = asyncio.Queue()
        self.answering: Answering = lambda _: web.Response(text="thanks")
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = Received(request.path, dict(request.headers), await request.read())
        self.requests.put_nowait(received)
        await self.gate.wait()
        return self.answering(received)

    async def next(self) -> Received:
        """Return the next request, or fail when none comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.requests.get()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver on a free port of loopback."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"{site.name}".replace("localhost", "127.0.0.1")
    try:
        yield receiver
    finally:
        await runner.cleanup()
