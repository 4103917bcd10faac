"""The command line: run the server, set it up, see it work."""

from importlib import import_module
from importlib.util import find_spec

import click
from click.shell_completion import CompletionItem

from purvey import __version__

COMMANDS = {
    "serve": ("serve", "Run the server until Ctrl-C."),
    "worker": ("serve", "Run one more worker beside a running server."),
    "demo": ("demo", "Show the main job end to end, on a server of its own."),
    "migrate": ("migrate", "Bring the database's schema up to this version."),
    "accounts": ("accounts", "Manage sellers' accounts."),
    "keys": ("accounts", "Manage API keys."),
    "listen": ("following", "Hand every event to a program on this machine, signed."),
    "events": ("following", "Look at the log of events."),
    "deliveries": ("following", "Look at what endpoints were told, and why not."),
    "payments": ("payments", "See who takes payments, and catch up with Stripe."),
    "doctor": ("doctor", "Check this installation, and say what is wrong and what to do."),
    "completion": ("completion", "Print what makes a shell complete the commands and options of purvey."),
}
"""Command -> the module of this package that has it, and its help in one line."""

LIGHT = {"completion", "listen", "events", "deliveries"}
"""Commands that the base package can do alone; the others need the extra `server`."""

NEEDED = ("aiohttp", "asyncpg", "litestar", "granian", "msgspec", "rich")
"""What the server's commands cannot do without: present when the extra `server` is installed."""


class Commands(click.Group):
    """The group of all commands. A command's module is imported when it is called: the server's take a second to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click gives it
        """Return the commands' names in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command called `cmd_name`; say what to install when it needs what is not there."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in LIGHT and any(find_spec(name) is None for name in NEEDED):
            if ctx.resilient_parsing:
                return None
            raise click.ClickException(
                f"`purvey {cmd_name}` needs the server, which is not installed: pip install 'purvey[server]'"
            )
        module, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f"{__name__}.{module}"), cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click gives it
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what may follow, without importing any command."""
        names = [
            CompletionItem(name, help=summary) for name, (_, summary) in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="purvey")
def main() -> None:
    """Sell digital goods and get them to the buyer.

    `purvey demo` shows it all in half a minute. `purvey serve` runs the server.
    Every setting is an environment variable that begins with PURVEY_.
    """
