"""Writes docs/states.md from the state tables: `python -m tests.house.print_states`, or `make docs`."""

import ast
import inspect
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Any

from purvey.server.files import model as files
from purvey.server.kit.states import StateTable
from purvey.server.orders import model as orders
from purvey.server.webhooks import model as webhooks

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
TABLES: list[tuple[str, str, type[StrEnum], StateTable[Any]]] = [
    ("An order", "orders/model.py", orders.Status, orders.TABLE),
    ("A file", "files/model.py", files.Status, files.TABLE),
    ("A delivery", "webhooks/model.py", webhooks.DeliveryStatus, webhooks.STATES),
]
"""Of what, where it is written (below `src/purvey/server/`), its states, and the table."""

HEAD = """# States

Printed from the transition tables by `make docs`; a test holds this page to them. A move that is not drawn here does not happen:
the statement that would make it changes no row. Money is beside this: whether an order was paid, refunded or disputed does not
change how far its goods have got.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(section(*table) for table in TABLES)


def section(title: str, path: str, states: type[StrEnum], table: StateTable[Any]) -> str:
    """Return one table as a diagram, and what each of its states says of itself."""
    meanings = "".join(f"| `{state}` | {meaning} |\n" for state, meaning in documented(states).items())
    return (
        f"\n## {title}\n\nThe table is in `{path}`.\n\n```mermaid\n{table.diagram()}```\n\n"
        f"| state | how one gets in, who takes one out, how long one stays |\n|---|---|\n{meanings}"
    )


def documented(states: type[StrEnum]) -> dict[str, str]:
    """Return each state with the text below its line; KeyError for one that has none."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(states))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {
        line.targets[0].id: " ".join(below.value.value.split())
        for line, below in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(line, ast.Assign)
        and isinstance(line.targets[0], ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
    return {str(state): texts[state.name] for state in states}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
