"""Who may import what, as far as the tool for it (import-linter, see pyproject.toml) has no word for the rule."""

import ast
from pathlib import Path

from house.sources import SERVER, functions, imported, modules, shown, tree

IMPURE = {
    "asyncio": "waits",
    "random": "draws lots",
    "secrets": "draws lots",
    "os": "touches the machine",
    "time": "asks what time it is",
    "subprocess": "starts processes",
    "socket": "goes out",
    "aiohttp": "goes out",
    "asyncpg": "touches the database",
    "uuid.uuid4": "draws lots",
    "purvey.server.kit.clock": "asks what time it is",
    "purvey.server.kit.database": "touches the database",
    "purvey.server.kit.ids": "draws lots",
    "purvey.server.kit.tools": "touches the world",
    "purvey.server.kit.safe_http.SafeHttp": "goes out",
    "purvey.server.kit.safe_http.client": "goes out",
    "purvey.server.kit.safe_http.resolve": "goes out",
}
"""What a model or a rule may not import, and why: time, chance and rows come in as arguments."""

GOES_OUT = (
    "aiohttp",
    "httpx",
    "requests",
    "http.client",
    "urllib.request",
    "aiosmtplib",
    "smtplib",
    "obstore",
    "stripe",
    "socket",
)
WAYS_OUT = {
    "kit/safe_http": "where strangers' addresses are called, and nowhere else",
    "kit/embedded": "the database of this machine",
    "mail/transports.py": "the mail server that the operator named",
    "files/storage.py": "the store that the operator named",
    "payments/stripe": "Stripe",
    "doctor": "what the operator named, and this machine",
    "serving.py": "this machine's own port",
    "supervising.py": "this machine's own port",
    "metrics/exposing.py": "this machine's own port",
    "cli": "the server that a person named, from that person's machine",
    "demo": "this machine",
}
"""The only places of the server that may open connections, and to what. What a seller has given is called by the first alone."""


def test_no_import_is_inside_a_function() -> None:
    found = [
        shown(path, node)
        for path in modules()
        for function in functions(path)
        for node in ast.walk(function)
        if imported(node)
    ]
    assert found == []


def test_imports_are_absolute() -> None:
    found = [
        shown(path, node)
        for path in modules()
        for node in ast.walk(tree(path))
        for name in imported(node)
        if name[0] == "."
    ]
    assert found == []


def test_models_and_rules_are_pure() -> None:
    pure = [path for path in modules(SERVER) if path.name in {"model.py", "rules.py"}]
    assert len(pure) > 10
    found = [
        f"{shown(path, node)} imports {name}, which {why}"
        for path in pure
        for node in ast.walk(tree(path))
        for name in imported(node)
        for impure, why in IMPURE.items()
        if is_within(name, impure)
    ]
    assert found == []


def test_models_and_rules_know_no_store_and_no_action() -> None:
    pure = [path for path in modules(SERVER) if path.name in {"model.py", "rules.py"}]
    found = [
        f"{shown(path, node)} imports {name}"
        for path in pure
        for node in ast.walk(tree(path))
        for name in imported(node)
        if {"store", "actions", "work", "api"} & set(name.split("."))
    ]
    assert found == []


def test_no_room_imports_the_store_of_another() -> None:
    found = [
        f"{shown(path, node)} imports {name}"
        for path in modules(SERVER)
        for node in ast.walk(tree(path))
        for name in imported(node)
        if is_within(name, "purvey") and "store" in name.split(".")
        if not is_within(name, f"purvey.server.{room_of(path)}")
    ]
    assert found == []


def test_what_a_seller_s_program_imports_needs_no_server() -> None:
    found = [
        f"{shown(path, node)} imports {name}"
        for path in modules()
        if path.name != "__main__.py" and not path.is_relative_to(SERVER)
        for node in ast.walk(tree(path))
        for name in imported(node)
        if is_within(name, "purvey.server")
    ]
    assert found == []


def room_of(path: Path) -> str:
    """Return the name of the folder or file of `server` that `path` belongs to."""
    return path.relative_to(SERVER).parts[0].removesuffix(".py")


def is_within(name: str, package: str) -> bool:
    """Return whether the dotted `name` is `package` or inside it."""
    return name == package or name.startswith(f"{package}.")


def test_connections_are_opened_where_they_may_be() -> None:
    """Whatever calls an address must be named above: what a seller has given is called by `kit/safe_http` alone."""
    found = {
        path.relative_to(SERVER).as_posix()
        for path in modules(SERVER)
        for node in ast.walk(tree(path))
        for name in imported(node)
        if name == "asyncio.open_connection" or any(name == way or name.startswith(f"{way}.") for way in GOES_OUT)
    }
    assert [path for path in sorted(found) if not any(f"{path}/".startswith(f"{way}/") for way in WAYS_OUT)] == []
    assert [way for way in WAYS_OUT if not any(f"{path}/".startswith(f"{way}/") for path in found)] == []
