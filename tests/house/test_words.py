"""Words that have no place here: rooms that say nothing, notes left behind, and the machine it was written on."""

import re

from house.sources import ROOT, modules, shown, tracked_text

EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "impl", "misc"}
LEFT_BEHIND = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "HA" + "CK"]) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|Users|home/\w+)/|\.py" + r"env\b")
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs.org",
    "deb." + "debian.org",
    "security." + "debian.org",
]
LOCK_FILE = ROOT / "uv.lock"
"""The one file that must say where packages come from."""


def test_no_module_and_no_room_has_a_name_that_says_nothing() -> None:
    found = [
        shown(path)
        for path in modules(ROOT / "src") + modules(ROOT / "tests")
        for part in (*path.relative_to(ROOT).parts[1:-1], path.stem)
        if EMPTY_NAMES & set(part.split("_"))
    ]
    assert found == []


def test_no_note_is_left_behind() -> None:
    assert matches(LEFT_BEHIND) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert matches(MACHINE_PATHS) == []


def test_no_host_of_a_package_registry_is_named() -> None:
    assert matches(re.compile("|".join(map(re.escape, REGISTRIES)))) == []


def matches(pattern: re.Pattern[str]) -> list[str]:
    """Return where the pattern occurs in tracked text, lock file aside."""
    return [
        f"{shown(path)}:{number} {match[0]}"
        for path, text in tracked_text()
        if path != LOCK_FILE
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]
