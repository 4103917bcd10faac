"""Where files lie: the same promises of a folder and of a bucket, which is asked over the wire, as S3 is.

The bucket is moto's server: it speaks S3's HTTP, multipart uploads and ranges included. It does not prove what only a real store
can show: durability, consistency between machines, throttling, slow or broken networks, signatures that are really checked, and
that parts of an upload that broke off stay until a lifecycle rule removes them.
"""

import http.client
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from fakes import FakeClock
from market import expect, running_shop
from purvey.server.files.storage import MIB, PART, Storage
from purvey.server.kit.database import Database
from purvey.server.kit.problem import Unavailable
from served import Shop

LARGEST = 64 * MIB


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The storage URL of a bucket of a server that speaks S3, with the environment that leads there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        made = http.client.HTTPConnection(host, port)
        made.request("PUT", "/goods")
        assert made.getresponse().status == 200
        made.close()
        yield "s3://goods/of/the/shop"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage((tmp_path / "made when needed").as_uri(), LARGEST)
    return Storage(request.getfixturevalue("bucket"), LARGEST)


async def chunks(content: bytes, fail_at: int | None = None) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 300_000):
        if fail_at is not None and at >= fail_at:
            raise ValueError("the sender went away")
        yield content[at : at + 300_000]


async def read(storage: Storage, blob: str, first: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in storage.read(blob, first, end)])


async def test_what_is_put_is_read_by_its_parts_and_deleted(storage: Storage) -> None:
    content = os.urandom(2 * PART + 12_345)
    await storage.put("ab/large", chunks(content))
    await storage.put("ab/small", chunks(b"x"))
    await storage.find("ab/large")
    assert await read(storage, "ab/large", 0, len(content)) == content
    assert await read(storage, "ab/large", PART - 5, PART + 5) == content[PART - 5 : PART + 5]
    assert await read(storage, "ab/large", len(content) - 1, len(content)) == content[-1:]
    assert await read(storage, "ab/small", 0, 1) == b"x"
    for _ in range(2):
        await storage.delete("ab/large")
    with pytest.raises(Unavailable):
        await storage.find("ab/large")
    with pytest.raises(Unavailable):
        await read(storage, "ab/large", 0, 1)
    assert await read(storage, "ab/small", 0, 1) == b"x"


async def test_what_breaks_off_is_not_there(storage: Storage) -> None:
    with pytest.raises(ValueError, match="the sender went away"):
        await storage.put("ab/half", chunks(bytes(2 * PART), fail_at=PART + 1))
    with pytest.raises(Unavailable):
        await storage.find("ab/half")
    await storage.delete("ab/half")


async def test_what_a_dead_process_left_in_a_folder_is_swept_with_its_blob(tmp_path: Path) -> None:
    storage = Storage(tmp_path.as_uri(), LARGEST)
    await storage.put("ab/other", chunks(b"stays"))
    (tmp_path / "ab" / "half#1").write_bytes(b"half of it")
    await storage.delete("ab/half")
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["other"]
    assert await read(storage, "ab/other", 0, 5) == b"stays"


async def test_a_storage_that_cannot_be_reached_is_unavailable(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "a file").write_text("in the way")
    for url in ((tmp_path / "a file").as_uri(), bucket.replace("goods", "no-such-bucket")):
        with pytest.raises(Unavailable):
            await Storage(url, LARGEST).put("ab/x", chunks(b"x"))


async def test_a_file_in_a_bucket_is_sold_like_any_other(database: Database, clock: FakeClock, bucket: str) -> None:
    async with running_shop(database, clock, storage_url=bucket) as (shop, _):
        content = os.urandom(PART + 1000)
        path = await sold(shop, content)
        whole = await shop.get(path, key=None)
        assert (whole.status, whole.body) == (200, content)
        part = await shop.get(path, key=None, headers={"Range": f"bytes={PART - 10}-"})
        assert (part.status, part.body) == (206, content[PART - 10 :])


async def sold(shop: Shop, content: bytes) -> str:
    """Sell a file for nothing, and return the download link on its buyer's page."""
    token = expect(await shop.upload(content), 201)["id"]
    body = {"name": "Kit", "price": 0, "deliverables": [{"type": "file", "token": token}]}
    listing = expect(await shop.post("/v1/listings", json=body), 201)["id"]
    expect(await shop.post(f"/v1/listings/{listing}/publish"), 200)
    buyer = {"listing_id": listing, "buyer_email": "ada@example.com"}
    access = expect(await shop.post("/v1/checkouts", json=buyer), 201)["access_url"]
    page = await shop.get(access[access.index("/access/") :], key=None)
    return page.text.partition('href="/download/')[2].partition('"')[0].join(["/download/", ""])
