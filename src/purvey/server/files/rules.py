"""What a file may be called, and what it says it is. Pure: a name comes from anywhere and goes to every buyer's disk."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from mimetypes import MimeTypes

from purvey.server.deliverables.model import Content
from purvey.server.files.model import Loc, Wanted

KEPT = timedelta(hours=24)
"""How long a file stays that nobody attaches, from the beginning of its upload."""
LONGEST_NAME = 200
"""Bytes of a name in UTF-8; file systems take 255, and browsers append to them."""
LONGEST_EXTENSION = 20
NAMELESS = "file"
"""What a file is called whose name has nothing in it that can be kept."""
UNKNOWN_TYPE = "application/octet-stream"

_JOINERS = "\u200c\u200d"
"""Invisible, and part of words and emoji; every other invisible character goes, above all those that turn text round."""
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
_KNOWN = MimeTypes(filenames=())
_MISSING = {".epub": "application/epub+zip", ".mobi": "application/x-mobipocket-ebook", ".md": "text/markdown"}


def safe_name(given: str) -> str:
    """Return the name that a file is kept under: without its path, control and invisible characters, and not too long.

    What a name looks like stays: case, accents and emoji; of an over-long one the end of the stem goes, not the extension.
    """
    last = re.split(r"[/\\]", given)[-1]
    kept = "".join(one for one in unicodedata.normalize("NFC", last) if one in _JOINERS or _is_kept(one))
    name = " ".join(kept.split()).rstrip(". ").strip()
    return _shortened(name) or NAMELESS


def content_type_of(given: str | None, filename: str) -> str:
    """Return the media type that a file is kept with: the one that was sent, or else what its name says it is."""
    sent = (given or "").partition(";")[0].strip().lower()
    if _TYPE.fullmatch(sent) and sent != UNKNOWN_TYPE:
        return sent
    guessed, encoding = _KNOWN.guess_type(filename)
    if encoding is not None:
        return UNKNOWN_TYPE
    extension = re.search(r"\.[^.]*$", filename.lower())
    return guessed or _MISSING.get(extension[0] if extension else "", UNKNOWN_TYPE)


def wanted(content: Sequence[Content], at: Loc = ("deliverables",), *, numbered: bool = True) -> list[Wanted]:
    """Return the files that `content` names; `at` is where it stands in the request, `numbered` that the places follow."""
    return [
        Wanted(one.token, (*at, place, "token") if numbered else (*at, "token"))
        for place, one in enumerate(content)
        if one.token is not None
    ]


def _is_kept(character: str) -> bool:
    return unicodedata.category(character) not in _DROPPED


def _shortened(name: str) -> str:
    if len(name.encode()) <= LONGEST_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > LONGEST_EXTENSION:
        stem, dot, extension = name, "", ""
    room = LONGEST_NAME - len((dot + extension).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + extension
