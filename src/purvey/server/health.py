"""Whether the process lives, and whether it can work."""

from typing import Literal

import msgspec
from litestar import Response, get
from litestar.openapi import ResponseSpec

from purvey.server.kit.database import Database
from purvey.server.kit.migrations import Migration, NewerSchemaError, check
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.web import Given, json_bytes


class Health:
    """Knows what ready means: the database answers, and its schema is this program's."""

    def __init__(self, database: Database, migrations: list[Migration]) -> None:
        self._database = database
        self._migrations = migrations
        self._phase: Literal["serving", "stopping"] = "serving"

    def stop(self) -> None:
        """Say from now on that this process takes nothing new."""
        self._phase = "stopping"

    async def complaints(self) -> list[str]:
        """Return what is in the way of working; nothing means ready."""
        if self._phase == "stopping":
            return ["this process is stopping"]
        try:
            async with self._database.transaction() as connection:
                pending = await check(connection, self._migrations)
        except Unavailable as error:
            return [f"database: {error.detail}"]
        except NewerSchemaError as error:
            return [f"schema: {error}"]
        return [f"schema: migration {name} has not run" for name in pending]


class HealthOut(msgspec.Struct, frozen=True):
    """`ok`, or `unavailable` with what is in the way."""

    status: str
    complaints: list[str]


@get("/healthz", tags=["Running"])
async def healthz() -> HealthOut:
    """Say that the process lives."""
    return HealthOut("ok", [])


READY = {
    200: ResponseSpec(HealthOut, description="OK", generate_examples=False),
    503: ResponseSpec(HealthOut, description="Not ready; `complaints` says why.", generate_examples=False),
}


@get("/readyz", tags=["Running"], responses=READY)
async def readyz(health: Given[Health]) -> Response[bytes]:
    """Say whether the database answers and its schema fits; 503 if not."""
    complaints = await health.complaints()
    state = HealthOut("unavailable" if complaints else "ok", complaints)
    return json_bytes(msgspec.json.encode(state), 503 if complaints else 200)


routes = [healthz, readyz]
