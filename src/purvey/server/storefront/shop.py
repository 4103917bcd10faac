"""What every page must know of this server, and who asks for it."""

from dataclasses import dataclass
from typing import Any

from litestar import Request

Browser = Request[Any, Any, Any]
"""A request as a page's handler is given it: nobody signs in, and nothing is kept about who asks."""


@dataclass(frozen=True, slots=True)
class Shop:
    """`test_mode`: payments go to the sandbox, and every page says so. `has_mailbox`: mail is kept at /mailbox."""

    test_mode: bool
    has_mailbox: bool
