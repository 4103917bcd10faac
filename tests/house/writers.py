"""Which actions write: found in the sources, by following what each function refers to until something writes to the database.

It errs on the side of too many: a method of an object that is not known stands for every method of that name, and a call of
something that was handed in from outside writes.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from crash.tracing import ACTION_FILES
from house.sources import SERVER, Function, imported, modules, tree

PACKAGE = "purvey.server."
WRITES = frozenset({"write", "transaction"})
"""The methods of a database that change something."""
OUTSIDE = frozenset({"kit", "cli", "demo"})
"""Folders that are no rooms."""


@cache
def writing_actions() -> frozenset[str]:
    """Return the public asynchronous functions and methods of rooms' actions that write, as `room.module.Class.method`."""
    return frozenset(
        name
        for path in modules(SERVER)
        if any(path.relative_to(SERVER).match(files) for files in ACTION_FILES)
        for name, function in _functions(path)
        if isinstance(function, ast.AsyncFunctionDef) and _is_public(name) and _writes(name)
    )


@cache
def known_functions() -> frozenset[str]:
    """Return the names of all functions and methods of the rooms."""
    return frozenset(_bodies())


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def _writes(name: str) -> bool:
    """Return whether the function writes, or refers to one that does."""
    seen: set[str] = set()
    left = [name]
    while left:
        at = left.pop()
        if at in seen or at not in _bodies():
            continue
        seen.add(at)
        if _changes(at):
            return True
        left += _references(at)
    return False


@cache
def _changes(name: str) -> bool:
    """Return whether something is written right here, or by something that was handed in."""
    for node in ast.walk(_bodies()[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            return True
        if (
            isinstance(node, ast.Await)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Subscript)
        ):
            return True
    return False


@cache
def _bodies() -> dict[str, ast.AST]:
    return {name: function for path in _rooms() for name, function in _functions(path)}


@cache
def _rooms() -> tuple[Path, ...]:
    return tuple(path for path in modules(SERVER) if path.relative_to(SERVER).parts[0] not in OUTSIDE)


def _functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Return the functions and methods of a module by their names; a function within another belongs to that one."""
    module = _module(path)
    for node in tree(path).body:
        if isinstance(node, Function):
            yield f"{module}.{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{module}.{node.name}.{one.name}", one) for one in node.body if isinstance(one, Function))


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SERVER).with_suffix("").parts)


@cache
def _names(path: Path) -> dict[str, str]:
    """Return what the module's own and imported names stand for."""
    own = {
        node.name: f"{_module(path)}.{node.name}"
        for node in tree(path).body
        if isinstance(node, Function | ast.ClassDef)
    }
    others = {
        (alias.asname or alias.name): full.removeprefix(PACKAGE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        for alias, full in zip(node.names, imported(node), strict=True)
        if full.startswith(PACKAGE)
    }
    return own | others


@cache
def _references(name: str) -> tuple[str, ...]:
    """Return the functions that the function called `name` refers to."""
    path, owner = _origins()[name]
    return tuple(dict.fromkeys(meant for node in ast.walk(_bodies()[name]) for meant in _meant(node, path, owner)))


@cache
def _origins() -> dict[str, tuple[Path, str]]:
    """Return the module that each function is in, and the name of its class, with the module's, if it is a method."""
    return {
        name: (path, owner if owner != _module(path) else "")
        for path in _rooms()
        for name, _ in _functions(path)
        for owner in [name.rpartition(".")[0]]
    }


def _meant(node: ast.AST, path: Path, owner: str) -> Iterator[str]:
    """Return what a name or an attribute may stand for."""
    names = _names(path)
    match node:
        case ast.Name(id=name) if name in names:
            yield from (names[name], f"{names[name]}.__init__")
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute) if owner:
            yield f"{owner}.{attribute}"
            yield from _assigned(path, owner, attribute)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in names:
            yield f"{names[name]}.{attribute}"
        case ast.Call(func=ast.Attribute(attr=attribute)):
            yield from _methods_called(attribute)


@cache
def _methods_called(name: str) -> tuple[str, ...]:
    """Return the methods of the actions' classes that have this name."""
    files = [path for path in modules(SERVER) if any(path.relative_to(SERVER).match(one) for one in ACTION_FILES)]
    found = [method for path in files for method, _ in _functions(path)]
    return tuple(method for method in found if method.rpartition(".")[2] == name and method.split(".")[-2][0].isupper())


@cache
def _assigned(path: Path, owner: str, attribute: str) -> tuple[str, ...]:
    """Return what is referred to where the attribute of a class is set: the methods that a batcher runs."""
    wanted = f"self.{attribute}"
    return tuple(
        meant
        for method in (function for name, function in _functions(path) if name.startswith(f"{owner}."))
        for node in ast.walk(method)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and wanted in [ast.unparse(one) for one in (node.targets if isinstance(node, ast.Assign) else [node.target])]
        for inner in ast.walk(node.value)
        for meant in _meant(inner, path, owner)
    )
