"""What an attempt can come to: an answer, or a failure that names its stage. Both are plain values."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["url", "dns", "address", "connect", "tls", "timeout", "send", "headers", "body"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of an attempt went, in milliseconds; 0 for a stage that a kept connection skipped.

    `wait_ms` runs from the first byte sent to the end of the answer's headers.
    """

    dns_ms: int
    connect_ms: int
    tls_ms: int
    wait_ms: int
    body_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said, whatever the status; a redirect is an answer like any other.

    `body` holds the raw bytes, never decompressed, at most `max_response` of them; `truncated` says that there was
    more. `address` is the address that was talked to. Header names keep their spelling; undecodable bytes in values
    are replaced.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    address: str
    duration_ms: int
    timings: Timings

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, whatever its case, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer: the stage it ended in and a sentence, printable ASCII of at most 400 characters.

    url: the URL is not one we call · dns: the name leads nowhere · address: it leads to an address that is refused ·
    connect: nobody listens · tls: the certificate or handshake is wrong · send: the connection broke under the
    request · headers: it broke before the answer, or what came is not HTTP · body: the answer broke off ·
    timeout: the deadline passed; the sentence says in which stage.

    Nothing has been sent when the stage is url, dns, address, connect or tls. `address` is None when none was chosen.
    """

    stage: Stage
    reason: str
    duration_ms: int
    address: str | None
