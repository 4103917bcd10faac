"""The report at the end of a run: at which steps each action was killed."""

import pytest

from crash.report import Report


def pytest_configure(config: pytest.Config) -> None:
    """Gather what the tests note, in the process that reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(), "crash-report")
