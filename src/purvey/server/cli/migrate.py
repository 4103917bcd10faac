"""`purvey migrate`."""

import asyncio
from pathlib import Path

import click

from purvey.server.cli import frame
from purvey.server.cli.frame import data_option
from purvey.server.installation import bring_up_to_date
from purvey.server.kit.embedded import attach


@click.command()
@data_option
def migrate(data_dir: Path | None) -> None:
    """Bring the database's schema up to this version. `purvey serve` does it by itself at the start."""
    settings = frame.settings(data_dir=data_dir)
    done = frame.run(_migrate(settings.database_url, settings.data_dir))
    click.echo("\n".join(f"ran {name}" for name in done) or "The schema is up to date.")


async def _migrate(url: str | None, data_dir: Path) -> list[str]:
    if url is None:
        url = await asyncio.to_thread(attach, data_dir)
    return await bring_up_to_date(url)
