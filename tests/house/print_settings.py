"""Writes docs/settings.md from the settings: `python -m tests.house.print_settings`, or `make docs`."""

import ast
import inspect
import textwrap
from pathlib import Path

import msgspec.structs

from purvey.server.settings import PREFIX, Settings, allowed

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

HEAD = """# Settings

Printed from `src/purvey/server/settings.py` by `make docs`; a test holds this page to it. Each setting is an environment variable.
An empty one counts as not set, and one that is not listed here stops the start, with the nearest name that is. `purvey serve` takes
some of them as options too (`purvey serve --help`), and an option wins over its variable.

| variable | default | may be | what it is for |
|---|---|---|---|
"""
FOOT = """
Three more are read by others than the server:

| variable | default | read by | what it is for |
|---|---|---|---|
| `PURVEY_API_KEY` | none | the client | The key that a seller's program sends. |
| `PURVEY_API_URL` | `http://127.0.0.1:8000` | the client | Where the server is. |
| `PURVEY_TEST_DATABASE_URL` | none: an embedded one | the tests | Where to test; its user must be allowed to create databases. |
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(line(name, text) for name, text in documented().items()) + FOOT


def line(name: str, text: str) -> str:
    """Return the row of one setting."""
    return f"| `{PREFIX}{name.upper()}` | {default(name)} | {allowed(name)} | {text} |\n"


def default(name: str) -> str:
    """Return the default as one would write it into the environment."""
    value = {field.name: field.default for field in msgspec.structs.fields(Settings)}[name]
    if value is None:
        return "none"
    return f"`{int(value)}`" if isinstance(value, bool) else f"`{value}`"


def documented() -> dict[str, str]:
    """Return each setting with the text below its line; KeyError for one that has none."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {
        above.target.id: " ".join(below.value.value.split())
        for above, below in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(above, ast.AnnAssign)
        and isinstance(above.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
    return {name: texts[name] for name in Settings.__struct_fields__}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
