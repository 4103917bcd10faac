"""The routes of files. Another account's file is exactly like an unknown one: 404."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath

from purvey.server.accounts.api import for_sellers
from purvey.server.accounts.model import Account
from purvey.server.files import actions
from purvey.server.files.actions import Arrived
from purvey.server.files.form import FIELD, UploadForm
from purvey.server.files.model import File
from purvey.server.files.storage import Storage
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Given, once, problems

TAGS = ["Files"]


class FileOut(msgspec.Struct, kw_only=True):
    """A file. `expires_at` is when it goes unless a listing or an order names it by then; null: one does, and it stays."""

    object: Literal["file"] = "file"
    id: str
    filename: str
    size: int
    content_type: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None


@dataclass
class Upload(Operation):
    """An operation whose body is a form with one file: what is not read by the framework is not described by it either."""

    def __post_init__(self) -> None:
        """Describe the body."""
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="The file, with its name.")
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: file}, required=[FIELD], additional_properties=False)
        self.request_body = RequestBody(required=True, content={"multipart/form-data": OpenAPIMediaType(schema=form)})


@contextlib.asynccontextmanager
async def _arriving(
    request: Request[Any, Any, Any], tools: Tools, account: Account, storage: Storage
) -> AsyncIterator[Arrived]:
    form = UploadForm(request, storage.largest)
    named = await form.begin()
    async with actions.arriving(tools, storage, account.id, named, form.chunks()) as arrived:
        yield arrived


@post("/v1/files", tags=TAGS, request_max_body_size=None, operation_class=Upload)
@once(reads=_arriving)
async def upload_file(body: Arrived, tools: Given[Tools], account: Given[Account], storage: Given[Storage]) -> FileOut:
    """Upload a file: a form with the one field `file`. Its `id` is the token of a deliverable; unattached, it stays 24 hours."""
    del account, storage
    return _out(await actions.keep(tools, body))


@get("/v1/files/{file_id:str}", tags=TAGS, responses=problems(_404="This account has no such file."))
async def read_file(file_id: FromPath[str], tools: Given[Tools], account: Given[Account]) -> FileOut:
    """Return what is known of a file; its bytes are its buyers' alone."""
    return _out(await actions.read(tools, account.id, file_id))


def _out(file: File) -> FileOut:
    return FileOut(
        id=file.id,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        sha256=file.sha256.hex(),
        created_at=file.created_at,
        expires_at=file.expires_at,
    )


routes = [for_sellers(upload_file, read_file)]
