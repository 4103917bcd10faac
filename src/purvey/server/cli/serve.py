"""`purvey serve` and `purvey worker`."""

import logging
from pathlib import Path

import click

from purvey.server import serving
from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.kit import log


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on.  [default: 8000]")
@data_option
@click.option(
    "--role",
    type=click.Choice(["all", "api", "worker"]),
    default="all",
    show_default=True,
    help="What this process does: answer requests, do what was queued, or both.",
)
def serve(host: str | None, port: int | None, data_dir: Path | None, role: serving.Role) -> None:
    """Run the server until Ctrl-C.

    Without PURVEY_DATABASE_URL it brings its own PostgreSQL, in the data directory.
    """
    _run(role, host=host, port=port, data_dir=data_dir)


@click.command()
@data_option
def worker(data_dir: Path | None) -> None:
    """Run one more worker beside a running server."""
    _run("worker", data_dir=data_dir)


def _run(role: serving.Role, **given: object) -> None:
    settings = frame.settings(**given)
    log.configure(settings.log_format)
    # On a lost connection it prints a traceback; the line that `Database` logs says the same.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    frame.run(serving.serve(settings, role, ready=_say_ready))


def _say_ready(url: str) -> None:
    click.echo(f"Purvey is ready at {url}  (Ctrl-C stops it)")
