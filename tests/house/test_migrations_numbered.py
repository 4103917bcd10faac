"""Migrations are numbered without a gap, and each belongs to a room."""

import re

from house.sources import SERVER, rooms

NAME = re.compile(r"(?P<number>\d{4})_(?P<room>[a-z]+)(_[a-z_]+)?\.sql")


def names() -> list[str]:
    """Return the names of the migration files, in order."""
    return sorted(path.name for path in (SERVER / "migrations").iterdir() if path.suffix == ".sql")


def test_every_file_is_a_number_a_room_and_what_it_does() -> None:
    assert [name for name in names() if not NAME.fullmatch(name)] == []


def test_the_numbers_are_1_2_3_without_a_gap_and_none_twice() -> None:
    assert [int(name[:4]) for name in names()] == list(range(1, len(names()) + 1))


def test_every_migration_belongs_to_a_room() -> None:
    known = {room.name for room in rooms()}
    found = [match for name in names() if (match := NAME.fullmatch(name))]
    assert [match[0] for match in found if match["room"] not in known] == []
