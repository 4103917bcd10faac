"""A file of five gigabytes goes in and out, and the server's memory stays flat."""

import asyncio
import hashlib
import html
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from running import Serve, open_folder, serving

GIGABYTES = 5
MIB = 1024 * 1024
MOST_MEMORY = 250 * 10**6
"""Bytes of memory that the server may have had at any moment."""
BOUNDARY = "XbX"
PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'.encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()
SETTINGS = {"PURVEY_MAX_UPLOAD_BYTES": str(10 * 10**9), "PURVEY_RATE_LIMITS": "off"}
NO_HURRY = aiohttp.ClientTimeout(total=None, sock_read=300)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


@pytest.fixture
def size(scale: float) -> int:
    """How many bytes the file has: five gigabytes at the full scale, and an odd end."""
    return int(GIGABYTES * 10**9 * min(scale, 1.0)) + 12_345


def blocks(size: int) -> Iterator[bytes]:
    """Yield the content: blocks that all differ, made without keeping any of them."""
    for place in range(0, size, MIB):
        seed = hashlib.sha256(place.to_bytes(8)).digest()
        yield (seed * (MIB // len(seed)))[: min(MIB, size - place)]


def most_memory(server: Serve) -> int:
    """Return the most memory that the server's process has had so far, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.child.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def upload(server: Serve, key: str, size: int) -> tuple[str, bytes]:
    """Upload the file as it is made; return its id and its SHA-256."""
    digest = hashlib.sha256()

    async def form() -> AsyncIterator[bytes]:
        yield PART
        for block in blocks(size):
            digest.update(block)
            yield block
        yield END

    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with server.session.post(f"{server.url}/v1/files", data=form(), headers=headers, timeout=NO_HURRY) as answer:
        made = await answer.json()
        assert answer.status == 201, made
    assert (made["size"], made["sha256"]) == (size, digest.hexdigest())
    return made["id"], digest.digest()


async def link(server: Serve, key: str, token: str) -> str:
    """Sell the file, buy it, and return its download link."""
    listing = await server.list_kit(key, price=0, deliverables=[{"type": "file", "token": token}])
    checkout = await server.ask(
        "POST", "/v1/checkouts", body={"listing_id": listing["id"], "buyer_email": "a@example.com"}
    )
    back = await server.ask("GET", f"/checkout/{checkout.json['id']}/return")
    page = await server.ask("GET", back.headers["Location"])
    found = re.search(r'href="(/download/[^"]+)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


async def download(server: Serve, path: str, digest: "hashlib._Hash", begin: int, end: int | None) -> int:
    """Download from `begin` on, hash what comes, and go away at `end`; return how far it came."""
    at = begin
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    async with server.session.get(server.url + path, headers=headers, timeout=NO_HURRY) as answer:
        assert answer.status == (206 if begin else 200)
        async for block in answer.content.iter_chunked(MIB):
            digest.update(block)
            at += len(block)
            if end is not None and at >= end:
                answer.close()
                break
    return at


async def test_a_large_file_goes_in_and_out_with_flat_memory(
    folder: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(folder / "data", settings=SETTINGS) as server:
        key = (await server.account())["api_key"]
        before = most_memory(server)
        token, expected = await upload(server, key, size)
        uploaded = most_memory(server)
        path = await link(server, key, token)
        whole, resumed = hashlib.sha256(), hashlib.sha256()
        assert await download(server, path, whole, 0, None) == size
        middle = await download(server, path, resumed, 0, size // 2)
        assert await download(server, path, resumed, middle, None) == size
        assert whole.digest() == resumed.digest() == expected
        several = [download(server, path, hashlib.sha256(), 0, size // 10) for _ in range(4)]
        await asyncio.gather(*several)
        downloaded = most_memory(server)
        said = [
            f"{what} {memory / 1e6:.0f} MB"
            for what, memory in (("before", before), ("in", uploaded), ("out", downloaded))
        ]
        with capsys.disabled():
            sys.stdout.write(f"\n{size / 1e9:.2f} GB; most memory of the server: {', '.join(said)}\n")
        assert max(uploaded, downloaded) < MOST_MEMORY
