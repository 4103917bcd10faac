"""Checks of where uploaded files lie."""

import secrets
from collections.abc import AsyncIterator

from purvey.server.doctor.model import Finding, ok, problem
from purvey.server.doctor.patient import Patient
from purvey.server.files.storage import Storage
from purvey.server.kit.problem import Unavailable

PROBE = b"Can this be written, read and deleted?"
LONGEST_REASON = 200
REMEDY = (
    "Let the user whom the server runs as read and write there, or set PURVEY_STORAGE_URL; "
    "for a bucket, see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL."
)


async def file_storage(patient: Patient) -> Finding:
    """Check that a file can be stored, read and deleted, with a probe that is gone afterwards."""
    storage = Storage(patient.settings.storage, len(PROBE))
    if storage.folder is not None and not storage.folder.exists():
        return ok(f"{storage.folder} is not there yet; it is made when the first file comes.")
    blob = f"probe/{secrets.token_hex(8)}"
    try:
        await storage.put(blob, _probe())
        found = b"".join([piece async for piece in storage.read(blob, 0, len(PROBE))])
        await storage.delete(blob)
    except Unavailable as error:
        return problem(f"Files cannot be kept at {storage.url}: {_reason(error)}.", REMEDY)
    if found != PROBE:
        return problem(f"{storage.url} does not return what was stored there.", "Choose another place for files.")
    return ok(f"Files can be stored, read and deleted at {storage.url}.")


async def _probe() -> AsyncIterator[bytes]:
    yield PROBE


def _reason(error: Unavailable) -> str:
    """Return the first line of what went wrong below, at a length that can be read."""
    said = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(". ")
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]} ..."
