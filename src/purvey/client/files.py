"""Files: uploaded as a stream, never held in memory."""

from os import PathLike, fspath
from pathlib import PurePath
from typing import IO

from purvey.client.calls import Call, Upload
from purvey.client.methods import AsyncGroup, AsyncMethod, Group, Method
from purvey.client.objects import File


def upload_file(
    file: "str | PathLike[str] | IO[bytes]",
    *,
    filename: str | None = None,
    content_type: str | None = None,
    idempotency_key: str | None = None,
) -> Call[File]:
    """Upload a file from its path or from an object opened for reading bytes; its `id` is a deliverable's `token`.

    An object that cannot be rewound is sent once: a failure is not tried again. Whoever attaches the file has 24 hours.
    """
    if isinstance(file, str | PathLike):
        path = fspath(file)
        upload = Upload(path, filename or PurePath(path).name, content_type)
    else:
        named = getattr(file, "name", None)
        given = PurePath(named).name if isinstance(named, str) else "file"
        upload = Upload(file, filename or given, content_type)
    return Call("POST", "/v1/files", File, upload=upload, idempotency_key=idempotency_key, timeout=600.0)


def get_file(file_id: str) -> Call[File]:
    """Return what is known of one file."""
    return Call("GET", "/v1/files/{file_id}", File, {"file_id": file_id})


class Files(Group):
    """Uploads."""

    upload = Method(upload_file)
    get = Method(get_file)


class AsyncFiles(AsyncGroup):
    """Uploads."""

    upload = AsyncMethod(upload_file)
    get = AsyncMethod(get_file)
