"""One wide line per request and per job, as JSON for machines or aligned for people."""

import logging
import sys
from typing import Literal

import msgspec
import structlog


def configure(form: Literal["pretty", "json"], *, for_good: bool = False) -> None:
    """Send all log lines to standard error in the given form; libraries speak up from warnings on.

    `for_good` says that nobody will configure them again, which makes each line cheaper.
    """
    renderer = (
        structlog.processors.JSONRenderer(serializer=_json)
        if form == "json"
        # A plain traceback: the richer ones print local variables, and with them secrets.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form == "json" else _as_it_is,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=(
            structlog.BytesLoggerFactory(file=sys.stderr.buffer)
            if form == "json"
            else structlog.PrintLoggerFactory(file=sys.stderr)
        ),
        cache_logger_on_first_use=for_good,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _json(event: structlog.typing.EventDict, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def _as_it_is(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
