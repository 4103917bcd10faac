"""A server that dies at any step of any action loses nothing and does nothing twice.

Each act of the register (`actions.py`) is told once without a death, which shows its steps. Then, for each step, the server kills
itself there (SIGKILL), another one is started, and everybody tries again: the buyer, the seller, the provider, the worker. In the
end what the design promises must hold: paid is fulfilled exactly once, no change without its event or its history and none twice,
no gap in the sequence, one effect of a repeated command.
"""

from collections.abc import Sequence

import pytest

import child
from crash import report, stage
from crash.act import Act
from crash.actions import ACTS
from crash.telling import kill_at, steps_of
from purvey.server.kit.database import Database
from thorough import is_thorough, some

SHARE = 12
"""Of the steps of an act, one in so many is died at, unless the tests are to be thorough."""


def chosen(act: Act, steps: Sequence[child.Step]) -> list[child.Step]:
    """Return the steps to die at, in order: all of them, or a share of those that differ in more than their number.

    Of those that do not, such as the seven attempts of a webhook, the first two and the last are looked at.
    """
    if is_thorough():
        return list(steps)
    alike: dict[str, list[child.Step]] = {}
    for step in steps:
        alike.setdefault(step.name.partition(" #")[0], []).append(step)
    taken = {id(step) for group in alike.values() for step in (*group[:2], group[-1])}
    return some([step for step in steps if id(step) in taken], SHARE, act.name)


@pytest.fixture(scope="module", autouse=True)
def _preloaded() -> None:
    """Start the process that the servers are forked from."""
    stage.preload()


def parts(act: Act) -> int:
    """Return in how many tests an act is told: only all of its deaths together take long."""
    return act.parts if is_thorough() else 1


CASES = [
    pytest.param(act, part, id=f"{act.name}, {part + 1} of {parts(act)}" if parts(act) > 1 else act.name)
    for act in ACTS
    for part in range(parts(act))
]


@pytest.mark.parametrize(("act", "part"), CASES)
async def test_a_death_at_any_step_does_no_harm_when(
    act: Act, part: int, database: Database, fresh_database: str, request: pytest.FixtureRequest
) -> None:
    async with stage.open_stage(database, fresh_database, act.payments) as opened:
        steps = await steps_of(opened, act)
        missing = set(act.of) - {action for step in steps for action in [*step.actions, step.place]}
        assert not missing, f"the act does not exercise {sorted(missing)}"
        ours = chosen(act, steps)[part :: parts(act)]
        for step in ours:
            await kill_at(opened, act, step)
        report.note(request.node, act, ours)
