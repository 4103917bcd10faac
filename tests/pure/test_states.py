"""State tables: what they answer, and what they refuse to be."""

from enum import StrEnum

import pytest

from purvey.server.kit.states import StateTable, StateTableError


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    OFF = "off"


TABLE = StateTable(
    Light.RED,
    {
        Light.RED: frozenset({Light.GREEN, Light.OFF}),
        Light.GREEN: frozenset({Light.GREEN, Light.RED, Light.OFF}),
        Light.OFF: frozenset(),
    },
)


def test_a_table_says_which_moves_it_allows() -> None:
    assert TABLE.allows(Light.RED, Light.GREEN)
    assert not TABLE.allows(Light.OFF, Light.GREEN)
    assert not TABLE.allows(Light.RED, Light.RED)


def test_a_table_says_from_where_a_state_is_entered() -> None:
    assert TABLE.sources(Light.OFF) == (Light.RED, Light.GREEN)
    assert TABLE.sources(Light.RED) == (Light.GREEN,)


def test_the_diagram_shows_the_start_every_move_and_the_ends() -> None:
    assert TABLE.diagram() == (
        "stateDiagram-v2\n"
        "    [*] --> red\n"
        "    red --> green\n"
        "    red --> off\n"
        "    green --> red\n"
        "    green --> green\n"
        "    green --> off\n"
        "    off --> [*]\n"
    )


def test_a_move_to_a_state_without_an_entry_is_refused() -> None:
    with pytest.raises(StateTableError, match="red leads to off, which has no entry"):
        StateTable(Light.RED, {Light.RED: frozenset({Light.OFF})})


def test_a_start_without_an_entry_is_refused() -> None:
    with pytest.raises(StateTableError, match="the start leads to off"):
        StateTable(Light.OFF, {Light.RED: frozenset()})


def test_a_state_that_nothing_leads_to_is_refused() -> None:
    with pytest.raises(StateTableError, match="green cannot be reached from red"):
        StateTable(Light.RED, {Light.RED: frozenset({Light.RED}), Light.GREEN: frozenset({Light.RED})})
