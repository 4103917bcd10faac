"""The loop that catches up with what was missed, as sellers are told to write it; only its surroundings are ours."""

from collections.abc import Callable
from typing import Any, Protocol

from purvey import Purvey


class Time(Protocol):
    """What sleeps."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def run(
    client: Purvey,
    time: Time,
    load_cursor: Callable[[], str | None],
    save_cursor: Callable[[str], None],
    handle: Callable[[Any], None],
) -> None:
    """Run the loop until something in it raises."""
    last_seen = load_cursor()

    while True:
        page = client.events.list(after=last_seen, limit=100)
        for event in page.data:
            handle(event)
            last_seen = event.id
            save_cursor(last_seen)

        if not page.has_more:
            time.sleep(30)
