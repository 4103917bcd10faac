"""Uploads (DF-14, DF-22): a form with one file, stored as it comes, kept for 24 hours unless it is attached."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rawhttp
from fakes import FakeClock
from market import PATIENCE, Market, expect, open_market, running_shop
from purvey.server.app import App
from purvey.server.kit.database import Database
from served import Reply, Shop

LARGEST = 300_000
PDF = b"%PDF-1.7 a report, made for you"
BOUNDARY = "XbX"


@pytest.fixture
async def opened(database: Database, clock: FakeClock) -> AsyncIterator[tuple[Shop, App]]:
    """A server that takes files of up to 300,000 bytes."""
    async with running_shop(database, clock, max_upload_bytes=LARGEST) as found:
        yield found


def blobs(app: App) -> list[bytes]:
    """Return what lies in the storage, half-written blobs too."""
    return sorted(path.read_bytes() for path in paths(app))


def paths(app: App) -> list[Path]:
    """Return where the blobs of the storage are."""
    return [path for path in Path(urlsplit(app.storage.url).path).rglob("*") if path.is_file()]


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


async def send(
    shop: Shop, body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}", **options: str
) -> Reply:
    return await shop.post("/v1/files", data=body, headers={"Content-Type": kind} | options)


def faults(reply: Reply) -> list[tuple[list[str], str]]:
    assert reply.status == 422, reply.text
    return [(fault["loc"], fault["type"]) for fault in reply.json["errors"]]


async def test_a_file_is_uploaded_and_described(opened: tuple[Shop, App]) -> None:
    shop, app = opened
    made = expect(await shop.upload(PDF, "report.pdf", "application/pdf"), 201)
    assert made == {
        "object": "file",
        "id": made["id"],
        "filename": "report.pdf",
        "size": len(PDF),
        "content_type": "application/pdf",
        "sha256": hashlib.sha256(PDF).hexdigest(),
        "created_at": "2026-04-17T10:23:00Z",
        "expires_at": "2026-04-18T10:23:00Z",
    }
    assert made["id"].startswith("file_")
    assert expect(await shop.get(f"/v1/files/{made['id']}"), 200) == made
    assert blobs(app) == [PDF]
    # Its name in the storage tells nothing: neither the file's id nor what it is called.
    [path] = paths(app)
    assert made["id"].removeprefix("file_") not in str(path)
    assert "report" not in str(path)
    assert expect(await shop.get("/v1/files/file_unknown"), 404)["code"] == "not_found"
    described = expect(await shop.get("/openapi.json"), 200)["paths"]["/v1/files"]["post"]["requestBody"]
    assert list(described["content"]) == ["multipart/form-data"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\plan.docx", "plan.docx"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\tb\x7f\u2028c.txt", "abc.txt"),
        ("..", "file"),
        ("\u200b.", "file"),
        ("Über den Wolken 🎈.mp3", "Über den Wolken 🎈.mp3"),
        ("x" * 400 + ".tar.gz", "x" * 197 + ".gz"),
        ("é" * 150 + ".pdf", "é" * 98 + ".pdf"),
        ('quo"te; filename=evil.html', 'quo"te; filename=evil.html'),
    ],
)
async def test_a_hostile_name_is_kept_safe(opened: tuple[Shop, App], given: str, kept: str) -> None:
    shop, _ = opened
    sent = given.replace("\\", "\\\\").replace('"', '\\"')
    reply = await send(shop, part("file", PDF, sent) + END)
    assert expect(reply, 201)["filename"] == kept


async def test_what_a_file_is_comes_from_its_part_or_else_from_its_name(opened: tuple[Shop, App]) -> None:
    shop, _ = opened
    sent = [
        ("a.bin", "image/png"),
        ("a.pdf", None),
        ("a.epub", "application/octet-stream"),
        ("a", "no type"),
        ("a.svgz", None),
    ]
    kinds = [expect(await shop.upload(PDF, name, kind), 201)["content_type"] for name, kind in sent]
    octets = "application/octet-stream"
    assert kinds == ["image/png", "application/pdf", "application/epub+zip", octets, octets]


async def test_whatever_is_no_form_with_one_file_is_refused_by_name_and_leaves_nothing(
    opened: tuple[Shop, App],
) -> None:
    shop, app = opened
    one, form = part("file", PDF, "a.pdf"), f"multipart/form-data; boundary={BOUNDARY}"
    assert faults(await send(shop, END)) == [(["file"], "required")]
    assert faults(await send(shop, part("note", b"hello") + END)) == [(["note"], "unknown")]
    assert faults(await send(shop, part("file", b"hello") + END)) == [(["file"], "file")]
    assert faults(await send(shop, one + one + END)) == [(["file"], "count")]
    assert faults(await send(shop, one + part("note", b"hello") + END)) == [(["note"], "unknown")]
    assert faults(await send(shop, part("file", b"", "a.pdf") + END)) == [(["file"], "empty")]
    assert faults(await send(shop, part("file", PDF, "a%00\0.pdf") + END)) == [(["file", "filename"], "odd_text")]
    assert faults(await send(shop, one)) == [([], "form")]
    assert faults(await send(shop, b"")) == [([], "form")]
    assert faults(await send(shop, b"hello", kind=form)) == [([], "form")]
    assert faults(await send(shop, b"{}", kind="application/json")) == [([], "content_type")]
    assert faults(await send(shop, one + END, kind="multipart/form-data")) == [([], "content_type")]
    assert (await send(shop, one + END, kind="multipart/form-data; boundary=\xfc")).status == 422
    assert blobs(app) == []
    assert await shop.tools.database.value("SELECT count(*) FROM files") == 0


async def test_a_file_that_is_too_large_is_refused_as_early_as_it_is_known(opened: tuple[Shop, App]) -> None:
    shop, app = opened
    expect(await shop.upload(b"x" * LARGEST), 201)
    told = expect(await shop.upload(b"x" * (LARGEST + 1)), 413)
    assert (told["code"], told["limit"]) == ("payload_too_large", LARGEST)
    # By what the header says alone: no byte of the body was asked for.
    head = {
        "Authorization": f"Bearer {shop.key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(10**12),
        "Expect": "100-continue",
    }
    answer = await rawhttp.ask(shop.url, "POST", "/v1/files", head)
    assert answer.status == 413

    # By the bytes, when nothing was announced.
    async def pieces() -> AsyncIterator[bytes]:
        yield part("file", b"", "a.bin")[:-2]
        for _ in range(20):
            yield b"x" * 20_000

    expect(await send(shop, pieces()), 413)  # type: ignore[arg-type]  # the client takes both
    assert [len(blob) for blob in blobs(app)] == [LARGEST]


async def test_an_upload_that_breaks_off_leaves_nothing(opened: tuple[Shop, App]) -> None:
    shop, app = opened
    parts = urlsplit(shop.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = {
        "Authorization": f"Bearer {shop.key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": "250000",
    }
    writer.write(
        rawhttp.request("POST", "/v1/files", head, part("file", b"x" * 1000, "a.bin")).replace(
            b"Content-Length: 10", b"X-Y: 10"
        )
    )
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        while not await shop.tools.database.value("SELECT count(*) FROM files"):  # noqa: ASYNC110  # what is waited for is a row
            await asyncio.sleep(0)
        writer.close()
        while await shop.tools.database.value("SELECT count(*) FROM files"):  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0)
    assert blobs(app) == []


async def test_the_same_upload_again_with_its_key_has_one_effect(opened: tuple[Shop, App]) -> None:
    shop, app = opened
    key = {"Idempotency-Key": "one"}
    first = await shop.upload(PDF, headers=key)
    again = await shop.upload(PDF, headers=key)
    assert (first.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    for other in (await shop.upload(PDF + b"!", headers=key), await shop.upload(PDF, "other.pdf", headers=key)):
        assert expect(other, 422)["code"] == "idempotency_key_reuse"
    replies = await asyncio.gather(*[shop.upload(PDF, headers={"Idempotency-Key": "two"}) for _ in range(12)])
    made = {reply.body for reply in replies if reply.status == 201}
    assert len(made) == 1
    assert {reply.json["code"] for reply in replies if reply.status != 201} <= {"idempotency_request_in_progress"}
    assert len(blobs(app)) == 2
    assert await shop.tools.database.value("SELECT count(*) FROM files") == 2


async def test_a_file_that_nobody_attaches_goes_after_24_hours(database: Database, clock: FakeClock) -> None:
    async with open_market(database, clock) as market:
        made = expect(await market.shop.upload(PDF), 201)
        market.later(hours=23.9)
        expect(await market.shop.get(f"/v1/files/{made['id']}"), 200)
        market.later(hours=0.1)
        expect(await market.shop.get(f"/v1/files/{made['id']}"), 404)
        async with asyncio.timeout(PATIENCE):
            while await database.value("SELECT count(*) FROM files"):  # noqa: ASYNC110  # what is waited for is a row
                await asyncio.sleep(0)
        assert blobs(market.app) == []


async def test_another_account_s_file_is_unknown(market: Market) -> None:
    made = expect(await market.shop.upload(PDF), 201)
    stranger = await market.stranger()
    expect(await market.shop.get(f"/v1/files/{made['id']}", key=stranger), 404)
    expect(await market.shop.get(f"/v1/files/{made['id']}", key=None), 401)
    expect(await market.shop.upload(PDF, key=None), 401)
