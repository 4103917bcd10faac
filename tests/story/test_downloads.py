"""Download links (FU-10 to FU-14, DF-17): what counts, what joins what was counted, and what is never sent."""

import asyncio
import base64
import hashlib
import html
import re
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest

from market import PATIENCE, Market, expect
from served import Reply

BOOK = bytes(range(256)) * 40
MIB = 1024 * 1024
LINK = re.compile(r'href="(/download/[^"]+)"')


async def bought(market: Market, *content: Mapping[str, str], **fields: Any) -> tuple[str, list[str]]:
    """Sell content, buy it, and return the path of its page and the download links there."""
    access = (await market.buy(await market.listing(deliverables=list(content), **fields))).access
    return access, await links(market, access)


async def links(market: Market, access: str) -> list[str]:
    page = await market.shop.get(access, key=None)
    assert page.status == 200, page.text
    return [html.unescape(link) for link in LINK.findall(page.text)]


async def file(
    market: Market, content: bytes = BOOK, name: str = "book.pdf", kind: str | None = None
) -> dict[str, str]:
    """Upload a file and return the deliverable that it makes."""
    return {"type": "file", "token": expect(await market.shop.upload(content, name, kind), 201)["id"]}


async def get(market: Market, link: str, method: str = "GET", **headers: str) -> Reply:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return await market.shop.ask(method, link, key=None, headers={"Accept": "*/*"} | told)


async def count(market: Market) -> int:
    return int(await market.shop.tools.database.value("SELECT downloads FROM grants"))


def code(reply: Reply, status: int) -> str:
    return str(expect(reply, status)["code"])


async def test_a_buyer_downloads_what_the_page_shows(market: Market) -> None:
    access, [link] = await bought(market, await file(market, BOOK, "My book.pdf"))
    page = (await market.shop.get(access, key=None)).text
    assert all(
        shown in page for shown in ("My book.pdf", "10 kB", hashlib.sha256(BOOK).hexdigest(), "10 of 10 opens left")
    )
    letter = await market.outside.next_letter()
    assert "/download/" not in letter.as_string()
    reply = await get(market, link)
    assert (reply.status, reply.body) == (200, BOOK)
    told = {
        "Content-Type": "application/pdf",
        "Content-Length": str(len(BOOK)),
        "Content-Disposition": 'attachment; filename="My book.pdf"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{hashlib.sha256(BOOK).hexdigest()}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(BOOK).digest()).decode()}:",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    assert {name: reply.headers.get(name) for name in told} == told
    assert await count(market) == 1
    assert "9 of 10 opens left" in (await market.shop.get(access, key=None)).text


async def test_looking_counts_nothing(market: Market) -> None:
    """Mail scanners and link previews fetch the page and ask for heads; browsers fetch ahead. None of them uses anything up."""
    url = {"type": "url", "value": "https://example.com/the-goods"}
    access, [book, away] = await bought(market, await file(market), url, {"type": "text", "value": "the key"})
    for _ in range(3):
        assert (await market.shop.get(access, key=None)).status == 200
        assert (await get(market, access, "HEAD")).status == 200
        head = await get(market, book, "HEAD")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(BOOK)))
        # A part is asked for by GET alone (RFC 9110, section 14.2).
        assert (await get(market, book, "HEAD", Range="bytes=0-0")).status == 200
        assert (await get(market, away, "HEAD")).headers["Location"] == url["value"]
        for ahead in (
            {"Sec_Purpose": "prefetch;prerender"},
            {"Purpose": "prefetch"},
            {"X_Purpose": "preview"},
            {"X_Moz": "prefetch"},
        ):
            assert code(await get(market, book, **ahead), 403) == "forbidden"
        unchanged = await get(market, book, If_None_Match=head.headers["ETag"])
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert code(await get(market, book, Range=f"bytes={len(BOOK)}-"), 416) == "range_not_satisfiable"
        assert (await get(market, book, Range=f"bytes={len(BOOK)}-")).headers["Content-Range"] == f"bytes */{len(BOOK)}"
        assert code(await get(market, book, If_Match='"other"'), 412) == "precondition_failed"
    assert await count(market) == 0
    opened = await get(market, away)
    assert (opened.status, opened.headers["Location"], opened.headers["Cache-Control"]) == (
        302,
        url["value"],
        "private, no-store",
    )
    assert opened.headers["Referrer-Policy"] == "no-referrer"
    assert await count(market) == 1


async def test_parts_join_what_was_opened_and_count_once(market: Market) -> None:
    _, [link] = await bought(market, await file(market))
    got, etag = b"", f'"{hashlib.sha256(BOOK).hexdigest()}"'
    while len(got) < len(BOOK):
        reply = await get(market, link, Range=f"bytes={len(got)}-{len(got) + 999}", If_Range=etag)
        end = min(len(got) + 1000, len(BOOK))
        assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {len(got)}-{end - 1}/{len(BOOK)}")
        assert reply.headers["Content-Length"] == str(len(reply.body))
        got += reply.body
    assert (got, await count(market)) == (BOOK, 1)
    assert (await get(market, link, Range="bytes=-10")).body == BOOK[-10:]
    # The lease holds twice the file's bytes. What it has not left opens another one, which counts.
    assert (await get(market, link, Range="bytes=0-")).body == BOOK
    assert await count(market) == 2
    # What changed meanwhile, and several parts at once, are answered with the whole: these are plain openings.
    assert (await get(market, link, Range="bytes=0-9", If_Range='"another"')).body == BOOK
    assert (await get(market, link, Range="bytes=0-9, 20-29")).status == 200
    assert await count(market) == 4


async def test_a_part_joins_only_what_has_all_of_it_left_so_that_none_is_cut_off(market: Market) -> None:
    content = bytes(9 * MIB)
    _, [link] = await bought(market, await file(market, content))
    assert (await get(market, link)).body == content
    assert (await get(market, link, Range=f"bytes=0-{3 * MIB - 1}")).status == 206
    # Six of eighteen are left, which is less than the nine that are asked for, and more than is sent at once.
    assert (await get(market, link, Range="bytes=0-")).body == content
    assert await count(market) == 2
    left = await market.shop.tools.database.rows("SELECT bytes_left FROM downloads ORDER BY bytes_left")
    assert [row["bytes_left"] for row in left] == [6 * MIB, 9 * MIB]


async def test_the_eleventh_opening_is_refused_and_what_was_begun_may_be_finished(market: Market) -> None:
    access, [link, other] = await bought(market, await file(market), await file(market, b"more", "more.txt"))
    for _ in range(10):
        assert (await get(market, link)).status == 200
    assert await count(market) == 10
    assert code(await get(market, link), 410) == "grant_exhausted"
    assert (await market.shop.get(access, key=None)).status == 410
    # Ten leases with half of their bytes left: parts go on, heads too, the other file was never opened.
    assert (await get(market, link, Range="bytes=5-9")).body == BOOK[5:10]
    assert (await get(market, link, "HEAD")).status == 200
    assert code(await get(market, other, Range="bytes=0-1"), 410) == "grant_exhausted"
    assert (await get(market, other, "HEAD")).status == 410
    market.later(hours=5.9)
    assert (await get(market, link, Range="bytes=5-9")).status == 206
    market.later(hours=0.2)
    assert code(await get(market, link, Range="bytes=5-9"), 410) == "grant_exhausted"
    assert await count(market) == 10


async def test_a_download_may_be_finished_when_the_grant_has_ended_but_not_begun(market: Market) -> None:
    access, [link] = await bought(market, await file(market), grant_hours=2)
    market.later(hours=1.9)
    assert (await get(market, link)).status == 200
    market.later(hours=0.2)
    assert (await market.shop.get(access, key=None)).status == 410
    assert code(await get(market, link), 410) == "grant_expired"
    assert (await get(market, link, Range="bytes=100-")).body == BOOK[100:]
    market.later(hours=6)
    assert code(await get(market, link, Range="bytes=100-"), 410) == "grant_expired"


@pytest.mark.parametrize("way", ["refunded", "lost", "revoked"])
async def test_after_the_money_went_back_no_byte_is_served_on_any_way(market: Market, way: str) -> None:
    url = {"type": "url", "value": "https://example.com/the-goods"}
    access, [link, away] = await bought(market, await file(market), url, {"type": "text", "value": "the secret"})
    assert (await get(market, link)).status == 200
    await take_back(market, way)
    for reply in (await get(market, link), await get(market, link, Range="bytes=0-9"), await get(market, away)):
        assert code(reply, 410) == "grant_revoked"
    for one in (link, away):
        assert (await get(market, one, "HEAD")).status == 410
    page = await market.shop.get(access, key=None)
    assert (page.status, "the secret" in page.text, "/download/" in page.text) == (410, False, False)
    assert await count(market) == 1


async def test_what_was_refused_is_not_noted_as_opened(market: Market) -> None:
    url = {"type": "url", "value": "https://example.com/the-goods"}
    _, [link, away] = await bought(market, await file(market), url)
    await take_back(market, "revoked")
    for one in (link, away):
        assert code(await get(market, one), 410) == "grant_revoked"
    assert await market.shop.tools.database.rows("SELECT what FROM visits WHERE what NOT IN ('page', 'return')") == []


async def take_back(market: Market, way: str) -> None:
    change = {
        "refunded": "UPDATE orders SET payment_status = 'refunded', refund_amount = amount, refunded_at = created_at",
        "lost": "UPDATE orders SET dispute_status = 'lost', disputed_at = created_at",
        "revoked": "UPDATE grants SET revoked_at = created_at",
    }[way]
    await market.shop.tools.database.write(change)


async def test_a_refund_in_the_middle_of_a_download_stops_it(market: Market) -> None:
    content = bytes(32 * MIB)
    _, [link] = await bought(market, await file(market, content))
    async with Slow(market, link) as download:
        await download.read(1000)
        await take_back(market, "refunded")
        got = await download.rest()
    # What was under way when the money went back still comes: one window, and what the network had taken already.
    assert 1000 + got < len(content)
    assert code(await get(market, link, Range=f"bytes={got}-"), 410) == "grant_revoked"


class Slow:
    """A download that is read as slowly as one likes, over a connection that takes little ahead."""

    def __init__(self, market: Market, link: str, begin: int | None = None) -> None:
        self._parts = urlsplit(market.shop.url)
        self._lines = [f"GET {link} HTTP/1.1", "Host: shop.test", "Connection: close"]
        self._lines += [f"Range: bytes={begin}-"] if begin is not None else []

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.setblocking(False)  # the standard library's way
        await asyncio.get_running_loop().sock_connect(sock, (self._parts.hostname, self._parts.port))
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=64 * 1024)
        self._writer.write("\r\n".join([*self._lines, "", ""]).encode())
        self.head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def read(self, length: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readexactly(length)

    async def rest(self) -> int:
        """Read until the other side ends it; return how many bytes came."""
        came = 0
        async with asyncio.timeout(PATIENCE):
            while piece := await self._reader.read(MIB):
                came += len(piece)
        return came


async def test_a_download_interrupted_ten_times_and_resumed_counts_once(market: Market) -> None:
    content = bytes(96 * MIB)
    _, [link] = await bought(market, await file(market, content))
    at = 0
    for _ in range(10):
        async with Slow(market, link, at or None) as download:
            assert "200 OK" in download.head or f"bytes {at}-" in download.head
            at += len(await download.read(5 * MIB))
    async with Slow(market, link, at) as download:
        at += await download.rest()
    assert at == len(content)
    assert await count(market) == 1


async def test_n_never_becomes_n_and_one(market: Market) -> None:
    """Two hundred at once: plain openings, heads, parts of a file, and a URL, over two kinds of content."""
    url = {"type": "url", "value": "https://example.com/the-goods"}
    _, [book, away] = await bought(market, await file(market), url)
    wishes: list[tuple[str, str, dict[str, str]]] = [
        ("GET", book, {}),
        ("HEAD", book, {}),
        ("GET", book, {"Range": "bytes=0-4999"}),
        ("GET", away, {}),
    ] * 50
    replies = await asyncio.gather(*[get(market, link, method, **headers) for method, link, headers in wishes])
    told = Counter(reply.status for (method, _, _), reply in zip(wishes, replies, strict=True) if method == "GET")
    assert set(told) <= {200, 206, 302, 410}
    assert told[410] > 100
    assert await count(market) == 10
    # Each opening is a redirect, a whole file, or the first of the parts; and no lease sends more than twice the file.
    opened = await market.shop.tools.database.rows("SELECT bytes_left FROM downloads")
    assert len(opened) == 10
    leases = [row["bytes_left"] for row in opened if row["bytes_left"] is not None]
    assert told[302] == 10 - len(leases)
    assert told[200] <= len(leases)
    assert told[200] * len(BOOK) + told[206] * 5000 == 2 * len(BOOK) * len(leases) - sum(leases)


async def test_of_all_who_come_at_the_very_moment_one_gets_the_last_opening(market: Market) -> None:
    _, [link] = await bought(market, await file(market), grant_downloads=1)
    database = market.shop.tools.database
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM grants FOR UPDATE")
        asking = [asyncio.create_task(get(market, link)) for _ in range(6)]
        async with asyncio.timeout(PATIENCE):
            while await database.value("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") < 6:  # noqa: ASYNC110  # in a table
                await asyncio.sleep(0)
    replies = await asyncio.gather(*asking)
    assert sorted(reply.status for reply in replies) == [200, *[410] * 5]
    assert await count(market) == 1


async def test_what_a_link_says_cannot_be_changed(market: Market) -> None:
    _, [link] = await bought(market, await file(market))
    _, grant, deliverable, expires, signature = link.strip("/").split("/")
    forged = [
        f"/download/{grant}/{deliverable}/{int(expires) + 1}/{signature}",
        f"/download/{grant}/del_other/{expires}/{signature}",
        f"/download/grt_other/{deliverable}/{expires}/{signature}",
        f"/download/{grant}/{deliverable}/{expires}/{'0' * 64}",
    ]
    assert [code(await get(market, one), 404) for one in forged] == ["not_found"] * 4
    market.later(hours=48)
    assert code(await get(market, link), 410) == "grant_expired"
    shown = await market.shop.get(link, key=None, headers={"Accept": "text/html"})
    assert (shown.status, "the mail about the order" in shown.text) == (410, True)


@pytest.mark.parametrize(
    "name", ["Übersicht 2026 – Teil 1.pdf", 'x"; filename="y.html', "دليل 🍲.epub", "%2e%2e%2fetc"]
)
async def test_a_file_is_saved_under_its_own_name_and_never_shown(market: Market, name: str) -> None:
    _, [link] = await bought(market, await file(market, b"<script>alert(1)</script>", name, "text/html"))
    told = (await get(market, link)).headers["Content-Disposition"]
    saved = re.search(r"filename\*=UTF-8''(.+)$", told)
    assert told.startswith('attachment; filename="')
    assert (unquote(saved[1]) if saved else told.split('"')[1]) == name


async def test_what_cannot_be_read_is_not_counted(market: Market) -> None:
    _, [link] = await bought(market, await file(market))
    [blob] = [path for path in Path(urlsplit(market.app.storage.url).path).rglob("*") if path.is_file()]  # noqa: ASYNC240
    away = blob.rename(blob.with_name("away"))
    assert code(await get(market, link), 503) == "unavailable"
    assert await count(market) == 0
    away.rename(blob)
    assert (await get(market, link)).body == BOOK
