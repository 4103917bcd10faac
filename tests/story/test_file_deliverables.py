"""Files on listings and orders (DF-11, DF-13, FU-7, FU-9, FU-10): a token names a file of the account that is there, or a field."""

import asyncio
from typing import Any

import pytest

from market import PATIENCE, Market, expect
from served import Reply

TEXT = {"type": "text", "value": "the goods"}


def file(token: str) -> dict[str, str]:
    return {"type": "file", "token": token}


async def uploaded(market: Market, content: bytes = b"the book", **options: Any) -> str:
    """Upload a file and return its token."""
    return str(expect(await market.shop.upload(content, **options), 201)["id"])


def named(reply: Reply) -> list[list[str | int]]:
    """Return the fields that a 422 says hold no file."""
    assert reply.status == 422, reply.text
    assert {fault["type"] for fault in reply.json["errors"]} == {"unknown_file"}
    return [fault["loc"] for fault in reply.json["errors"]]


async def stays(market: Market, token: str) -> bool:
    return expect(await market.shop.get(f"/v1/files/{token}"), 200)["expires_at"] is None


async def test_a_listing_holds_files_and_a_file_many_listings(market: Market) -> None:
    one, two, left = [await uploaded(market) for _ in range(3)]
    made = await market.listing(publish=False, deliverables=[file(one), TEXT])
    assert [(held["type"], held["token"]) for held in made["deliverables"]] == [("file", one), ("text", None)]
    path = f"/v1/listings/{made['id']}/deliverables"
    added = expect(await market.shop.post(path, json=file(two)), 201)
    assert (added["object"], added["type"], added["token"], added["value"]) == ("deliverable", "file", two, None)
    again = expect(await market.shop.put(path, json={"deliverables": [file(two), file(two)]}), 200)
    assert [held["token"] for held in again["deliverables"]] == [two, two]
    other = await market.listing(deliverables=[file(one)])
    expect(await market.shop.put(f"/v1/listings/{made['id']}", json={"deliverables": [file(one)]}), 200)
    assert [await stays(market, token) for token in (one, two, left)] == [True, True, False]
    refused = expect(await market.shop.put(f"/v1/listings/{other['id']}/deliverables", json={"deliverables": []}), 409)
    assert refused["code"] == "not_in_draft"
    market.later(hours=25)
    expect(await market.shop.get(f"/v1/files/{left}"), 404)
    assert await stays(market, one)


@pytest.mark.parametrize("which", ["unknown", "another account's", "expired"])
async def test_a_token_that_is_no_file_of_the_account_is_named_where_it_stands(market: Market, which: str) -> None:
    good = await uploaded(market)
    bad = {
        "unknown": "file_nobody_has",
        "another account's": await uploaded(market, key=await market.stranger()),
        "expired": await uploaded(market),
    }[which]
    draft = await market.listing(publish=False, deliverables=[file(good)])
    order = (await market.order(await market.buy(await market.generated())))["id"]
    if which == "expired":
        market.later(hours=24)
    sent: list[tuple[str, str, Any, list[list[str | int]]]] = [
        (
            "POST",
            "/v1/listings",
            {"name": "K", "price": 5, "deliverables": [TEXT, file(bad)]},
            [["deliverables", 1, "token"]],
        ),
        ("PATCH", "/v1/listings/{listing}", {"deliverables": [file(bad)]}, [["deliverables", 0, "token"]]),
        (
            "PUT",
            "/v1/listings/{listing}/deliverables",
            {"deliverables": [file(good), file(bad)]},
            [["deliverables", 1, "token"]],
        ),
        ("POST", "/v1/listings/{listing}/deliverables", file(bad), [["token"]]),
        ("POST", "/v1/orders/{order}/deliver", file(bad), [["token"]]),
        ("POST", "/v1/orders/{order}/fulfill", {"deliverable": file(bad)}, [["deliverable", "token"]]),
        (
            "POST",
            "/v1/orders/{order}/fulfill",
            {"deliverables": [file(bad), file(good), file(bad)]},
            [["deliverables", 0, "token"], ["deliverables", 2, "token"]],
        ),
    ]
    for method, path, body, fields in sent:
        target = path.format(listing=draft["id"], order=order)
        assert named(await market.shop.ask(method, target, json=body)) == fields
        keyed = await market.shop.ask(method, target, json=body, headers={"Idempotency-Key": target})
        assert named(keyed) == fields
    assert (await market.order_by_id(order))["status"] == "processing"


async def test_what_pairs_type_and_token_wrongly_is_told_so(market: Market) -> None:
    token = await uploaded(market)
    order = (await market.order(await market.buy(await market.generated())))["id"]
    wrong = {
        ("token",): {"type": "file"},
        ("value",): {"type": "file", "token": token, "value": "x"},
        ("value", "token"): {"type": "url", "token": token},
        ("format",): {"type": "file", "token": token, "format": "markdown"},
    }
    for fields, body in wrong.items():
        told = expect(await market.shop.post(f"/v1/orders/{order}/deliver", json=body), 422)
        assert [fault["loc"] for fault in told["errors"]] == [[field] for field in fields]


async def test_an_order_is_delivered_with_a_file_once(market: Market) -> None:
    token = await uploaded(market)
    order = (await market.order(await market.buy(await market.generated())))["id"]
    shown = expect(await market.shop.post(f"/v1/orders/{order}/deliver", json=file(token)), 200)
    assert shown["status"] == "fulfilled"
    assert [(held["type"], held["token"]) for held in shown["deliverables"]] == [("file", token)]
    market.later(hours=25)
    again = expect(await market.shop.post(f"/v1/orders/{order}/fulfill", json={"deliverable": file(token)}), 200)
    assert again == shown
    other = expect(await market.shop.post(f"/v1/orders/{order}/deliver", json=file(await uploaded(market))), 409)
    assert other["code"] == "already_fulfilled"


async def test_a_file_whose_time_runs_out_between_check_and_commit_is_named_too(market: Market) -> None:
    """The request has looked at the file and waits for the listing, which somebody else holds; meanwhile the file goes."""
    token = await uploaded(market)
    draft = await market.listing(publish=False)
    database = market.shop.tools.database
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM listings WHERE id = $1 FOR UPDATE", draft["id"])
        path = f"/v1/listings/{draft['id']}/deliverables"
        request = asyncio.create_task(market.shop.post(path, json=file(token)))
        async with asyncio.timeout(PATIENCE):
            while not await database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # seen in a table
                await asyncio.sleep(0)
        await database.write("UPDATE files SET status = 'leaving' WHERE id = $1", token)
    assert named(await request) == [["token"]]
    assert len(expect(await market.shop.get(f"/v1/listings/{draft['id']}"), 200)["deliverables"]) == 1
