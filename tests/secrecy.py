"""Looking for secrets in all that was written."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Secret:
    """A secret, and the places where it is told on purpose: those that begin as this expression says."""

    name: str
    text: str
    places: str = "(?!)"

    @property
    def forms(self) -> set[str]:
        """How it may look where it was written: as it is, inside JSON, in a URL, as bytes in hexadecimal, in base64."""
        raw = self.text.encode()
        return {
            self.text,
            json.dumps(self.text)[1:-1],
            quote(self.text, safe=""),
            raw.hex(),
            base64.b64encode(raw).decode(),
        }


@dataclass
class Written:
    """What was written, and where: (place, text)."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)

    def add(self, place: str, text: Any) -> None:
        """Note something that was written."""
        self.pieces.append((place, text if isinstance(text, str) else str(text)))

    def secret(self, name: str, text: str, places: str = "(?!)") -> str:
        """Note a secret that is told in these places alone (without any: nowhere), and return it."""
        assert len(text) >= 8, f"{name} is too short to be looked for"
        self.secrets.append(Secret(name, text, places))
        return text

    def leaks(self) -> Iterator[str]:
        """Yield each secret that is in a place where it should not be, with what stands around it."""
        for secret in self.secrets:
            for place, text in self.pieces:
                if re.match(secret.places, place):
                    continue
                for form in secret.forms:
                    if (at := text.find(form)) >= 0:
                        yield f"{secret.name} in {place}: ...{text[max(0, at - 60) : at]}[HERE]{text[at + len(form) :][:20]}..."
                        break

    def told(self, place: str) -> str:
        """Return all that was written in places that begin so."""
        return "\n".join(text for where, text in self.pieces if where.startswith(place))
