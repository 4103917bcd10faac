"""The ways out for a mail: an SMTP server, or the built-in mailbox."""

import asyncio
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec

from purvey.server.kit.tools import Tools
from purvey.server.mail import store
from purvey.server.mail.model import Accepted, Answer, Away, Letter, Never, NotNow

DEADLINE = 30.0
"""Seconds that handing over one message may take in all, so that it ends well before the job's lease of 45 s."""


class Transport(Protocol):
    """Takes a mail on, or says why not; it never raises for what the other side does."""

    async def send(self, message_id: str, mail: EmailMessage) -> Answer:
        """Hand the mail over."""
        ...


class Server(msgspec.Struct, frozen=True):
    """An SMTP server. `tls` from the first byte is smtps://; otherwise STARTTLS is used when it is offered."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool

    @property
    def on_loopback(self) -> bool:
        """Whether the server runs on this machine, so that nobody can listen in between."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def start_tls(self) -> bool | None:
        """Return what aiosmtplib calls `start_tls`: True insists, None takes what is offered.

        A password goes to another machine under TLS only.
        """
        if self.tls:
            return False
        return True if self.user is not None and not self.on_loopback else None


def read_url(url: str) -> Server:
    """Return the server that `smtp[s]://user:password@host:port` names; raise ValueError if it names none.

    The port is 465 for smtps, otherwise 587 with a user and 25 without.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or port == 0:
        raise ValueError(f"PURVEY_SMTP_URL names no server. Give it like {_EXAMPLE}.")
    tls = parts.scheme == "smtps"
    user = unquote(parts.username) if parts.username else None
    usual = 465 if tls else 587 if user else 25
    return Server(parts.hostname, port or usual, user, unquote(parts.password or "") if user else None, tls)


_EXAMPLE = "smtps://user:password@smtp.example.com:465 (write special characters of the password as %XX)"


def choose(tools: Tools, smtp_url: str | None) -> Transport:
    """Return the transport that the settings ask for: the mail server, or the built-in mailbox without one."""
    return Mailbox(tools) if smtp_url is None else Smtp(read_url(smtp_url))


class Mailbox:
    """Keeps every mail in the database, for reading at /mailbox."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def send(self, message_id: str, mail: EmailMessage) -> Answer:
        """Put the mail into the mailbox; one that is sent again is there once."""
        letter = Letter(
            message_id=message_id,
            recipient=str(mail["To"]),
            subject=str(mail["Subject"]),
            text=_part(mail, "plain"),
            html=_part(mail, "html"),
            received_at=self._tools.clock.now(),
        )
        await store.put_in_mailbox(self._tools.database, letter)
        return Accepted()


def _part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    if body is None:
        raise ValueError(f"the mail has no {kind} part")
    text: str = body.get_content()
    return text.replace("\r\n", "\n")


class Smtp:
    """Hands each mail to an SMTP server (RFC 5321), over a connection of its own, within `deadline` seconds."""

    def __init__(self, server: Server, deadline: float = DEADLINE) -> None:
        self._server = server
        self._deadline = deadline

    async def send(self, message_id: str, mail: EmailMessage) -> Answer:  # noqa: ARG002  # the mail itself bears its id
        """Hand the mail over."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._hand_over(mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(error.recipients[0])
        except aiosmtplib.SMTPNotSupported as error:
            return Never(error.message) if _is_odd(mail) else Away(error.message)
        except aiosmtplib.SMTPDataError as error:
            return NotNow(f"{error.code} {error.message}")
        except aiosmtplib.SMTPResponseException as error:
            return Away(f"{error.code} {error.message}")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Away(f"{self._server.host}:{self._server.port}: {_said(error)}")
        return Accepted()

    async def _hand_over(self, mail: EmailMessage) -> None:
        server = self._server
        await aiosmtplib.send(
            mail,
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.start_tls,
            validate_certs=not server.on_loopback,
            local_hostname=mail["From"].addresses[0].domain,
            timeout=self._deadline,
        )


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refused(refusal: aiosmtplib.SMTPRecipientRefused) -> Answer:
    """Tell "no such mailbox" from "not now" and from "not from you".

    Status 5.7.x (RFC 3463) is about permissions, such as relaying: the operator can mend that, so it is tried again.
    """
    said = f"{refusal.code} {refusal.message}"
    permanent = 500 <= refusal.code < 600 and not refusal.message.startswith("5.7.")
    return Never(said) if permanent else NotNow(said)


def _is_odd(mail: EmailMessage) -> bool:
    """Return whether the recipient's address needs SMTPUTF8 (RFC 6531)."""
    return not mail["To"].addresses[0].addr_spec.isascii()
