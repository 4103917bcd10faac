"""Tests that wait for PostgreSQL are stopped when they hang."""

from pathlib import Path

import pytest

import patience


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop tests that hang."""
    patience.limit(items, Path(__file__).parent)
