"""What the house tests look at: the sources as trees, and the tracked text."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "purvey"
SERVER = SOURCES / "server"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(folder: Path = SOURCES) -> list[Path]:
    """Return the Python files below `folder`, in order."""
    found = sorted(folder.rglob("*.py"))
    assert found, f"no Python file below {folder}"
    return found


@cache
def tree(path: Path) -> ast.Module:
    """Return the file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path, node: ast.AST | None = None) -> str:
    """Return the path, with the node's line, as messages show it."""
    line = f":{getattr(node, 'lineno', 1)}" if node is not None else ""
    return f"{path.relative_to(ROOT)}{line}"


def functions(path: Path) -> Iterator[Function]:
    """Return the file's functions and methods, nested ones too."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def imported(node: ast.AST) -> list[str]:
    """Return the dotted names that an import statement brings in; nothing for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def rooms() -> list[Path]:
    """Return the folders of the server that are rooms."""
    return sorted(folder.parent for folder in SERVER.glob("*/__init__.py"))


def tracked_text() -> Iterator[tuple[Path, str]]:
    """Return each text file that the repository tracks, or would, with its content."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        try:
            yield ROOT / name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or removed and not yet committed
