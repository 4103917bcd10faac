"""What every page must know of this server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shop:
    """`test_mode`: payments go to the sandbox, and every page says so. `has_mailbox`: mail is kept at /mailbox."""

    test_mode: bool
    has_mailbox: bool
