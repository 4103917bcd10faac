"""What was killed where: noted by each test, gathered from all workers, and shown at the end of the run."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

import child
from crash.act import Act

PROPERTY = "killed at"
WHERE = "PURVEY_CRASH_REPORT"
"""The environment variable that names a file for the whole report."""

Noted = tuple[str, str, list[str]]
"""An act, one of its steps, and the actions that were killed there."""


def note(test: pytest.Item, act: Act, steps: Iterable[child.Step]) -> None:
    """Note that `act` was killed at `steps`."""
    noted: list[Noted] = [(act.name, step.name, list(step.actions) or [step.place]) for step in steps]
    test.user_properties.append((PROPERTY, noted))


class Report:
    """Gathers what the tests noted, in the process that reports."""

    def __init__(self) -> None:
        self._noted: list[Noted] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test noted, once."""
        if report.when == "teardown":
            self._noted += [one for name, noted in report.user_properties if name == PROPERTY for one in noted]  # type: ignore[attr-defined]  # what `note` put there

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show, for each action, where it was killed; the whole of it goes to the file that is named."""
        if not self._noted:
            return
        acts = {act for act, _, _ in self._noted}
        terminalreporter.section(f"{len(self._noted)} deaths in {len(acts)} acts")
        for line in self._lines():
            terminalreporter.write_line(line)
        if name := os.environ.get(WHERE):
            Path(name).write_text("\n".join(self._whole()) + "\n", encoding="utf-8")

    def _by_action(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for act, step, actions in self._noted:
            for action in actions:
                found[action].append((act, step))
        return dict(sorted(found.items()))

    def _lines(self) -> list[str]:
        return [f"{action}: {len(steps)} x, {_short(steps)}" for action, steps in self._by_action().items()]

    def _whole(self) -> list[str]:
        lines = [f"{len(self._noted)} deaths"]
        for action, steps in self._by_action().items():
            lines += ["", f"{action}: {len(steps)} deaths"]
            lines += [f"  {step}    [{act}]" for act, step in sorted(steps)]
        return lines


def _short(steps: Sequence[tuple[str, str]]) -> str:
    """Return the places in few words: those that were died at before and after are named once, without their number."""
    moments: dict[str, set[str]] = defaultdict(set)
    for _, step in steps:
        moment, _, what = step.partition(": ")[2].partition(" #")[0].partition(" ")
        moments[what].add(moment)
    return ", ".join(what if len(when) == 2 else f"{min(when)} {what}" for what, when in moments.items())
