"""What an act is: one thing that somebody does, which a death may cut short anywhere, and which is then tried again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crash.stage import Scene

Telling = Callable[[Scene], Awaitable[None]]


async def nothing(_: Scene) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Act:
    """One thing that somebody does.

    name: says it in a few words, and is the name of its test.
    of: the actions that it exercises, as `room.module.function` or `room.module.Class.method`; each must come by.
    scene: makes what must be there before, on the parent's own connection.
    deed: does it, while the worker is at rest; afterwards the worker does what was queued. Nothing: the worker's jobs are the act.
    again: what the same person does who does not know what came of it; the same once more unless told otherwise.
    hear: what sellers do with the webhooks that came, whenever the worker pauses.
    known: holds what the outside was told against what the database says.
    checks: queries that say true in the end, about the account $1; what must hold after every act is in `checks.INVARIANTS`.
    parts: into how many tests its steps are dealt out.
    payments: the provider of new payments.
    """

    name: str
    of: tuple[str, ...]
    deed: Telling = nothing
    scene: Telling = nothing
    again: Telling | None = None
    hear: Telling = nothing
    known: Telling = nothing
    checks: Mapping[str, str] = field(default_factory=dict)
    parts: int = 1
    payments: str = "sandbox"


def asks(method: str, path: str, *statuses: int, **options: Any) -> Telling:
    """Return what sends one request as the seller: `asks("POST", "/v1/listings/{listing}/publish", 200)`.

    `key=None` sends it as a buyer. `headers={"Idempotency-Key": "..."}` makes the second try the same as the first.
    """

    async def ask(scene: Scene) -> None:
        await scene.ask(method, path, statuses or (200,), **options)

    return ask


def unless_known(deed: Telling) -> Telling:
    """Return what is done again by who got no answer, and by nobody else: doing it twice would have two effects."""

    async def again(scene: Scene) -> None:
        if scene.lost:
            await deed(scene)

    return again


def in_turn(*tellings: Telling) -> Telling:
    """Return what does one after the other."""

    async def all_of_them(scene: Scene) -> None:
        for telling in tellings:
            await telling(scene)

    return all_of_them
