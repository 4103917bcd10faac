"""Checks of how buyers reach the shop, and how the shop reaches them."""

import asyncio
from urllib.parse import urlsplit

import aiosmtplib

from purvey.server.doctor.machine import lookup
from purvey.server.doctor.model import Finding, ok, problem, warning
from purvey.server.doctor.patient import Patient
from purvey.server.mail.transports import Server, read_url
from purvey.server.settings import Settings

GREETED_WITHIN = 8.0
"""Seconds that the mail server may take to let us in."""


async def base_url(patient: Patient) -> Finding:
    """Check that the address in links leads somewhere, encrypted."""
    given = patient.settings
    parts = urlsplit(given.url)
    if given.on_loopback:
        return ok(f"{given.url} is for this machine only.")
    try:
        async with asyncio.timeout(5):
            addresses = await lookup(parts.hostname or "")
    except (OSError, TimeoutError):
        return problem(
            f"The name {parts.hostname} in PURVEY_BASE_URL has no address.",
            "Give it one at your name server, or mend the URL.",
        )
    if parts.scheme != "https":
        return problem(
            f"{given.url} is not encrypted: keys and links to paid content can be read on the way.",
            "Put a reverse proxy with a certificate in front, and set PURVEY_BASE_URL to https://...",
        )
    return ok(f"{given.url} leads to {', '.join(addresses)}.")


async def sandbox(patient: Patient) -> Finding | None:
    """Check that no stranger can pay with a test card."""
    given = patient.settings
    if given.payments != "sandbox":
        return None
    if given.on_loopback:
        return ok("Payments go to the sandbox, which only this machine can reach.")
    return warning(
        f"Payments go to the sandbox, and {given.url} is public: anybody can have your goods for a test card.",
        "That is for trying things out; list nothing of value.",
    )


async def private_urls(patient: Patient) -> Finding | None:
    """Check that webhooks cannot be sent to the inside of the network."""
    given = patient.settings
    if not given.allow_private_urls or given.on_loopback:
        return None
    return warning(
        "PURVEY_ALLOW_PRIVATE_URLS is on: sellers can have requests sent to machines inside your network.",
        "Unset it; it is for local development.",
    )


async def mail(patient: Patient) -> Finding:
    """Check that the mail server lets us in."""
    given = patient.settings
    if given.smtp_url is None:
        return ok("Mail is kept in the built-in mailbox, at /mailbox.")
    try:
        server = read_url(given.smtp_url)
    except ValueError as error:
        return problem("PURVEY_SMTP_URL names no server.", str(error))
    try:
        async with asyncio.timeout(GREETED_WITHIN):
            await _greet(server)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        return problem(
            f"The mail server {server.host}:{server.port} does not let us in: {_reason(error)}.",
            "See whether PURVEY_SMTP_URL is right, and whether this machine may go out on that port.",
        )
    return _sender(given, f"The mail server {server.host}:{server.port} greets us.")


async def _greet(server: Server) -> None:
    """Connect, encrypt as it is done for mail, and say EHLO; nothing is sent."""
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls,
        start_tls=server.start_tls,
        validate_certs=not server.on_loopback,
        timeout=GREETED_WITHIN,
    )
    async with client:
        await client.ehlo()


def _sender(given: Settings, says: str) -> Finding:
    if given.mail_from.rstrip("> ").endswith("@localhost") and not given.on_loopback:
        return warning(
            f"{says} The sender is {given.mail_from}, whom most mail servers refuse.",
            "Set PURVEY_MAIL_FROM to an address of your own domain.",
        )
    return ok(says)


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or "it does not answer"
