"""Hypothesis judges what happens, never how long it takes: machines differ. Only a test that hangs is stopped."""

from pathlib import Path

import pytest
from hypothesis import settings

import patience

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop tests that hang."""
    patience.limit(items, Path(__file__).parent)
