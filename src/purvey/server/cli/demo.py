"""`purvey demo`."""

import click

from purvey.server.cli import frame
from purvey.server.demo import play


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server running, to look around; Ctrl-C stops it.")
def demo(keep: bool) -> None:  # noqa: FBT001  # a flag of the command line
    """Show the main job end to end, on a server of its own: two listings, two buyers, content delivered.

    Everything happens for real, over HTTP, in a temporary directory; a separate process plays the seller's agent.
    """
    frame.run(play(keep=keep))
