"""`purvey payments`."""

import logging
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import structlog

from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.doctor.model import amount
from purvey.server.errors import Conflict, Unavailable
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.paying import Paying, put_together
from purvey.server.payments.readiness import ENDPOINTS, KEYS
from purvey.server.payments.stripe import merchants
from purvey.server.payments.stripe.client import KeyRefusedError, StripeRefusedError
from purvey.server.payments.stripe.examining import examine, notices_url
from purvey.server.payments.stripe.model import Merchant, is_live
from purvey.server.payments.stripe.reconciling import KEPT, Difference, shown
from purvey.server.settings import Settings

T = TypeVar("T")

PLATFORM = (
    "see whether it is connected to your Stripe account, and whether a restricted key has rights for connected accounts"
)
NOBODY = "Nobody takes payments by Stripe here. Set PURVEY_STRIPE_SECRET_KEY, or `purvey payments use-key`."
SIGNS = {"problem": "x", "warning": "!"}
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

    Two things can: a notice that never came, and a payment that has no order, which the notice of it would have made. A server does
    this every hour by itself, and feeds what it missed to the inbox.

    Exit status: 0 when nothing differs, or all of it was fed to the inbox by `--fix`; 1 when something differs, or when Stripe
    could not be asked; 2 for wrong options.
    """

    async def compare(tools: Tools, paying: Paying) -> tuple[int, int]:
        everyone = await paying.merchants.everyone()
        if not everyone:
            frame.complain(NOBODY)
        found = failed = 0
        for merchant in everyone:
            try:
                async for difference in paying.reconciler.differences(merchant, tools.clock.now() - span):
                    found += 1
                    _tell(difference, as_json=as_json)
                    if fix:
                        await paying.reconciler.mend(difference)
            except (Conflict, Unavailable, StripeRefusedError) as error:
                failed += 1
                click.echo(f"{_who(merchant)} was not compared: {error} See `purvey payments status`.", err=True)
        return found, failed

    found, failed = _with_paying(data_dir, compare)
    if not as_json and (found or not failed):
        click.echo(_summary(found, fix=fix))
    sys.exit(1 if failed or (found and not fix) else 0)


def _tell(difference: Difference, *, as_json: bool) -> None:
    line = shown(difference)
    said = (
        msgspec.json.encode(line).decode()
        if as_json
        else f"{line.at:%Y-%m-%d %H:%M}  {line.id}  {line.type}: {line.says}"
    )
    click.echo(said)


def _summary(found: int, *, fix: bool) -> str:
    if not found:
        return "Stripe knows nothing that is not known here."
    differences = amount(found, "difference")
    if fix:
        return f"{differences} fed to the inbox. `purvey payments notices` lists what did not fit."
    return f"{differences}. `--fix` feeds them to the inbox. If notices go on missing, see the endpoint at {ENDPOINTS}."


@payments.command()
@data_option
def status(data_dir: Path | None) -> None:
    """Ask Stripe about everyone who takes payments here, and say what is wrong and what to do.

    Looked at are whether the key opens what is needed, whether Stripe lets payments be taken and what it wants to know first, and
    whether its notices lead here. Exit status: 0 when everyone can take payments, 1 when somebody cannot.
    """

    async def ask(tools: Tools, paying: Paying) -> bool:
        everyone = await paying.merchants.everyone()
        if not everyone:
            click.echo(NOBODY)
        return all([await _examined(tools, paying, merchant) for merchant in everyone]) and bool(everyone)

    sys.exit(0 if _with_paying(data_dir, ask) else 1)


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
    stored encrypted. Then Stripe is asked what is missing still; the exit status is 1 if it does not know the key, which is not
    stored then.
    """
    settings = frame.settings(data_dir=data_dir)
    secret_key, webhook_secret = _secret("Secret key (sk_... or rk_...)"), _secret("Signing secret (whsec_...)")
    if not is_live(secret_key) and not settings.on_loopback and not settings.sandbox_public:
        raise click.ClickException(
            f"A key of Stripe's test mode takes no real money, and {settings.url} can be reached by others, who would get your "
            "goods for nothing. Set PURVEY_SANDBOX_PUBLIC=1 if that is what you want."
        )

    async def use(tools: Tools, paying: Paying) -> None:
        merchant = merchants.own_key(account_id, secret_key, webhook_secret)
        await _known(paying, merchant)
        await merchants.set_own_key(tools, account_id, secret_key, webhook_secret)
        click.echo(f"{account_id} takes payments by its own key. Its endpoint at Stripe must lead to")
        click.echo(f"  {notices_url(tools.base_url, merchant)}")
        await _examined(tools, paying, merchant)

    _with_paying(data_dir, use)


@payments.command()
@account_option
@click.option("--stripe-account", required=True, help="The connected account, acct_...")
@click.option(
    "--fee", type=click.FloatRange(0, 100), default=0.0, help="The share that is kept of each payment, per cent."
)
@data_option
def connect(account_id: str, stripe_account: str, fee: float, data_dir: Path | None) -> None:
    """Let an account take payments by an account that is connected to the installation's (Stripe Connect).

    The exit status is 1 if the installation's key may not act for it; nothing is stored then.
    """

    async def link(tools: Tools, paying: Paying) -> None:
        merchant = paying.merchants.connected(stripe_account, round(fee * 100))
        await _known(paying, merchant)
        await merchants.connect(tools, account_id, stripe_account, merchant.fee_basis_points)
        click.echo(f"{account_id} takes payments by {stripe_account}; {fee:g} % of each are kept.")
        await _examined(tools, paying, merchant)

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


async def _known(paying: Paying, merchant: Merchant) -> None:
    """End with a sentence when Stripe does not know the key, or the key may not act for the connected account.

    A key that may not read its own account is known all the same; and when Stripe does not answer, we believe what we were given.
    """
    try:
        await paying.stripes.account(merchant)
    except KeyRefusedError as error:
        if not error.known:
            frame.complain(f"Stripe does not know this key. Copy it anew from {KEYS}.")
        if merchant.whose.stripe_account and not error.right:
            frame.complain(f"The installation's key may not act for {merchant.whose.stripe_account}: {PLATFORM}.")
    except (StripeRefusedError, Unavailable) as error:
        click.echo(f"This could not be looked at: {error}")


async def _examined(tools: Tools, paying: Paying, merchant: Merchant) -> bool:
    """Say what Stripe says of a merchant, keep it for the account's `readiness`, and return whether it can take payments."""
    try:
        found = await examine(paying.stripes, merchant, merchant.whose.owner or "acc_...", tools.base_url)
    except Unavailable as error:
        click.echo(f"{_who(merchant)}: {error.detail}")
        return False
    if found.standing:
        await paying.reconciler.note_standing(merchant, found.standing)
    can = all(one.level != "problem" for one in found.faults)
    click.echo(f"{_who(merchant)}: {'takes payments' if can else 'cannot take payments as it is'}")
    for fault in found.faults:
        click.echo(f"  {SIGNS[fault.level]} {fault.says} {fault.remedy}")
    return can


def _secret(what: str) -> str:
    """Return a secret that is typed, or comes through a pipe; never an argument, which others could see."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True)).strip()
    return sys.stdin.readline().strip()


def _with_paying(data_dir: Path | None, action: Callable[[Tools, Paying], Awaitable[T]]) -> T:
    settings = frame.settings(data_dir=data_dir)
    # Whatever goes wrong is told in a sentence; standard output is for what was asked for.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

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
