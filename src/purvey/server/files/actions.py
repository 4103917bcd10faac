"""What becomes of a file.

Its row, and the job that removes it, are committed before the first byte is stored. Whatever dies after that leaves the job: no
bytes stay that no row names, and no row is sold whose bytes are not there.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec

from purvey.server.errors import Conflict, FieldError, ValidationError, invalid, unknown
from purvey.server.files import store
from purvey.server.files.model import File, Named, NewFile, Sum, Wanted
from purvey.server.files.rules import KEPT
from purvey.server.files.storage import Storage
from purvey.server.kit.tools import Tools

UPLOAD_WITHIN = 12 * 3600.0
"""Seconds that an upload may take: well before the job comes that removes it."""


class Arrived(msgspec.Struct, frozen=True):
    """An upload whose bytes are all stored; until it is kept, it goes by itself. `asked` tells one upload from another."""

    new: NewFile
    total: Sum

    @property
    def asked(self) -> bytes:
        """What makes two uploads the same: the file's SHA-256 and its name."""
        return self.total.sha256 + self.new.named.filename.encode()


@contextlib.asynccontextmanager
async def arriving(
    tools: Tools, storage: Storage, account_id: str, named: Named, chunks: AsyncIterator[bytes]
) -> AsyncIterator[Arrived]:
    """Store a file as it comes; unless it is kept within, it is removed. What `chunks` raises comes out as it is."""
    now = tools.clock.now()
    blob = tools.ids.secret()
    new = NewFile(account_id, tools.ids.new("file_"), named, f"{blob[:2]}/{blob[2:]}", now, now + KEPT)
    await store.begin(tools.database, new)
    try:
        yield Arrived(new, await _stored(storage, new.blob, chunks))
    finally:
        # Shielded: whoever has gone away must not keep what was stored for them from being removed.
        await asyncio.shield(discard(tools, storage, new))


async def keep(tools: Tools, arrived: Arrived) -> File:
    """Say that a file is complete, so that it can be attached. Raises Conflict if it took so long that it is being removed."""
    file = await store.finish(tools.database, arrived.new, arrived.total, tools.clock.now())
    if file is None:
        raise Conflict("The upload took longer than a file is kept that nobody attaches. Try again.")
    return file


async def discard(tools: Tools, storage: Storage, new: NewFile) -> None:
    """Remove a file that was not kept; one that was stays."""
    blob = await store.break_off(tools.database, new.account_id, new.id)
    if blob is not None:
        await storage.delete(blob)
        await store.forget(tools.database, new.account_id, new.id)


async def remove(tools: Tools, storage: Storage, account_id: str, file_id: str) -> None:
    """Remove a file whose time is over and that nobody attached; one that was attached stays."""
    blob = await store.leave(tools.database, account_id, file_id, tools.clock.now())
    if blob is not None:
        await storage.delete(blob)
        await store.forget(tools.database, account_id, file_id)


async def read(tools: Tools, account_id: str, file_id: str) -> File:
    """Return the account's file; raise NotFound for one that is another's, not complete, or gone."""
    found = await load(tools, [(account_id, file_id)])
    if file_id not in found:
        raise unknown("file", file_id)
    return found[file_id]


async def load(tools: Tools, keys: Sequence[tuple[str, str]]) -> dict[str, File]:
    """Return the files with these (account, file) ids that are there, by file id."""
    return await store.arrived(tools.database, keys, tools.clock.now()) if keys else {}


@contextlib.asynccontextmanager
async def present(tools: Tools, account_id: str, wanted: Sequence[Wanted]) -> AsyncIterator[None]:
    """Have the files that a request names be there, and stay: they are attached by what is written within.

    Raises ValidationError naming each token that is no file of this account, or is one no more: before anything is written, and
    likewise if a file's time runs out in between, which `files_attach` notices.
    """
    await _require(tools, account_id, wanted)
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate != store.VANISHED:
            raise
        await _require(tools, account_id, wanted)
        raise Conflict("A file that was to be attached is being removed. Upload it again.") from error


async def _require(tools: Tools, account_id: str, wanted: Sequence[Wanted]) -> None:
    found = await load(tools, [(account_id, one.token) for one in wanted])
    faults = [_no_file(one) for one in wanted if one.token not in found]
    if faults:
        raise invalid(faults)


def _no_file(one: Wanted) -> FieldError:
    message = (
        f"`{one.token[:100]}` is no file of this account, or was not attached within 24 hours of its upload; "
        "give the `id` that POST /v1/files returned"
    )
    return FieldError(loc=[*one.loc], msg=message, type="unknown_file")


async def _stored(storage: Storage, blob: str, chunks: AsyncIterator[bytes]) -> Sum:
    digest = hashlib.sha256()
    size = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    try:
        async with asyncio.timeout(UPLOAD_WITHIN):
            await storage.put(blob, counted())
    except TimeoutError:
        raise ValidationError("The upload took longer than 12 hours. Try again over a faster connection.") from None
    return Sum(size, digest.digest())
