"""`purvey payments`."""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.problem import ProblemError
from purvey.server.kit.tools import Tools
from purvey.server.paying import Paying, put_together
from purvey.server.payments.stripe import merchants, rules
from purvey.server.payments.stripe.model import Merchant
from purvey.server.payments.stripe.reconciling import KEPT, shown
from purvey.server.settings import Settings

T = TypeVar("T")

UNITS = {"m": "minutes", "h": "hours", "d": "days"}

account_option = click.option("--account", "account_id", required=True, help="The account's id, acc_...")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs.")


class Span(click.ParamType[timedelta]):
    """A length of time such as 90m, 48h or 7d; 30 days at most."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length of time, or say what would be right."""
        found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", str(value))
        span = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else KEPT * 2
        if span > KEPT:
            self.fail("give a number with m, h or d, such as 48h; Stripe keeps its events for 30 days", param, ctx)
        return span


since_option = click.option(
    "--since", "span", type=Span(), default="48h", show_default=True, help="How far to look back."
)


@click.group()
def payments() -> None:
    """See who takes payments, and catch up with Stripe."""


@payments.command()
@since_option
@click.option("--fix", is_flag=True, help="Feed what was missed through the inbox, as if it had come now.")
@json_option
@data_option
def reconcile(span: timedelta, data_dir: Path | None, *, fix: bool, as_json: bool) -> None:
    """Compare Stripe's books with ours, and say what differs.

    The exit status is 0 when nothing does, or all of it was fed to the inbox. A server does this every hour by itself.
    """

    async def compare(tools: Tools, paying: Paying) -> int:
        found = 0
        async for difference in paying.reconciler.differences(tools.clock.now() - span):
            found += 1
            line = shown(difference)
            click.echo(
                msgspec.json.encode(line)
                if as_json
                else f"{line.at:%Y-%m-%d %H:%M}  {line.id}  {line.type}: {line.says}"
            )
            if fix:
                await paying.reconciler.mend(difference)
        return found

    found = _with_paying(data_dir, compare)
    if not as_json:
        done = "fed to the inbox" if fix else "`--fix` feeds them to the inbox"
        click.echo(f"{found} differences: {done}." if found else "Stripe knows nothing that is not known here.")
    sys.exit(1 if found and not fix else 0)


@payments.command()
@data_option
def status(data_dir: Path | None) -> None:
    """Ask Stripe about everyone who takes payments here: whether they may, and what Stripe wants to know first."""

    async def ask(_: Tools, paying: Paying) -> None:
        everyone = await paying.merchants.everyone()
        if not everyone:
            click.echo(
                "Nobody takes payments by Stripe here. Set PURVEY_STRIPE_SECRET_KEY, or `purvey payments use-key`."
            )
        for merchant in everyone:
            click.echo(f"{_who(merchant)}: {await _says(paying, merchant)}")

    _with_paying(data_dir, ask)


@payments.command("notices")
@since_option
@data_option
def list_notices(span: timedelta, data_dir: Path | None) -> None:
    """List the notices that wait, or were refused: what a person should look at."""

    async def show(tools: Tools, paying: Paying) -> None:
        found = await paying.inbox.unsettled(tools.clock.now() - span)
        for one in found:
            state = one.outcome or f"waits after {one.tries} tries"
            click.echo(f"{one.received_at:%Y-%m-%d %H:%M}  {one.id}  {one.type}  {state}: {one.reason}")
        if not found:
            click.echo("No notice waits, and none was refused.")

    _with_paying(data_dir, show)


@payments.command("use-key")
@account_option
@data_option
def use_key(account_id: str, data_dir: Path | None) -> None:
    """Let an account take payments by a Stripe account of its own.

    Asks for its secret or restricted key and for the signing secret of its endpoint; from a pipe, it reads one line each. Both are
    stored encrypted.
    """
    secret_key, webhook_secret = _secret("Secret key (sk_... or rk_...)"), _secret("Signing secret (whsec_...)")

    async def use(tools: Tools, _: Paying) -> None:
        await merchants.set_own_key(tools, account_id, secret_key, webhook_secret)
        click.echo(f"{account_id} takes payments by its own key. Its endpoint at Stripe must lead to")
        click.echo(f"  {tools.base_url}/payments/stripe/notices?account={account_id}")

    _with_paying(data_dir, use)


@payments.command()
@account_option
@click.option("--stripe-account", required=True, help="The connected account, acct_...")
@click.option(
    "--fee", type=click.FloatRange(0, 100), default=0.0, help="The share that is kept of each payment, per cent."
)
@data_option
def connect(account_id: str, stripe_account: str, fee: float, data_dir: Path | None) -> None:
    """Let an account take payments by an account that is connected to the installation's (Stripe Connect)."""

    async def link(tools: Tools, _: Paying) -> None:
        await merchants.connect(tools, account_id, stripe_account, round(fee * 100))
        click.echo(f"{account_id} takes payments by {stripe_account}; {fee:g} % of each are kept.")

    _with_paying(data_dir, link)


@payments.command()
@account_option
@data_option
def disconnect(account_id: str, data_dir: Path | None) -> None:
    """Let an account take payments by the installation's own key again."""

    async def unlink(tools: Tools, _: Paying) -> None:
        await merchants.disconnect(tools, account_id)
        click.echo(f"{account_id} takes payments as the installation does.")

    _with_paying(data_dir, unlink)


def _who(merchant: Merchant) -> str:
    mode = "live" if merchant.live else "test mode"
    return f"{merchant.whose.owner or merchant.whose.stripe_account or 'the installation'} ({mode})"


async def _says(paying: Paying, merchant: Merchant) -> str:
    try:
        standing = rules.standing_of(await paying.stripes.account(merchant))
    except ProblemError as error:
        return error.detail
    if standing.charges_enabled:
        return "takes payments" + (f"; Stripe soon wants {', '.join(standing.due)}" if standing.due else "")
    return (
        f"may not take payments ({standing.disabled_reason}); Stripe wants {', '.join(standing.due) or 'nothing more'}"
    )


def _secret(what: str) -> str:
    """Return a secret that is typed, or comes through a pipe; never an argument, which others could see."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True)).strip()
    return sys.stdin.readline().strip()


def _with_paying(data_dir: Path | None, action: Callable[[Tools, Paying], Awaitable[T]]) -> T:
    settings = frame.settings(data_dir=data_dir)

    async def act() -> T:
        async with frame.tools(settings) as tools, _paying(settings, tools) as paying:
            return await action(tools, paying)

    return frame.run(act())


@asynccontextmanager
async def _paying(settings: Settings, tools: Tools) -> AsyncIterator[Paying]:
    """Put together what is about money, without a server; what is queued is done by the one that runs."""
    records = Idempotency(tools)
    paying = put_together(settings, tools, Fulfillment(tools, records, _nobody), records, _nobody)
    try:
        yield paying
    finally:
        await paying.stripes.close()


def _nobody() -> None:
    """Wake nobody: the server's worker looks by itself within a second."""
