"""pgqueuer on PostgreSQL with aiohttp. Run with a number to queue so many, with none to work."""

import asyncio
import base64
import hmac
import os
import sys
import time
from datetime import timedelta

import aiohttp
import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

URL = os.environ["PEER_URL"]
BODY = os.environ["PEER_BODY"].encode()
SECRET = b"a secret that only measurements use"


async def queue(count: int) -> None:
    """Queue so many deliveries, in tables that are made first."""
    async with asyncpg.create_pool(os.environ["PEER_POSTGRES"]) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            await queries.enqueue(["deliver"] * len(numbers), [b"%d" % n for n in numbers], [0] * len(numbers))
        await pool.execute("ANALYZE")


async def work() -> None:
    """Sign and send what is queued."""
    pool = await asyncpg.create_pool(os.environ["PEER_POSTGRES"])
    pgq = PgQueuer(AsyncpgPoolDriver(pool))
    connector = aiohttp.TCPConnector(limit=64)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        @pgq.entrypoint("deliver")
        async def deliver(job: Job) -> None:
            number, at = int(job.payload or b""), int(time.time())
            signed = hmac.digest(SECRET, b"evt_%d.%d.%b" % (number, at, BODY), "sha256")
            headers = {
                "Content-Type": "application/json",
                "webhook-id": f"evt_{number}",
                "webhook-timestamp": str(at),
                "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
            }
            async with session.post(f"{URL}/{number % 4}", data=BODY, headers=headers, allow_redirects=False) as answer:
                await answer.read()

        await pgq.run(batch_size=32, max_concurrent_tasks=64, dequeue_timeout=timedelta(seconds=1))


if __name__ == "__main__":
    asyncio.run(queue(int(sys.argv[1])) if len(sys.argv) > 1 else work())
