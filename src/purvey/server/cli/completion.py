"""`purvey completion`."""

import click
from click.shell_completion import get_completion_class

HINT = """\b
To try it in bash:  eval "$(purvey completion bash)"
To keep it, write what is printed into a file that the shell reads:
  bash  ~/.local/share/bash-completion/completions/purvey
  zsh   _purvey, in a folder that $fpath names
  fish  ~/.config/fish/completions/purvey.fish
"""


@click.command(epilog=HINT)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete the commands and options of purvey."""
    found = get_completion_class(shell)
    assert found  # noqa: S101  # for the type checker: click has these three
    click.echo(found(ctx.find_root().command, {}, "purvey", "_PURVEY_COMPLETE").source())
