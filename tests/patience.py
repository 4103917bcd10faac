"""A test that hangs fails, and says where: better than a run that never ends."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

PATIENCE = 60.0
"""Real seconds after which a test that waits is taken to wait for ever; nothing is measured with it."""


def limit(items: Sequence[pytest.Item], folder: Path) -> None:
    """Give each asynchronous test below `folder` the time of our patience; a fixture could not: it runs in a task of its own."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and inspect.iscoroutinefunction(item.obj)
            and item.path.is_relative_to(folder)
        ):
            item.obj = patient(item.obj)


def patient(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return the test as one that is stopped when our patience ends."""

    @functools.wraps(test)
    async def run(*args: object, **options: object) -> None:
        async with asyncio.timeout(PATIENCE):
            await test(*args, **options)

    return run
