"""The command line: run the server, set it up, see it work."""

import click

from purvey import __version__
from purvey.server.cli.accounts import accounts, keys
from purvey.server.cli.demo import demo
from purvey.server.cli.migrate import migrate
from purvey.server.cli.serve import serve, worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="purvey")
def main() -> None:
    """Sell digital goods and get them to the buyer.

    `purvey demo` shows it all in half a minute. `purvey serve` runs the server.
    Every setting is an environment variable that begins with PURVEY_.
    """


for _command in (serve, worker, demo, migrate, accounts, keys):
    main.add_command(_command)
