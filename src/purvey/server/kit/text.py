"""Checks and spellings of short texts."""

import re
import unicodedata
from datetime import UTC, datetime

import msgspec

LONGEST_EMAIL = 254
"""Characters of the longest address that can be delivered to (RFC 5321, section 4.5.3.1.3, less the angle brackets)."""

LONGEST_SLUG = 80

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_NO_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_EXAMPLE = "give it like ada@example.com"


def check_email(text: str) -> str:
    """Return the e-mail address without white space around it; raise ValueError with a sentence if it is none.

    What is accepted is narrower than RFC 5321: one @, no quoted local part, no white space or control characters, a domain
    of dotted labels or `localhost`. Nothing that a mailbox provider hands out is refused by that.
    """
    address = text.strip()
    if len(address) > LONGEST_EMAIL:
        raise ValueError(f"the address has {len(address)} characters; at most {LONGEST_EMAIL} can be delivered to")
    local, at, domain = address.partition("@")
    if not at or "@" in domain:
        raise ValueError(f"an e-mail address has exactly one @; {_EXAMPLE}")
    if any(_is_odd(character) for character in address):
        raise ValueError(f"an e-mail address has no spaces, control characters, quotes or brackets; {_EXAMPLE}")
    if not local or len(local) > 64 or local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError(f"what stands before the @ is no mailbox name of 1 to 64 characters; {_EXAMPLE}")
    if not _is_domain(domain):
        raise ValueError(f"what stands after the @ is no domain name; {_EXAMPLE}")
    return address


def check_storable(text: str) -> str:
    """Return `text`; raise ValueError if it holds U+0000 or a lone surrogate, which no database text and no JSON can hold."""
    if match := UNSTORABLE.search(text):
        raise ValueError(f"must not contain the character U+{ord(match.group()):04X}, which no text can hold")
    return text


def check_line(text: str, longest: int) -> str:
    """Return `text` without white space around it; raise ValueError unless it is one line of 1 to `longest` characters."""
    line = text.strip()
    if not 1 <= len(line) <= longest or any(unicodedata.category(character) in _NO_LINE for character in line):
        raise ValueError(f"must be one line of 1 to {longest} characters")
    return line


def slug(text: str) -> str:
    """Return `text` as it looks in a URL: lower-case ASCII words joined by hyphens, at most 80 characters, perhaps none."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:LONGEST_SLUG].rstrip("-")


def _is_odd(character: str) -> bool:
    return character in '"<>()[]\\,;:' or character.isspace() or unicodedata.category(character)[0] == "C"


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return domain == "localhost" or (len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels))


def check_instant(text: str) -> datetime:
    """Return the instant that RFC 3339 `text` names, in UTC; raise ValueError with a sentence if it names none."""
    try:
        at = msgspec.convert(text, datetime)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        pass
    raise ValueError("must be an instant with its offset (RFC 3339), such as 2026-04-17T10:23:00Z")
