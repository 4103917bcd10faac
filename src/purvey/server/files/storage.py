"""Where the bytes of files lie: a folder of this machine, or a bucket that speaks S3.

Neither is served from: what is in it has names made by chance, and only `access` hands bytes out. With a bucket, credentials come
from the environment as with every program for S3: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from purvey.server.kit.problem import Unavailable

log = structlog.get_logger()

MIB = 1024 * 1024
PART = 8 * MIB
"""Bytes that are sent to the storage at once; S3 takes parts of 5 MiB or more."""
PARTS_AT_ONCE = 2
MOST_PARTS = 9_000
"""S3 takes 10,000 parts of one file."""
CHUNK = {"file": MIB // 4, "s3": MIB}
"""Bytes that are read at once, and held until they are taken; a request to a bucket costs more than a look into a folder."""
REQUEST_WITHIN = timedelta(minutes=2)
"""How long one request to a bucket may take: that is one part, or one chunk, and no client is waited for in it."""
RETRY_WITHIN = timedelta(seconds=30)
"""How long a request that failed is tried again."""
FAILED = (BaseError, OSError)
"""The storage cannot be reached, or does not have what it should."""


class Storage:
    """Puts, reads and deletes blobs. `url` is file:///folder or s3://bucket/prefix; `largest` is how many bytes a blob may have.

    Nothing is opened before it is used, and a folder is made when the first blob comes. Whatever fails raises Unavailable.
    """

    def __init__(self, url: str, largest: int) -> None:
        self.url = url
        self.largest = largest
        self._part = max(PART, -(-largest // MOST_PARTS))

    async def put(self, blob: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a blob as it comes, whole or not at all. What `chunks` raises comes out as it is."""
        # A problem that `chunks` raises is no fault of the storage's, whatever class it has.
        with _told("put"):
            await obstore.put_async(self._store, blob, chunks, chunk_size=self._part, max_concurrency=PARTS_AT_ONCE)
            if self.folder is not None:
                await asyncio.to_thread(_on_disk, self.folder / blob)

    async def find(self, blob: str) -> None:
        """Return if a blob is there and can be reached; raise Unavailable otherwise."""
        with _told("find"):
            await obstore.head_async(self._store, blob)

    async def read(self, blob: str, first: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a blob from `first` up to, but without, `end`, a chunk at a time.

        Each chunk is read when the one before has been taken, by a request of its own: so a slow reader holds nothing open.
        """
        step = CHUNK[urlsplit(self.url).scheme]
        for at in range(first, end, step):
            with _told("read"):
                chunk = await obstore.get_range_async(self._store, blob, start=at, end=min(at + step, end))
            yield bytes(chunk)

    async def delete(self, blob: str) -> None:
        """Delete a blob, and what a process that died had stored of it; one that is not there is deleted already."""
        with _told("delete"):
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, blob)
            if self.folder is not None:
                await asyncio.to_thread(_sweep, self.folder / blob)

    @cached_property
    def folder(self) -> Path | None:
        """The folder of this machine that it is; None for a bucket."""
        parts = urlsplit(self.url)
        return Path(url2pathname(parts.path)) if parts.scheme == "file" else None

    @cached_property
    def _store(self) -> ObjectStore:
        if self.folder is None:
            # An endpoint on http:// is whoever's who has named it.
            return S3Store.from_url(
                self.url,
                client_options={
                    "timeout": REQUEST_WITHIN,
                    "connect_timeout": timedelta(seconds=5),
                    "allow_http": True,
                },
                retry_config={"max_retries": 5, "retry_timeout": RETRY_WITHIN},
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(self.folder)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except FAILED as error:
        log.error("storage.failed", doing=what, error=type(error).__name__, reason=str(error))  # noqa: TRY400  # the reason is enough
        raise Unavailable("The file storage cannot be reached; try again in a moment.", retry_after=5) from error


def _on_disk(path: Path) -> None:
    """Return when the file, and the folders that name it, would survive a power cut."""
    for one in (path, path.parent, path.parent.parent):
        opened = os.open(one, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _sweep(path: Path) -> None:
    """Remove what is being written beside a file until it is complete: `NAME#1`, left by a process that died."""
    for left in path.parent.glob(f"{path.name}#*"):
        left.unlink(missing_ok=True)
