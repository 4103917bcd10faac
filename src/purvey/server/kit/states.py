"""State tables: which state may follow which, as data, checked when the program starts."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)


class StateTableError(Exception):
    """A state table contradicts itself; the message names the state at fault."""


class StateTable(Generic[S]):
    """The states of something, the one it starts in, and the moves that each allows.

    Every state has an entry in `moves`; one that nothing leaves has an empty set. Staying in a state while something else about
    it changes (another attempt failed) is a move to itself. Raises StateTableError for a target without an entry, and for a state
    that no path reaches from `start`, so that neither can be deployed.
    """

    def __init__(self, start: S, moves: Mapping[S, frozenset[S]]) -> None:
        self.start = start
        self.moves = moves
        self._refuse_unknown()
        self._refuse_unreachable()

    def allows(self, before: S, after: S) -> bool:
        """Return whether a thing in `before` may become `after`."""
        return after in self.moves[before]

    def sources(self, after: S) -> tuple[S, ...]:
        """Return the states from which `after` may be entered, in the order of the table: the guard of a transition."""
        return tuple(before for before, afters in self.moves.items() if after in afters)

    def diagram(self) -> str:
        """Return the table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.start}"]
        for before, afters in self.moves.items():
            lines += [f"    {before} --> {after}" for after in self.moves if after in afters]
            lines += [] if afters else [f"    {before} --> [*]"]
        return "\n".join(lines) + "\n"

    def _refuse_unknown(self) -> None:
        known = ", ".join(self.moves)
        for before, afters in (("the start", {self.start}), *self.moves.items()):
            for after in afters:
                if after not in self.moves:
                    raise StateTableError(
                        f"{before} leads to {after}, which has no entry of its own; known are: {known}"
                    )

    def _refuse_unreachable(self) -> None:
        reached, ahead = {self.start}, [self.start]
        while ahead:
            new = self.moves[ahead.pop()] - reached
            reached |= new
            ahead += new
        for state in self.moves:
            if state not in reached:
                raise StateTableError(f"{state} cannot be reached from {self.start}: no path of moves leads there")
