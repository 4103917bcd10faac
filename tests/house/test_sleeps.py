"""Tests wait for what happens, never for how long it might take."""

import ast

from house.sources import ROOT, modules, shown, tree

SLEEPERS = {"asyncio.sleep", "time.sleep", "sleep"}
ALLOWED = {
    "tests/running.py": "waits for what other processes do, which have no signal to give; in one place for all tests",
    "tests/story/reconciling_receiver.py": "a program in a process of its own, in which the loop's half minute lasts a moment",
    "tests/story/seed_reconciling.py": "the loop as sellers write it; the `time` that it is handed does not sleep",
}
"""File -> why it must sleep for real. Giving way, `asyncio.sleep(0)`, is no sleep and is allowed everywhere."""


def test_no_test_sleeps() -> None:
    found = [
        f"{shown(path, node)} {ast.unparse(node)}"
        for path in modules(ROOT / "tests")
        if shown(path) not in ALLOWED
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPERS and not gives_way(node)
    ]
    assert found == []


def test_every_allowed_file_is_there() -> None:
    assert [name for name in ALLOWED if not (ROOT / name).exists()] == []


def gives_way(call: ast.Call) -> bool:
    """Return whether the call only lets others run: its delay is a literal 0."""
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
