"""`purvey accounts` and `purvey keys`."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from purvey.server.accounts import actions
from purvey.server.accounts.model import ApiKey
from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.kit.tools import Tools

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
account_option = click.option("--account", "account_id", required=True, help="The account's id, acc_...")


@click.group()
def accounts() -> None:
    """Manage sellers' accounts."""


@accounts.command()
@click.option("--email", required=True, help="The seller's e-mail address; buyers write to it.")
@click.option("--name", required=True, help="The name that buyers see.")
@click.option("--currency", default="USD", show_default=True, help="The currency of its listings, ISO 4217.")
@data_option
@json_option
def create(email: str, name: str, currency: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Create an account with its first API key, which is shown this once."""
    account, key = _with_tools(data_dir, lambda tools: actions.create_account(tools, email, name, currency))
    if as_json:
        click.echo(json.dumps({"account_id": account.id, "api_key": key}))
    else:
        click.echo(f"account  {account.id}\nAPI key  {key}\n\nKeep the key: it is shown this once.")


@click.group()
def keys() -> None:
    """Manage API keys."""


@keys.command("create")
@account_option
@click.option("--name", required=True, help="What the key is for.")
@data_option
@json_option
def create_key(account_id: str, name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Create another API key, which is shown this once."""
    key, plaintext = _with_tools(data_dir, lambda tools: actions.create_key(tools, account_id, name))
    if as_json:
        click.echo(json.dumps({"key_id": key.id, "api_key": plaintext}))
    else:
        click.echo(f"key      {key.id}\nAPI key  {plaintext}\n\nKeep the key: it is shown this once.")


@keys.command("list")
@account_option
@data_option
def list_keys(account_id: str, data_dir: Path | None) -> None:
    """List an account's keys, newest first."""
    for key in _with_tools(data_dir, lambda tools: _keys_of(tools, account_id)):
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "live"
        click.echo(f"{key.id}  …{key.preview}  {state}  {key.name}")


@keys.command("revoke")
@account_option
@click.argument("key_id")
@data_option
def revoke_key(account_id: str, key_id: str, data_dir: Path | None) -> None:
    """Revoke a key: it opens nothing from now on."""
    key = _with_tools(data_dir, lambda tools: actions.revoke_key(tools, account_id, key_id))
    click.echo(f"{key.id} is revoked.")


async def _keys_of(tools: Tools, account_id: str) -> list[ApiKey]:
    """Return the keys; raise NotFound for an unknown account, which would look like one without keys."""
    await actions.get_account(tools, account_id)
    return await actions.list_keys(tools, account_id)


def _with_tools(data_dir: Path | None, action: Callable[[Tools], Awaitable[T]]) -> T:
    settings = frame.settings(data_dir=data_dir)

    async def act() -> T:
        async with frame.tools(settings) as tools:
            return await action(tools)

    return frame.run(act())
