"""The command `purvey`."""

import sys
from importlib.util import find_spec

NEEDED = ("asyncpg", "litestar", "granian", "msgspec")
"""What the server's commands cannot do without: present when the extra `server` is installed."""


def main() -> None:
    """Run the command line, or say what to install: the base package is the client alone."""
    if any(find_spec(name) is None for name in NEEDED):
        sys.exit("purvey: the server is not installed. Its commands need: pip install 'purvey[server]'")
    from purvey.server.cli import main as command  # noqa: PLC0415  # only now is it known to be there

    command()


if __name__ == "__main__":
    main()
