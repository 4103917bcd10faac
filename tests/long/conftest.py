"""How long the long tests last, and by which chance: said at the top of the run, so that it can be had again."""

import os
import secrets
from pathlib import Path

import pytest

from fakes import FakeClock

SCALE = "PURVEY_TEST_SCALE"
SEED = "PURVEY_TEST_SEED"


def pytest_configure() -> None:
    """Draw a seed unless one is given."""
    os.environ.setdefault(SEED, str(secrets.randbelow(1_000_000)))
    os.environ.setdefault(SCALE, "1.0")


def pytest_report_header() -> str:
    """Say what was drawn."""
    return f"{SEED}={os.environ[SEED]} {SCALE}={os.environ[SCALE]}"


@pytest.fixture
def seed() -> int:
    """The seed of all that is random in this run."""
    return int(os.environ[SEED])


@pytest.fixture
def scale() -> float:
    """How long to go on: 1.0 is ten minutes in all."""
    return float(os.environ[SCALE])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long tests last as long as they are told to; the limit of the others would end them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told to."""
    return FakeClock()
