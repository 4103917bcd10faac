"""The stylesheet and the script of the pages, read once, with addresses that change when they do."""

import hashlib
from pathlib import Path

import msgspec

PREFIX = "/assets/"
"""Where the files are served."""


class Asset(msgspec.Struct, frozen=True):
    """A file as it is served; `version` is the beginning of its SHA-256."""

    content: bytes
    content_type: str
    version: str


_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:12])


ASSETS = {path.name: _read(path) for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in _TYPES}
"""Every asset by its file name."""


def url(name: str) -> str:
    """Return the address of an asset; it may be kept for ever, since a changed file has another one."""
    return f"{PREFIX}{name}?v={ASSETS[name].version}"
