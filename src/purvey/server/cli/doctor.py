"""`purvey doctor`."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from purvey.server.cli.frame import data_option
from purvey.server.doctor.examination import examine
from purvey.server.doctor.model import Checked, amount, verdict
from purvey.server.settings import Settings, SettingsError, read

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def doctor(data_dir: Path | None, *, as_json: bool) -> None:
    """Check this installation, and say what is wrong and what to do.

    It changes nothing, and works beside a running server as well as without one. The exit status is 0 when there is no problem;
    warnings are allowed.
    """
    # What goes wrong is told by the findings, and standard output is for them alone.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    found = asyncio.run(examine(_settings(data_dir)))
    if as_json:
        click.echo(msgspec.json.encode({"verdict": verdict(found), "findings": found}).decode())
    else:
        _print(found)
    sys.exit(1 if verdict(found) == "problem" else 0)


def _settings(data_dir: Path | None) -> Settings | SettingsError:
    try:
        return read(os.environ, data_dir=data_dir)
    except SettingsError as error:
        return error


def _print(found: Sequence[Checked]) -> None:
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for checked in found:
        sign, colour = SIGNS[checked.level]
        says = Text(checked.says)
        if checked.remedy and checked.level != "ok":
            says.append(f"\n{checked.remedy}", "bold")
        table.add_row(Text(sign, colour), Text(checked.check), says)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\n{_summary(found)}")


def _summary(found: Sequence[Checked]) -> str:
    problems = sum(checked.level == "problem" for checked in found)
    warnings = sum(checked.level == "warning" for checked in found)
    return f"{amount(problems, 'problem')}, {amount(warnings, 'warning')}."
