"""Following the log for ever: wait for what comes next, and go on after whatever comes between."""

from collections.abc import Mapping

from purvey.client.calls import Answer, Call, ListCall, Listed, Lost, Pause, Send, backoff, passes, pause_after, read
from purvey.client.errors import UnreadableAnswer
from purvey.client.objects import Event
from purvey.client.transports import Give, Walk

WAIT = 25
"""Seconds that one request waits for an event; less than what proxies cut off."""
PAUSE = 0.2
"""Seconds between two requests of which the first brought nothing: a server that is stopping answers at once."""
LARGEST_PAGE = 100
MOST_UNREADABLE = 3
"""Answers in a row that no Purvey server gives: fewer may be a proxy's, whose server is away."""


def follow(filters: Mapping[str, str | None], after: str | None) -> Walk:
    """Give each event after `after` once, in order, and wait for the next.

    While the server is away, or asks to be left alone, it is tried again and again. What will not pass by itself is raised:
    CursorExpired, NotFound, AuthenticationError and the like.
    """
    failures = unreadable = 0
    while True:
        call = _page(filters, after)
        outcome = yield Send(call.request())
        if isinstance(outcome, Lost) or (isinstance(outcome, Answer) and (passes(outcome) or outcome.status >= 500)):
            pause = pause_after(outcome, failures)
            if isinstance(outcome, Lost) and pause is None:
                read(call, outcome)
            yield Pause(backoff(failures) if pause is None else pause)
            failures += 1
            continue
        try:
            page = read(call, outcome)
        except UnreadableAnswer:
            unreadable += 1
            if unreadable == MOST_UNREADABLE:
                raise
            yield Pause(backoff(failures))
            failures += 1
            continue
        failures = unreadable = 0
        for event in page.data:
            after = event.id
            yield Give(event)
        if not page.data:
            yield Pause(PAUSE)


def _page(filters: Mapping[str, str | None], after: str | None) -> Call[Listed[Event]]:
    query = {**filters, "after": after, "limit": LARGEST_PAGE, "wait": WAIT}
    return ListCall("/v1/events", Event, query=query, timeout=WAIT).call()
