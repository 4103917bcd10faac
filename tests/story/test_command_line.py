"""The command line, as a person or a script uses it."""

import json
import re
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import click
import pytest
from click.testing import CliRunner

from conftest import database_url
from purvey import __version__
from purvey.server.cli import COMMANDS, main
from running import (
    PURVEY,
    SECRET_KEY,
    assert_told,
    names_in,
    open_folder,
    process,
    processes_about,
    purvey,
    run,
    serving,
    until,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


@pytest.fixture
def external(fresh_database: str) -> dict[str, str]:
    """The settings of commands on a database that is not embedded."""
    return {"PURVEY_DATABASE_URL": fresh_database, "PURVEY_SECRET_KEY": SECRET_KEY}


@pytest.fixture
async def empty_database() -> AsyncIterator[str]:
    """The URL of a database without any table."""
    name = f"empty_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(database_url("postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield database_url(name)
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command below `group`, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize("words", list(commands(main)), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        shown = CliRunner().invoke(main, [*words, option], prog_name="purvey")
        assert shown.exit_code == 0
        assert shown.output.startswith(f"Usage: purvey {' '.join(words)} ")
        assert len(shown.output.splitlines()) > 4


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    context = click.Context(main)
    for name, (_, summary) in COMMANDS.items():
        command = main.get_command(context, name)
        assert command
        assert (command.help or "").startswith(summary.rstrip("."))


async def test_python_m_purvey_is_the_command_and_its_help_loads_no_server() -> None:
    shown = await run(PURVEY[0], "-X", "importtime", "-m", "purvey", "--help")
    assert shown.status == 0
    assert all(f"\n  {name} " in shown.output for name in COMMANDS)
    assert not re.search(r"\| +(litestar|asyncpg|granian|aiohttp)$", shown.errors, re.MULTILINE)
    assert (await purvey("--version")).output == f"purvey, version {__version__}\n"


async def test_an_unknown_command_is_refused_by_name() -> None:
    refused = await purvey("sevre")
    assert (refused.status, refused.output) == (2, "")
    assert "No such command 'sevre'" in refused.errors


async def test_an_account_is_made_with_its_first_key(external: dict[str, str]) -> None:
    words = ("accounts", "create", "--name", "Ada", "--email")
    plain = await purvey(*words, "ada@example.com", settings=external)
    assert (plain.status, plain.errors) == (0, "")
    shape = r"account  acc_\w{22}\nAPI key  lb_\w+\n\nKeep the key: it is shown this once\.\n"
    assert re.fullmatch(shape, plain.output), plain.output
    for_programs = await purvey(*words, "bob@example.com", "--json", settings=external)
    assert (for_programs.status, for_programs.errors) == (0, "")
    assert list(json.loads(for_programs.output)) == ["account_id", "api_key"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--email", "ada.example.com", "--name", "Ada"], ["email", "exactly one @"]),
        (["--email", "ada@example.com", "--name", " "], ["name"]),
        (["--email", "ada@example.com", "--name", "Ada", "--currency", "EURO"], ["currency"]),
    ],
)
async def test_a_wrong_account_is_refused_naming_what_is_wrong(
    words: list[str], told: list[str], external: dict[str, str]
) -> None:
    assert_told(await purvey("accounts", "create", *words, settings=external), *told)


async def test_a_second_account_with_the_same_address_is_refused(external: dict[str, str]) -> None:
    words = ("accounts", "create", "--email", "ada@example.com", "--name", "Ada")
    assert (await purvey(*words, settings=external)).status == 0
    assert_told(
        await purvey(*words, settings=external), "ada@example.com already: acc_", "`purvey keys create --account acc_"
    )


async def test_a_key_lives_from_its_creation_to_its_revocation(folder: Path, external: dict[str, str]) -> None:
    async with serving(folder / "data", settings=external) as server:
        account = await server.account()
        of = ("--account", account["account_id"])
        created = await purvey("keys", "create", *of, "--name", "nightly job", "--json", settings=external)
        key = json.loads(created.output)
        assert (await server.ask("GET", "/v1/listings", key=key["api_key"])).status == 200
        listed = await purvey("keys", "list", *of, settings=external)
        newest, first = listed.output.splitlines()
        assert newest == f"{key['key_id']}  …{key['api_key'][-4:]}  live  nightly job"
        assert first.endswith("live  first key")
        assert key["api_key"] not in listed.output
        revoked = await purvey("keys", "revoke", *of, key["key_id"], settings=external)
        assert revoked.output == f"{key['key_id']} is revoked.\n"
        assert (await server.ask("GET", "/v1/listings", key=key["api_key"])).status == 401
        assert (await server.ask("GET", "/v1/listings", key=account["api_key"])).status == 200
        listed = await purvey("keys", "list", *of, settings=external)
        assert f"{key['key_id']}  …{key['api_key'][-4:]}  revoked 2" in listed.output


async def test_keys_of_accounts_that_are_unknown_are_told(external: dict[str, str]) -> None:
    nobody = ("--account", "acc_nobody")
    assert_told(await purvey("keys", "create", *nobody, "--name", "x", settings=external), "acc_nobody")
    assert_told(await purvey("keys", "revoke", *nobody, "key_none", settings=external), "key_none")
    assert_told(await purvey("keys", "list", *nobody, settings=external), "acc_nobody")


async def test_migrate_brings_an_empty_database_up_to_date_and_does_it_once(empty_database: str) -> None:
    settings = {"PURVEY_DATABASE_URL": empty_database, "PURVEY_SECRET_KEY": SECRET_KEY}
    words = ("accounts", "create", "--email", "ada@example.com", "--name", "Ada")
    assert_told(await purvey(*words, settings=settings), "schema is not up to date", "purvey migrate")
    first = await purvey("migrate", settings=settings)
    assert (first.status, first.errors) == (0, "")
    assert first.output.startswith("ran 0001_kit\n")
    second = await purvey("migrate", settings=settings)
    assert (second.status, second.output) == (0, "The schema is up to date.\n")
    assert (await purvey(*words, settings=settings)).status == 0


@pytest.mark.parametrize(
    "words",
    [
        ["accounts", "create", "--email", "ada@example.com", "--name", "Ada"],
        ["keys", "list", "--account", "acc_1"],
        ["migrate"],
    ],
    ids=" ".join,
)
async def test_without_a_running_server_a_command_says_what_to_start(words: list[str], folder: Path) -> None:
    told = await purvey(*words, "--data", str(folder / "data"))
    assert_told(told, str(folder / "data"), "Start `purvey serve`", "--data")
    assert not (folder / "data").exists()


async def test_a_database_that_is_away_is_told_to_commands(external: dict[str, str]) -> None:
    words = ("keys", "list", "--account", "acc_1")
    for url in ("postgresql://a:b@127.0.0.1:1/x", "shop.example:5432"):
        away = external | {"PURVEY_DATABASE_URL": url}
        assert_told(await purvey(*words, settings=away), "The database", "cannot be reached", "PURVEY_DATABASE_URL")


def links(said: str) -> list[str]:
    """Return the addresses of the contents that the demonstration has named at its end."""
    return re.findall(r"^  content  (http://\S+/access/\S+)$", said, re.MULTILINE)


async def test_the_demonstration_plays_to_its_end_and_leaves_nothing_behind(folder: Path) -> None:
    ended = await purvey("demo", settings={"TMPDIR": str(folder)})
    assert (ended.status, ended.errors) == (0, "")
    assert len(set(links(ended.output))) == 3
    assert "Your licence key: STAR-7H2K-QX4M" in ended.output
    assert "Your career this month" in ended.output
    assert re.search(r"Show PASS-[0-9A-F]{8} at the gate\.", ended.output)
    assert re.findall(r"order\.\w+", ended.output) == ["order.paid", "order.fulfilled"] * 3
    assert max(len(line) for line in ended.output.splitlines()) <= 80
    assert names_in(folder) == []
    assert processes_about(folder) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [("The server", signal.SIGINT), ("The seller", signal.SIGTERM), ("grace@example.com buys", signal.SIGINT)],
)
async def test_a_demonstration_that_is_interrupted_leaves_nothing_behind(
    moment: str, number: signal.Signals, folder: Path
) -> None:
    stage = folder / "stage"
    stage.mkdir(mode=0o711)
    command = (*PURVEY, "demo")
    async with process(*command, log=folder / "demo.log", settings={"TMPDIR": str(stage)}) as demo:
        await demo.until_said(moment)
        assert await demo.end(number) == 1
        assert demo.said.endswith("Error: Stopped before the end. Nothing is left behind.\n")
        assert "Traceback" not in demo.said
    assert names_in(stage) == []
    assert processes_about(stage) == []


async def test_a_demonstration_that_is_kept_goes_on_until_it_is_told_to_stop(folder: Path) -> None:
    stage = folder / "stage"
    stage.mkdir(mode=0o711)
    command = (*PURVEY, "demo", "--keep")
    async with process(*command, log=folder / "demo.log", settings={"TMPDIR": str(stage)}) as demo:
        await demo.until_said("Ctrl-C ends it.")
        async with aiohttp.ClientSession() as session:
            for link in links(demo.said):
                async with session.get(link) as answer:
                    assert answer.status == 200
        assert await demo.end(signal.SIGINT) == 0
    await until(lambda: not processes_about(stage), "all processes are gone")
    assert names_in(stage) == []
