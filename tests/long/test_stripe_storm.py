"""Two thousand notices in ten seconds, and the database is killed in the middle: what Stripe was thanked for is all there."""

import asyncio
import os
import signal
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from long.fair import passed
from market import stripe_settings
from purvey.server.kit.database import Database
from purvey.server.kit.embedded import EmbeddedPostgres
from running import Serve, open_folder, postmaster, serving
from stripe_standin.books import Object
from stripe_standin.server import PLATFORM, Stripe, open_stripe

NOTICES = 2000
WITHIN = 10.0
"""Seconds in which all of them are sent for the first time."""
AGAIN_AFTER = 1.0
"""Seconds after which a notice comes again that was not taken; Stripe itself waits longer each time, for three days."""
AWAY = 1.0
"""Seconds that nobody starts the database again."""
CALM = 20
"""How many notices come one at a time, before the storm."""
AT_ONCE = 50
"""Checkouts that are begun at once."""


@dataclass
class Storm:
    """Notices on their way to a server. `taken` has the milliseconds of each answer that thanked for one, by its id.

    `half` is set when half are taken, `away` by whoever has killed the database.
    """

    server: Serve
    stripe: Stripe
    taken: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    half: asyncio.Event = field(default_factory=asyncio.Event)
    away: asyncio.Event = field(default_factory=asyncio.Event)

    async def blow(self, events: list[Object], seconds: float) -> float:
        """Send all events evenly within some seconds, each until it is taken; return how long it took in all.

        The last quarter comes when the database has been killed, however quick the server is.
        """
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for number, event in enumerate(events):
                await passed(began + seconds * number / len(events) - asyncio.get_running_loop().time())
                if number == len(events) * 3 // 4:
                    await self.away.wait()
                group.create_task(self._insist(event, len(events) // 2))
        return asyncio.get_running_loop().time() - began

    async def _insist(self, event: Object, middle: int) -> None:
        while not await self.send(event):
            self.refused.append(event["id"])
            await passed(AGAIN_AFTER)
        if len(self.taken) >= middle:
            self.half.set()

    async def send(self, event: Object) -> bool:
        """Send a notice, signed anew, and return whether it was taken. A refusal must ask to come again."""
        body, signature = self.stripe.signed(event)
        began = time.perf_counter()
        try:
            async with self.server.session.post(
                f"{self.server.url}/payments/stripe/notices", data=body, headers={"Stripe-Signature": signature}
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return False
        assert answer.status in {200, 503}, f"{answer.status}: {text}"
        if answer.status == 200:
            self.taken[event["id"]] = (time.perf_counter() - began) * 1000
        return answer.status == 200

    def told(self, seconds: float) -> str:
        """Return what was measured, in a sentence."""
        answers = sorted(self.taken.values())
        cuts = statistics.quantiles(answers, n=100)
        return (
            f"{len(answers)} notices taken in {seconds:.1f} s ({len(answers) / seconds:.0f}/s); sent again: {len(self.refused)}; "
            f"answered in {cuts[49]:.0f} ms (median), {cuts[94]:.0f} (95 %), {cuts[98]:.0f} (99 %), {answers[-1]:.0f} (longest)"
        )


def busy(server: Serve) -> float:
    """Return how many seconds the server's own process has had of a processor so far."""
    used = psutil.Process(server.child.pid).cpu_times()
    return used.user + used.system


async def sold(server: Serve, stripe: Stripe, key: str, number: int) -> list[Object]:
    """Begin this many checkouts and let their buyers pay; return the notices that tell of it, none of which has been sent."""
    body = {"listing_id": (await server.list_kit(key))["id"], "buyer_email": "ada@example.com"}
    room = asyncio.Semaphore(AT_ONCE)

    async def begin() -> None:
        async with room:
            made = await server.ask("POST", "/v1/checkouts", body=body)
            assert made.status == 201, made.text

    await asyncio.gather(*[begin() for _ in range(number)])
    for session in stripe.books.all_of(PLATFORM, "checkout.session"):
        stripe.books.pay(session["id"])
    return stripe.events


async def restart(data: Path, away: asyncio.Event) -> str:
    """Kill the database as hard as can be, leave it dead for a moment, and start it again; return its URL."""
    os.kill(postmaster(data), signal.SIGKILL)
    away.set()
    await passed(AWAY)
    return await asyncio.to_thread(EmbeddedPostgres(data).start)


async def counted(url: str) -> dict[str, Any]:
    """Return the ids of the notices, and how many orders, checkouts with an order, and payments told there are."""
    database = await Database.open(url)
    row = await database.row(
        "SELECT array(SELECT id FROM notices WHERE outcome = 'handled') AS notices, (SELECT count(*) FROM orders) AS orders,"
        " (SELECT count(DISTINCT checkout_id) FROM orders) AS checkouts,"
        " (SELECT count(*) FROM events WHERE type = 'order.paid') AS told"
    )
    await database.close()
    assert row is not None
    return dict(row)


async def test_a_storm_of_notices_loses_none_while_the_database_is_killed(scale: float) -> None:
    number = max(100, int(NOTICES * scale))
    with open_folder() as folder:
        data = folder / "data"
        async with open_stripe(lambda: int(time.time())) as stripe:
            settings = {f"PURVEY_{name.upper()}": value for name, value in stripe_settings(stripe).items()}
            settings |= {"PURVEY_RATE_LIMITS": "off", "PURVEY_SMTP_URL": "smtp://127.0.0.1:9"}
            async with serving(data, settings=settings) as server:
                events = await sold(server, stripe, (await server.account())["api_key"], number)
                storm = Storm(server, stripe)

                async def kill() -> str:
                    await storm.half.wait()
                    return await restart(data, storm.away)

                killing = asyncio.create_task(kill())
                assert all([await storm.send(event) for event in events[:CALM]])
                alone, before = statistics.median(storm.taken.values()), busy(server)
                seconds = await storm.blow(events[CALM:], WITHIN * number / NOTICES)
                each = (busy(server) - before) / number * 1000
                measured = f"one at a time {alone:.0f} ms; {each:.1f} ms of the server's own time each"
                print(f"{storm.told(seconds)}; {measured}")  # noqa: T201  # pytest shows it when asked to (-rP)
                found = await counted(await killing)
                assert set(found.pop("notices")) == set(storm.taken) == {event["id"] for event in events}
                assert found == {"orders": number, "checkouts": number, "told": number}
                # The database was away, and was missed.
                assert storm.refused
                assert server.child.returncode is None
