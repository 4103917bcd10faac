"""Every numbered requirement of the documents that the product is built from has a story that bears its number."""

import re

import pytest

from house.sources import ROOT, functions, modules

NUMBERED = {"df": 22, "fu": 14, "ev": 13, "dw": 28}
"""Prefix -> the highest number: dynamic fulfillment, fulfillment, events, the dynamic callback."""

STORY = re.compile(r"test_([a-z]{2})_(\d+)_")


@pytest.mark.parametrize("prefix", NUMBERED)
def test_each_requirement_has_a_story_of_its_own(prefix: str) -> None:
    told = {
        int(match[2])
        for path in modules(ROOT / "tests" / "story")
        for function in functions(path)
        if (match := STORY.match(function.name)) and match[1] == prefix
    }
    assert told == set(range(1, NUMBERED[prefix] + 1))
