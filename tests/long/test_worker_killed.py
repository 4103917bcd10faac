"""Two workers on one database under load, and one is killed: nothing is lost, and what it had in hand goes on within one lease."""

import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from purvey.server.app import SLOTS
from purvey.server.jobs.worker import LEASE
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from running import PURVEY, SECRET_KEY, process, until
from telling import append, receiving, set_callback, statuses

EVENTS = 9000
LISTINGS = 4


async def test_a_worker_killed_under_load_loses_nothing_and_repeats_only_what_it_had_in_hand(
    fresh_database: str, database: Database, tmp_path: Path
) -> None:
    settings = {
        "PURVEY_DATABASE_URL": fresh_database,
        "PURVEY_SECRET_KEY": SECRET_KEY,
        "PURVEY_ALLOW_PRIVATE_URLS": "1",
        "PURVEY_WEBHOOK_RATE": "0",
    }
    keyring = Keyring([SECRET_KEY])
    async with receiving() as receiver:
        for number in range(LISTINGS):
            await set_callback(database, keyring, f"{receiver.url}/{number}", listing=f"lst_{number}")
            events = [f"evt_{number}_{one:04}" for one in range(EVENTS // LISTINGS)]
            await append(database, *events, listing=f"lst_{number}", at=datetime.now(UTC) - timedelta(seconds=1))
        async with (
            process(*PURVEY, "worker", log=tmp_path / "killed.log", settings=settings) as killed,
            process(*PURVEY, "worker", log=tmp_path / "left.log", settings=settings) as left,
        ):
            # Both are at work, and there is more to do.
            await until(lambda: killed.lines("webhook.attempt") and left.lines("webhook.attempt"), "both work")
            await killed.end(signal.SIGKILL)
            killed_at = datetime.now(UTC)

            async def over() -> bool:
                return not await database.value("SELECT count(*) FROM deliveries WHERE status = 'waiting'")

            await until(over, "all is delivered")
    assert set((await statuses(database)).values()) == {"delivered"}
    assert await database.value("SELECT count(*) FROM jobs WHERE lane_id LIKE 'webhook:%'") == 0
    last: datetime = await database.value("SELECT max(finished_at) FROM deliveries")
    assert last - killed_at < LEASE + timedelta(seconds=30)
    came: Counter[str] = Counter()
    while not receiver.requests.empty():
        came[_event(receiver.requests.get_nowait().headers)] += 1
    assert len(came) == EVENTS
    assert came.total() - EVENTS <= SLOTS["webhook"]


def _event(headers: dict[str, str]) -> str:
    return next(value for name, value in headers.items() if name.lower() == "webhook-id")
