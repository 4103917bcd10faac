"""Natural batching: nobody waits when idle, what arrives meanwhile goes together, and nobody pays for another's fault."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from purvey.server.kit.batching import Batcher
from purvey.server.kit.problem import Unavailable


class Poison(Exception):
    """What a bad command brings about."""


class Writer:
    """Runs batches when told to, refuses those with a bad command, and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.done: list[str] = []
        self.bad: dict[str, Exception] = {}
        self.arrived = asyncio.Semaphore(0)
        self.allowed = asyncio.Semaphore(0)

    def allow(self, batches: int = 1000) -> None:
        """Let the next `batches` pass."""
        for _ in range(batches):
            self.allowed.release()

    async def run(self, commands: Sequence[str]) -> list[str]:
        self.batches.append(list(commands))
        self.arrived.release()
        await self.allowed.acquire()
        for command in commands:
            if command in self.bad:
                raise self.bad[command]
        self.done.extend(commands)
        return [command.upper() for command in commands]


@pytest.fixture
async def writer() -> Writer:
    """A writer that has been given nothing yet."""
    return Writer()


def batcher(writer: Writer, **options: Any) -> Batcher[str, str]:
    """Return a batcher whose commands' key is their first character."""
    return Batcher(writer.run, key=lambda command: command[0], **options)


async def submitted(batcher: Batcher[str, str], *commands: str) -> "list[asyncio.Task[str]]":
    """Submit each command in a task of its own, and return when all have been."""
    tasks = []
    for command in commands:
        tasks.append(asyncio.create_task(batcher.submit(command)))
        await asyncio.sleep(0)
    return tasks


async def test_an_idle_system_runs_a_command_at_once_and_alone(writer: Writer) -> None:
    writer.allow()
    assert await batcher(writer).submit("a") == "A"
    assert writer.batches == [["a"]]


async def test_one_caller_after_another_never_waits_for_nothing(writer: Writer) -> None:
    writer.allow()
    gathered = batcher(writer)
    assert [await gathered.submit(command) for command in "abcabc"] == list("ABCABC")
    assert writer.batches == [[command] for command in "abcabc"]


async def test_what_arrives_while_a_batch_is_written_makes_up_the_next(writer: Writer) -> None:
    gathered = batcher(writer)
    tasks = await submitted(gathered, "a")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, "b", "c", "d")
    writer.allow()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D"]
    assert writer.batches == [["a"], ["b", "c", "d"]]


async def test_two_commands_with_one_key_never_share_a_batch_and_keep_their_order(writer: Writer) -> None:
    gathered = batcher(writer)
    tasks = await submitted(gathered, "z")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, "a1", "b1", "a2", "a3", "c1", "b2")
    writer.allow()
    await asyncio.gather(*tasks)
    assert writer.batches == [["z"], ["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]


async def test_a_batch_has_at_most_the_largest_number_of_commands(writer: Writer) -> None:
    gathered = batcher(writer, largest=3)
    tasks = await submitted(gathered, "z")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, *"abcdefgh")
    writer.allow()
    await asyncio.gather(*tasks)
    assert writer.batches == [["z"], ["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]


async def test_a_poisoned_command_in_a_batch_of_64_fails_alone(writer: Writer) -> None:
    gathered: Batcher[str, str] = Batcher(writer.run, key=lambda command: command)
    commands = [f"command {number}" for number in range(64)]
    writer.bad["command 17"] = Poison("bad row")
    tasks = await submitted(gathered, "first")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, *commands)
    writer.allow()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert writer.batches[1] == commands
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == [writer.bad["command 17"]]
    assert outcomes[18] is writer.bad["command 17"]
    assert writer.done == ["first", *(command for command in commands if command != "command 17")]


async def test_a_batcher_goes_on_after_a_failure(writer: Writer) -> None:
    writer.allow()
    writer.bad["a"] = Poison("bad row")
    gathered = batcher(writer)
    with pytest.raises(Poison, match="bad row"):
        await gathered.submit("a")
    assert await gathered.submit("b") == "B"


async def test_an_absent_database_fails_the_batch_whole_without_asking_again_for_each(writer: Writer) -> None:
    gathered = batcher(writer)
    tasks = await submitted(gathered, "z")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, *"abc")
    writer.bad["a"] = Unavailable("The database cannot be reached.")
    writer.allow()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, Unavailable, Unavailable, Unavailable]
    assert writer.batches == [["z"], ["a", "b", "c"]]


async def test_a_caller_who_goes_away_takes_no_one_along(writer: Writer) -> None:
    gathered = batcher(writer)
    tasks = await submitted(gathered, "a")
    await writer.arrived.acquire()
    tasks += await submitted(gathered, "b", "c", "d")
    tasks[0].cancel()
    tasks[2].cancel()
    writer.allow()
    assert await asyncio.gather(*tasks[1::2]) == ["B", "D"]
    assert "a" in writer.done
    assert tasks[0].cancelled()
    assert tasks[2].cancelled()


async def test_the_last_caller_of_a_batch_who_goes_away_does_not_stop_the_lane(writer: Writer) -> None:
    gathered = batcher(writer)
    [task] = await submitted(gathered, "a")
    await writer.arrived.acquire()
    task.cancel()
    writer.allow()
    assert await gathered.submit("b") == "B"


async def test_a_run_that_is_cut_short_leaves_nobody_waiting(writer: Writer) -> None:
    gathered = batcher(writer)
    tasks = await submitted(gathered, "a", "b")
    await writer.arrived.acquire()
    [drain] = gathered._drains
    drain.cancel()
    assert {type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)} == {asyncio.CancelledError}
    writer.allow()
    assert await gathered.submit("c") == "C"


async def test_two_batches_at_once_share_what_waits_evenly(writer: Writer) -> None:
    gathered = batcher(writer, at_once=2)
    tasks = await submitted(gathered, "a", "b")
    await writer.arrived.acquire()
    await writer.arrived.acquire()
    assert writer.batches == [["a"], ["b"]]
    tasks += await submitted(gathered, *"cdefgh")
    writer.allow()
    assert await asyncio.gather(*tasks) == list("ABCDEFGH")
    assert [len(batch) for batch in writer.batches] == [1, 1, 4, 2]


async def test_one_key_is_never_in_two_batches_at_once(writer: Writer) -> None:
    gathered = batcher(writer, at_once=2)
    tasks = await submitted(gathered, "a1", "a2", "a3", "b1")
    await writer.arrived.acquire()
    await writer.arrived.acquire()
    assert writer.batches == [["a1"], ["b1"]]
    writer.allow()
    assert await asyncio.gather(*tasks) == ["A1", "A2", "A3", "B1"]
    assert writer.batches == [["a1"], ["b1"], ["a2"], ["a3"]]


async def test_a_run_that_answers_for_fewer_commands_than_it_was_given_is_an_error_and_not_silence() -> None:
    async def forgetful(commands: Sequence[str]) -> list[str]:
        return list(commands[1:])

    gathered: Batcher[str, str] = Batcher(forgetful, key=lambda command: command)
    with pytest.raises(RuntimeError, match="0 results came back for 1 commands"):
        await gathered.submit("a")


async def test_a_batch_that_follows_another_waits_a_moment_and_the_first_for_nothing(writer: Writer) -> None:
    writer.allow()
    batcher: Batcher[str, str] = Batcher(writer.run, key=lambda command: command, moment=0.2)
    assert await batcher.submit("a") == "A"
    second = asyncio.create_task(batcher.submit("b"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [await batcher.submit("c"), await second] == ["C", "B"]
    assert writer.batches == [["a"], ["b", "c"]]
