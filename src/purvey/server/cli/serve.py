"""`purvey serve` and `purvey worker`."""

import logging
from pathlib import Path

import click

from purvey.server import serving, supervising
from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.kit import log
from purvey.server.metrics.exposing import Address
from purvey.server.settings import Settings

child_option = click.option("--child", is_flag=True, hidden=True, help="Started by a server of several processes.")


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
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="How many processes answer requests; with more than one, another one does the queued work.  [default: 1]",
)
@child_option
def serve(
    host: str | None, port: int | None, data_dir: Path | None, role: serving.Role, processes: int | None, *, child: bool
) -> None:
    """Run the server until Ctrl-C.

    Without PURVEY_DATABASE_URL it brings its own PostgreSQL, in the data directory.
    """
    settings = _prepared(host=host, port=port, data_dir=data_dir, processes=processes)
    if settings.processes > 1 and role != "worker":
        frame.run(supervising.supervise(settings, role, ready=_say_ready))
    else:
        frame.run(serving.serve(settings, role, ready=_say_ready, child=child))


@click.command()
@data_option
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535), help="Answer /metrics, /healthz and /readyz on this port."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address for that port.")
@child_option
def worker(data_dir: Path | None, metrics_port: int | None, metrics_host: str, *, child: bool) -> None:
    """Run one more worker beside a running server."""
    settings = _prepared(data_dir=data_dir)
    at = Address(metrics_host, metrics_port) if metrics_port else None
    frame.run(serving.serve(settings, "worker", ready=_say_working, child=child, metrics_at=at))


def _prepared(**given: object) -> Settings:
    settings = frame.settings(**given)
    log.configure(settings.log_format, for_good=True)
    # On a lost connection it prints a traceback; the line that `Database` logs says the same.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    return settings


def _say_working(url: str) -> None:
    click.echo(f"A worker for {url} is ready  (Ctrl-C stops it)")


def _say_ready(url: str) -> None:
    click.echo(f"Purvey is ready at {url}  (Ctrl-C stops it)")
