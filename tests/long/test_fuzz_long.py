"""The fuzz of tests/story for longer, and at random: every phase of it, with a seller's key and without one."""

import os
from collections.abc import Iterator

import pytest

from access_matrix import Account, open_account
from conftest import NewDatabase
from fuzzing import fuzz
from threaded import ThreadedShop, threaded_shop

SECONDS = {"coverage": 120, "fuzzing": 300, "stateful": 180}
"""How long each phase goes on at scale 1; coverage ends by itself when nothing is left to try."""
WITH_A_KEY = 0.8
"""The part of that in which a seller asks; in the rest nobody does."""
PATIENCE = 600 * (1 + float(os.environ.get("PURVEY_TEST_SCALE", "1")))
"""Seconds after which a run hangs."""


@pytest.fixture(scope="module")
def shop(new_database: NewDatabase) -> Iterator[ThreadedShop]:
    with threaded_shop(new_database) as opened:
        yield opened


@pytest.fixture(scope="module")
def seller(shop: ThreadedShop) -> Account:
    return shop.run(lambda: open_account(shop.shop, "fuzzed"))


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("phase", SECONDS)
@pytest.mark.parametrize("who", ["a seller", "nobody"])
def test_the_document_holds_for_whatever_is_asked(
    shop: ThreadedShop, seller: Account, seed: int, scale: float, phase: str, who: str
) -> None:
    key, part = (seller.key, WITH_A_KEY) if who == "a seller" else (None, 1 - WITH_A_KEY)
    seconds = max(5, int(SECONDS[phase] * scale * part))
    findings = fuzz(shop.url, key, phases=[phase], examples=10_000, seconds=seconds, seed=seed)
    shown = "\n\n".join(f"{what}\n{how}" for what, how in findings.complaints.items())
    assert not findings.complaints, shown
    assert [line for line in shop.logged if line["event"] == "request.broke"] == []
    assert findings.statuses.total() > 10
