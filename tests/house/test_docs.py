"""Documents that are held to the code: what they name is there, and what was printed is what would be printed now."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import print_settings, print_states
from house.sources import ROOT, SERVER, tracked_text, tree
from purvey.server import errors
from purvey.server.kit.problem import ProblemError
from purvey.server.settings import CLIENT_SETTINGS, PREFIX, Settings

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ONE_ORDER = ROOT / "docs" / "one-order.md"
FROM = [ROOT, SERVER, ROOT / "docs"]
"""Where a path in a document may start."""

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(
    r"(?P<path>[\w.-]+(?:/[\w.-]+)*\.(?:py|sql|md|toml|html|txt|css|js|yml|yaml))(?::(?P<name>[A-Za-z_][\w.]*))?"
)
FOLDER = re.compile(r"(?:[\w.-]+/)+")
DOTTED = re.compile(r"(?P<module>[a-z_]+(?:\.[a-z_]+)*)\.(?P<name>[A-Za-z_]\w*)(?:\(\))?")
WORD = re.compile(r"[a-z]+(?:_[a-z]+)+")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TREE_LINE = re.compile(r"^[│├└─ ]*(?P<name>\w+) +(?P<status>\d{3})(?: {2}(?:(?P<code>[a-z_]+): )?)?", re.MULTILINE)


def named(document: Path) -> Iterator[str]:
    """Return what the document has in backticks, outside of blocks of code."""
    return (match[1] for match in QUOTED.finditer(FENCED.sub("", document.read_text(encoding="utf-8"))))


def found(path: str) -> Path | None:
    """Return the file or folder that a document means by `path`."""
    return next((start / path for start in FROM if (start / path).exists()), None)


def defines(file: Path, name: str) -> bool:
    """Return whether the Python file defines `name`; `Class.method` looks inside the class, an SQL file is searched."""
    if file.suffix != ".py":
        return re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8")) is not None
    body: list[ast.stmt] = tree(file).body
    for part in name.split("."):
        found_here = [statement for statement in body if part in names_of(statement)]
        if not found_here:
            return False
        body = getattr(found_here[0], "body", [])
    return True


def names_of(statement: ast.stmt) -> set[str]:
    """Return the names that a statement of a module or a class defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case _:
            return set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_function_that_a_document_names_is_there(document: Path) -> None:
    missing = []
    for quoted in named(document):
        match = FILE.fullmatch(quoted)
        if match is None:
            continue
        file = found(match["path"])
        if file is None or (match["name"] and not defines(file, match["name"])):
            missing.append(quoted)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_s_function_that_a_document_names_is_there(document: Path) -> None:
    missing = []
    for quoted in named(document):
        match = DOTTED.fullmatch(quoted)
        file = found(match["module"].replace(".", "/") + ".py") if match else None
        if match and file and not defines(file, match["name"]):
            missing.append(quoted)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_folder_that_a_document_names_is_there(document: Path) -> None:
    assert [quoted for quoted in named(document) if FOLDER.fullmatch(quoted) and found(quoted) is None] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    targets = [match[1] for match in LINK.finditer(FENCED.sub("", document.read_text(encoding="utf-8")))]
    local = [target for target in targets if "://" not in target and not target.startswith(("mailto:", "/"))]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_name_in_the_walk_through_one_order_occurs_in_the_sources() -> None:
    sources = "\n".join(text for path, text in tracked_text() if path.is_relative_to(SERVER))
    words = {quoted for quoted in named(ONE_ORDER) if WORD.fullmatch(quoted)}
    assert words
    assert {word for word in words if not re.search(rf"\b{word}\b", sources)} == set()


def test_the_walk_through_one_order_names_files_and_functions() -> None:
    matches = [match for quoted in named(ONE_ORDER) if (match := FILE.fullmatch(quoted))]
    assert len([match for match in matches if match["name"]]) > 20


def test_the_page_of_states_is_what_the_tables_print() -> None:
    assert print_states.PAGE.read_text(encoding="utf-8") == print_states.page(), "run `make docs`"


def test_the_page_of_settings_is_what_the_settings_print() -> None:
    assert print_settings.PAGE.read_text(encoding="utf-8") == print_settings.page(), "run `make docs`"


def test_the_page_of_settings_has_each_variable_that_is_read_and_no_other() -> None:
    page = print_settings.PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(PURVEY_\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(
        {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__} | CLIENT_SETTINGS
    )


def test_every_variable_that_a_document_or_the_code_names_is_read_by_somebody() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__} | CLIENT_SETTINGS
    places = [(path, text) for path, text in tracked_text() if path in DOCUMENTS or path.is_relative_to(ROOT / "src")]
    unknown = {name for _, text in places for name in re.findall(r"\bPURVEY_[A-Z][A-Z_]*[A-Z]\b", text)} - known
    assert unknown == set()


def test_the_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_error_tree_draws_every_error_with_its_status() -> None:
    drawn = {match["name"]: int(match["status"]) for match in TREE_LINE.finditer(errors.__doc__ or "")}
    kinds = {
        name: kind
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and kind is not errors.FieldError
    }
    del kinds["ProblemError"]
    assert drawn == {name: kind.status for name, kind in kinds.items() if issubclass(kind, ProblemError)}


def test_the_error_tree_draws_each_code_where_it_is_not_the_parent_s() -> None:
    drawn = {match["name"]: match["code"] for match in TREE_LINE.finditer(errors.__doc__ or "") if match["code"]}
    assert len(drawn) > 10
    assert drawn == {name: getattr(errors, name).code for name in drawn}


def test_the_error_tree_draws_each_error_below_its_parent() -> None:
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +\d{3}|$)", line)
        if match is None:
            continue
        depth = len(match["indent"])
        above = [(d, name) for d, name in above if d < depth]
        if above:
            assert getattr(errors, match["name"]).__base__.__name__ == above[-1][1]
        above.append((depth, match["name"]))
