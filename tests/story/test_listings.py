"""What a seller does with listings, from the first draft to the archive."""

import asyncio
import base64
import io
import json
from typing import Any

import pytest

from purvey.server.accounts import actions as accounts
from purvey.server.errors import Conflict, NotFound
from purvey.server.listings import actions
from served import Reply, Shop

TEXT = {"type": "text", "value": "the content"}
STATIC = {"name": "A Book", "price": 500, "deliverables": [TEXT]}


async def made(shop: Shop, **fields: Any) -> Any:
    reply = await shop.post("/v1/listings", json={"name": "A Book", "price": 500, **fields})
    assert reply.status == 201, reply.text
    return reply.json


async def published(shop: Shop, **fields: Any) -> Any:
    listing = await made(shop, **{"deliverables": [TEXT]} | fields)
    reply = await shop.post(f"/v1/listings/{listing['id']}/publish")
    assert reply.status == 200, reply.text
    return reply.json


async def bought(shop: Shop, listing: Any, **changes: Any) -> None:
    """Write an order of the listing, as a payment would."""
    now = shop.clock.now()
    count = await shop.tools.database.value("SELECT count(*) FROM orders")
    order = {
        "account_id": shop.account.id,
        "id": f"ord_{count}",
        "version": 1,
        "checkout_id": f"chk_{count}",
        "listing_id": listing["id"],
        "content_type": listing["content_type"],
        "status": "processing",
        "payment_status": "paid",
        "delivery_status": None,
        "buyer_email": "buyer@example.com",
        "amount": listing["price"],
        "currency": listing["currency"],
        "checkout_data": {},
        "deliverables": [],
        "metadata": {},
        "listing": {},
        "seller": {},
        "payment_provider": "test",
        "payment_reference": f"pay_{count}",
        "grant_after": 48,
        "grant_downloads": 10,
        "access_hash": str(count).encode(),
        "access_sealed": b"",
        "fulfill_due_at": None,
        "on_late": "remind",
        "late_text": None,
        "paid_at": now,
        "fulfilled_at": None,
        "handed_off_at": None,
        "created_at": now,
    } | changes
    await shop.tools.database.write("SELECT orders_make($1::order_new[])", [tuple(order.values())])


def fault(reply: Reply) -> tuple[int, str, str | None]:
    return reply.status, reply.json["code"], reply.json["param"]


async def test_a_new_listing_is_a_draft_that_shows_its_secret_once(shop: Shop) -> None:
    listing = await made(shop, deliverables=[TEXT])
    secret = listing.pop("signing_secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    del_id = listing["deliverables"][0]["id"]
    assert listing == {
        "id": listing["id"],
        "object": "listing",
        "account_id": shop.account.id,
        "status": "draft",
        "slug": "a-book",
        "url": f"{shop.tools.base_url}/l/{listing['id']}/a-book",
        "name": "A Book",
        "price": 500,
        "currency": "USD",
        "content_type": "static",
        "fulfillment": "managed",
        "deliverables": [
            {
                "id": del_id,
                "type": "text",
                "value": "the content",
                "token": None,
                "format": None,
                "object": "deliverable",
            }
        ],
        "checkout_schema": [],
        "agent_callback_url": None,
        "callback_endpoint_id": None,
        "signing_secret_preview": secret[-4:],
        "dynamic_webhook": None,
        "dynamic_webhook_secret_preview": None,
        "on_callback_failure": "pending",
        "grant_hours": 48,
        "grant_downloads": 10,
        "fulfill_within": None,
        "on_late": "remind",
        "late_text": None,
        "description": None,
        "tagline": None,
        "image_url": None,
        "highlights": [],
        "cta": None,
        "badges": [],
        "faqs": [],
        "reviews": [],
        "rating": None,
        "rating_count": None,
        "compare_at_price": None,
        "stock": None,
        "metadata": {},
        "readiness": {
            "sellable": False,
            "actions": [listing["readiness"]["next"]],
            "next": {
                "code": "publish_listing",
                "kind": "api",
                "priority": "required",
                "message": "The listing is draft; publish it to sell it.",
                "resolve": {
                    "method": "POST",
                    "endpoint": f"/v1/listings/{listing['id']}/publish",
                    "url": None,
                    "params": None,
                },
            },
        },
        "stats": {"orders": 0, "revenue": 0},
        "created_at": "2026-04-17T10:23:00Z",
        "updated_at": "2026-04-17T10:23:00Z",
        "published_at": None,
    }
    again = await shop.get(f"/v1/listings/{listing['id']}")
    assert again.json == listing


async def test_every_field_comes_back_as_it_was_sent(shop: Shop) -> None:
    fields = {
        "name": "Horoscope",
        "price": 0,
        "currency": "EUR",
        "content_type": "generated",
        "checkout_schema": [
            {
                "key": "birth_date",
                "type": "date",
                "label": "Date of birth",
                "required": True,
                "options": None,
                "max_length": None,
                "sort_order": 1,
            }
        ],
        "grant_hours": 72,
        "grant_downloads": 3,
        "fulfill_within": 3600,
        "on_late": "fallback",
        "late_text": "Sorry.",
        "description": "All about you.",
        "tagline": "You",
        "image_url": "https://example.com/image.png",
        "highlights": ["one", "two"],
        "cta": "Get it",
        "badges": ["new"],
        "faqs": [{"question": "Why?", "answer": "Because."}],
        "reviews": [{"name": "Ada", "content": "Good.", "rating": 5.0}],
        "rating": 4.5,
        "rating_count": 12,
        "compare_at_price": 900,
        "stock": 7,
        "metadata": {"sku": "h-1"},
        "on_callback_failure": "generated",
    }
    listing = await made(shop, **fields)
    assert {name: listing[name] for name in fields} == fields
    stored = (await shop.get(f"/v1/listings/{listing['id']}")).json
    assert {name: stored[name] for name in fields} == fields


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_put_and_patch_change_only_what_is_sent(shop: Shop, method: str) -> None:
    listing = await made(shop, tagline="Old", description="Stays", metadata={"a": "1"})
    shop.clock.advance(seconds=5)
    reply = await shop.ask(method, f"/v1/listings/{listing['id']}", json={"name": "Neues Büchlein", "tagline": None})
    assert reply.status == 200
    changed = reply.json
    assert (changed["name"], changed["slug"], changed["tagline"]) == ("Neues Büchlein", "neues-buchlein", None)
    assert (changed["description"], changed["metadata"], changed["price"]) == ("Stays", {"a": "1"}, 500)
    assert changed["updated_at"] == "2026-04-17T10:23:05Z"
    assert "signing_secret" not in changed


async def test_concurrent_changes_of_different_fields_are_all_kept(shop: Shop) -> None:
    listing = await made(shop)
    changes: list[dict[str, Any]] = [
        {"name": "New"},
        {"price": 700},
        {"tagline": "T"},
        {"description": "D"},
        {"cta": "C"},
        {"stock": 3},
        {"grant_hours": 1},
        {"grant_downloads": 2},
        {"rating": 4},
        {"metadata": {"k": "v"}},
        {"badges": ["b"]},
        {"late_text": "L"},
    ]
    path = f"/v1/listings/{listing['id']}"
    replies = await asyncio.gather(*(shop.patch(path, json=change) for change in changes))
    assert [reply.status for reply in replies] == [200] * len(changes)
    after = (await shop.get(path)).json
    assert {name: after[name] for change in changes for name in change} == {
        k: v for one in changes for k, v in one.items()
    }
    assert await shop.tools.database.value("SELECT version FROM listings") == 1 + len(changes)


async def test_an_unknown_field_is_named_with_the_nearest_known_one(shop: Shop) -> None:
    reply = await shop.post("/v1/listings", json={"name": "A", "pricee": 5, "price": 5})
    assert fault(reply) == (422, "validation_error", "pricee")
    assert reply.json["errors"] == [
        {"loc": ["pricee"], "msg": "`pricee` is not a field here; did you mean `price`?", "type": "unknown_field"}
    ]


@pytest.mark.parametrize("price", [-1, 1.5, 500.0, "500", True, None, 100_000_000, 10**30])
async def test_a_price_is_a_whole_number_of_minor_units(shop: Shop, price: object) -> None:
    reply = await shop.post("/v1/listings", json={"name": "A", "price": price})
    assert fault(reply) == (422, "invalid_price", "price")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": None}, "name"),
        ({"currency": "XXX"}, "currency"),
        ({"content_type": "magic"}, "content_type"),
        ({"fulfillment": "other"}, "fulfillment"),
        ({"content_type": "static", "fulfillment": "external"}, "fulfillment"),
        ({"content_type": "generated", "fulfillment": "managed"}, "fulfillment"),
        ({"content_type": "webhook", "dynamic_webhook": "https://example.com"}, "dynamic_webhook"),
        ({"fulfillment": "managed", "dynamic_webhook": "https://example.com"}, "fulfillment"),
        ({"deliverables": [TEXT] * 4}, "deliverables"),
        ({"deliverables": [{"type": "text"}]}, "deliverables.0.value"),
        ({"deliverables": [{"type": "file", "token": "file_x"}]}, "deliverables.0.token"),
        ({"deliverables": [{"value": "x"}]}, "deliverables.0.type"),
        ({"deliverables": [{"typ": "text"}]}, "deliverables.0.typ"),
        ({"checkout_schema": [{"key": "A", "type": "text", "label": "L"}]}, "checkout_schema.0.key"),
        ({"checkout_schema": [{"key": "a", "type": "text", "label": "L"}] * 2}, "checkout_schema.1.key"),
        ({"checkout_schema": [{"key": "a", "type": "select", "label": "L"}]}, "checkout_schema.0.options"),
        ({"agent_callback_url": "http://169.254.169.254/hook"}, "agent_callback_url"),
        ({"agent_callback_url": "ftp://example.com"}, "agent_callback_url"),
        ({"dynamic_webhook": "http://[fe80::1]/"}, "dynamic_webhook"),
        ({"dynamic_webhook_secret": "long enough"}, "dynamic_webhook_secret"),
        ({"signing_secret": "short"}, "signing_secret"),
        ({"signing_secret": "whsec_not base64 at all"}, "signing_secret"),
        ({"image_url": "javascript:alert(1)"}, "image_url"),
        ({"grant_hours": 0}, "grant_hours"),
        ({"on_late": "fallback"}, "late_text"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata"),
        ({"metadata": {"k" * 41: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 501}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"rating": 6}, "rating"),
        ({"stock": -1}, "stock"),
        ({"description": "a\u0000b"}, "description"),
        ({"metadata": {"a\u0000": "b"}}, "metadata.a\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(shop: Shop, fields: dict[str, Any], param: str) -> None:
    reply = await shop.post("/v1/listings", json={"name": "A", "price": 1, **fields})
    assert fault(reply) == (422, "validation_error", param), reply.text
    assert await shop.tools.database.value("SELECT count(*) FROM listings") == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("static", "managed")),
        ({"fulfillment": "managed"}, ("static", "managed")),
        ({"fulfillment": "external"}, ("generated", "external")),
        ({"content_type": "webhook", "fulfillment": "external"}, ("webhook", "external")),
        ({"dynamic_webhook": "https://example.com/make"}, ("dynamic", "external")),
        ({"fulfillment": "external", "dynamic_webhook": "https://example.com/make"}, ("dynamic", "external")),
    ],
)
async def test_content_type_and_fulfillment_are_two_words_for_one_thing(
    shop: Shop, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    listing = await made(shop, **fields)
    assert (listing["content_type"], listing["fulfillment"]) == expected


async def test_the_content_type_changes_in_draft_and_is_locked_by_publishing(shop: Shop) -> None:
    listing = await made(shop)
    path = f"/v1/listings/{listing['id']}"
    assert (await shop.patch(path, json={"content_type": "generated"})).json["content_type"] == "generated"
    assert (await shop.post(f"{path}/publish")).status == 200
    assert fault(await shop.put(path, json={"content_type": "webhook"})) == (409, "locked_field", "content_type")
    assert fault(await shop.put(path, json={"fulfillment": "managed"})) == (409, "locked_field", "content_type")
    assert (await shop.put(path, json={"content_type": "generated", "fulfillment": "external"})).status == 200
    await shop.post(f"{path}/unpublish")
    assert fault(await shop.put(path, json={"content_type": "webhook"})) == (409, "locked_field", "content_type")


async def test_publishing_a_static_listing_needs_a_deliverable(shop: Shop) -> None:
    listing = await made(shop)
    path = f"/v1/listings/{listing['id']}"
    assert [action["code"] for action in listing["readiness"]["actions"]] == ["attach_deliverable"]
    refused = await shop.post(f"{path}/publish")
    assert fault(refused) == (409, "publish_failed", None)
    assert refused.json["next"] == refused.json["actions"][0] == listing["readiness"]["next"]
    step = refused.json["next"]["resolve"]
    added = await shop.ask(step["method"], step["endpoint"], json=TEXT)
    assert added.status == 201
    assert added.json["type"] == "text"
    shop.clock.advance(seconds=1)
    first = await shop.post(f"{path}/publish")
    assert first.status == 200
    assert first.json["status"] == "published"
    assert first.json["readiness"] == {"sellable": True, "actions": [], "next": None}
    shop.clock.advance(seconds=1)
    assert (await shop.post(f"{path}/publish")).json == first.json


async def test_a_dynamic_listing_is_published_once_it_says_where_to_call(shop: Shop) -> None:
    listing = await made(shop, content_type="dynamic")
    refused = await shop.post(f"/v1/listings/{listing['id']}/publish")
    assert fault(refused) == (409, "publish_failed", None)
    step = refused.json["next"]["resolve"]
    params = step["params"] | {"dynamic_webhook": "https://example.com/make"}
    assert (await shop.ask(step["method"], step["endpoint"], json=params)).status == 200
    assert (await shop.post(f"/v1/listings/{listing['id']}/publish")).status == 200


async def test_a_listing_goes_from_draft_to_published_to_archived_and_back(shop: Shop) -> None:
    listing = await published(shop)
    path = f"/v1/listings/{listing['id']}"
    assert (await shop.post(f"{path}/unpublish")).json["status"] == "draft"
    assert (await shop.post(f"{path}/unpublish")).json["status"] == "draft"
    assert (await shop.post(f"{path}/archive")).json["status"] == "archived"
    assert (await shop.post(f"{path}/archive")).json["status"] == "archived"
    refused = await shop.post(f"{path}/unpublish")
    assert fault(refused) == (409, "conflict", None)
    assert refused.json["current_status"] == "archived"
    assert (await shop.post(f"{path}/publish")).json["status"] == "published"


async def test_deliverables_change_in_draft_only(shop: Shop) -> None:
    listing = await published(shop)
    path = f"/v1/listings/{listing['id']}"
    inside = f"{path}/deliverables"
    one = f"{inside}/{listing['deliverables'][0]['id']}"
    replies = [
        await shop.put(inside, json={"deliverables": [TEXT]}),
        await shop.post(inside, json=TEXT),
        await shop.delete(inside),
        await shop.delete(one),
        await shop.patch(path, json={"deliverables": []}),
    ]
    for reply in replies:
        assert fault(reply) == (409, "not_in_draft", None)
        assert (reply.json["current_status"], reply.json["required_status"]) == ("published", "draft")


async def test_a_listing_has_three_deliverables_at_most(shop: Shop) -> None:
    listing = await made(shop)
    path = f"/v1/listings/{listing['id']}/deliverables"
    urls = [{"type": "url", "value": f"https://example.com/{n}"} for n in range(3)]
    filled = await shop.put(path, json={"deliverables": urls})
    assert [item["value"] for item in filled.json["deliverables"]] == [url["value"] for url in urls]
    refused = await shop.post(path, json=TEXT)
    assert fault(refused) == (409, "conflict", None)
    assert (refused.json["current_count"], refused.json["max_count"]) == (3, 3)
    second = filled.json["deliverables"][1]["id"]
    assert (await shop.delete(f"{path}/{second}")).status == 204
    assert (await shop.delete(f"{path}/{second}")).status == 404
    added = await shop.post(path, json={"type": "text", "value": "# Hi", "format": "markdown"})
    assert added.status == 201
    left = (await shop.get(f"/v1/listings/{listing['id']}")).json["deliverables"]
    assert [item["id"] for item in left] == [filled.json["deliverables"][n]["id"] for n in (0, 2)] + [added.json["id"]]
    emptied = await shop.delete(path)
    assert (emptied.status, emptied.json["deliverables"]) == (200, [])


@pytest.mark.parametrize("content_type", ["generated", "webhook"])
async def test_only_static_listings_take_deliverables(shop: Shop, content_type: str) -> None:
    refused = await shop.post("/v1/listings", json=STATIC | {"content_type": content_type})
    assert fault(refused) == (409, "conflict", "deliverables")
    listing = await made(shop, content_type=content_type)
    added = await shop.post(f"/v1/listings/{listing['id']}/deliverables", json=TEXT)
    assert (added.status, added.json["max_count"]) == (409, 0)
    static = await made(shop, deliverables=[TEXT])
    turned = await shop.patch(f"/v1/listings/{static['id']}", json={"content_type": content_type})
    assert (turned.status, turned.json["current_count"], turned.json["max_count"]) == (409, 1, 0)
    both = await shop.patch(f"/v1/listings/{static['id']}", json={"content_type": content_type, "deliverables": []})
    assert (both.status, both.json["content_type"]) == (200, content_type)


async def test_given_secrets_are_kept_and_rotated_ones_shown_once(shop: Shop) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    listing = await made(shop, signing_secret=secret)
    assert listing["signing_secret"] == secret
    path = f"/v1/listings/{listing['id']}"
    rotated = await shop.post(f"{path}/rotate-secret", json={"which": "signing", "overlap_seconds": 60})
    assert rotated.status == 200
    fresh = rotated.json["signing_secret"]
    assert fresh != secret
    assert rotated.json["signing_secret_preview"] == fresh[-4:]
    assert "signing_secret" not in (await shop.get(path)).json
    row = await shop.tools.database.row("SELECT * FROM listings")
    assert row is not None
    assert shop.tools.keyring.open(row["signing_secret"]) == fresh
    assert shop.tools.keyring.open(row["signing_before"]) == secret
    assert (row["signing_before_until"] - shop.clock.now()).total_seconds() == 60
    assert (await shop.post(f"{path}/rotate-secret")).json["signing_secret"] != fresh
    assert await shop.tools.database.value("SELECT signing_before FROM listings") is None


async def test_a_dynamic_secret_is_made_or_given_and_shown_in_that_answer_only(shop: Shop) -> None:
    listing = await made(shop)
    path = f"/v1/listings/{listing['id']}"
    assert "dynamic_webhook_secret" not in listing
    assert fault(await shop.post(f"{path}/rotate-secret", json={"which": "dynamic"})) == (
        422,
        "validation_error",
        "which",
    )
    made_here = (await shop.put(path, json={"dynamic_webhook": "https://example.com/make"})).json
    assert made_here["dynamic_webhook_secret"].endswith(made_here["dynamic_webhook_secret_preview"])
    moved = (await shop.put(path, json={"dynamic_webhook": "https://example.com/other"})).json
    assert "dynamic_webhook_secret" not in moved
    assert moved["dynamic_webhook_secret_preview"] == made_here["dynamic_webhook_secret_preview"]
    given = (await shop.put(path, json={"dynamic_webhook_secret": "my secret"})).json
    assert given["dynamic_webhook_secret"] == "my secret"
    rotated = (await shop.post(f"{path}/rotate-secret", json={"which": "dynamic"})).json
    assert rotated["dynamic_webhook_secret"] not in {"my secret", made_here["dynamic_webhook_secret"]}
    refused = await shop.put(path, json={"content_type": "static"})
    assert fault(refused) == (422, "validation_error", "content_type")
    gone = (await shop.put(path, json={"content_type": "static", "dynamic_webhook": None})).json
    assert (gone["dynamic_webhook"], gone["dynamic_webhook_secret_preview"]) == (None, None)


async def test_the_callback_is_an_endpoint_that_follows_the_listing(shop: Shop) -> None:
    listing = await made(shop, agent_callback_url="https://example.com/hook")
    path = f"/v1/listings/{listing['id']}"
    whk = listing["callback_endpoint_id"]
    assert whk.startswith("whk_")

    async def endpoint() -> Any:
        row = await shop.tools.database.row("SELECT url, status, secret FROM endpoints WHERE id = $1", whk)
        assert row is not None
        return row["url"], row["status"], shop.tools.keyring.open(row["secret"])

    assert await endpoint() == ("https://example.com/hook", "enabled", listing["signing_secret"])
    moved = (await shop.patch(path, json={"agent_callback_url": "https://example.com/new"})).json
    assert moved["callback_endpoint_id"] == whk
    fresh = (await shop.post(f"{path}/rotate-secret")).json["signing_secret"]
    assert await endpoint() == ("https://example.com/new", "enabled", fresh)
    cleared = (await shop.patch(path, json={"agent_callback_url": None})).json
    assert (cleared["agent_callback_url"], cleared["callback_endpoint_id"]) == (None, None)
    assert (await endpoint())[1] == "disabled"
    back = (await shop.patch(path, json={"agent_callback_url": "https://example.com/hook"})).json
    assert back["callback_endpoint_id"] == whk
    assert (await endpoint())[1] == "enabled"
    assert (await shop.delete(path)).status == 204
    assert (await endpoint())[1] == "disabled"


async def test_a_listing_without_orders_can_be_deleted_and_one_with_orders_cannot(shop: Shop) -> None:
    listing = await published(shop)
    other = await made(shop)
    await bought(shop, listing)
    refused = await shop.delete(f"/v1/listings/{listing['id']}")
    assert fault(refused) == (409, "conflict", None)
    assert "archive" in refused.json["detail"]
    assert (await shop.delete(f"/v1/listings/{other['id']}")).status == 204
    assert (await shop.get(f"/v1/listings/{other['id']}")).status == 404
    assert (await shop.delete(f"/v1/listings/{other['id']}")).status == 404


async def test_the_stats_are_what_was_really_sold(shop: Shop) -> None:
    listing = await published(shop)
    await bought(shop, listing)
    await bought(shop, listing, amount=300)
    await bought(shop, listing, currency="EUR")
    await shop.tools.database.write("UPDATE orders SET refund_amount = 100 WHERE amount = 300")
    assert (await shop.get(f"/v1/listings/{listing['id']}")).json["stats"] == {"orders": 3, "revenue": 700}
    (entry,) = (await shop.get("/v1/listings")).json["data"]
    assert entry["stats"] == {"orders": 3, "revenue": 700}


async def test_another_accounts_listing_is_exactly_like_an_unknown_one(shop: Shop) -> None:
    listing = await published(shop)
    _, other = await accounts.create_account(shop.tools, "other@example.com", "Other")
    asks: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PUT", "", {"name": "Mine"}),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/publish", None),
        ("POST", "/unpublish", None),
        ("POST", "/archive", None),
        ("PUT", "/deliverables", {"deliverables": []}),
        ("POST", "/deliverables", TEXT),
        ("DELETE", "/deliverables", None),
        ("DELETE", f"/deliverables/{listing['deliverables'][0]['id']}", None),
        ("POST", "/rotate-secret", None),
    ]
    for method, rest, body in asks:
        theirs = await shop.ask(method, f"/v1/listings/{listing['id']}{rest}", key=other, json=body)
        unknown = await shop.ask(method, f"/v1/listings/lst_unknown{rest}", key=other, json=body)
        assert theirs.status == unknown.status == 404, (method, rest)
        assert theirs.text.replace(listing["id"], "lst_unknown") == unknown.text
    assert (await shop.get("/v1/listings", key=other)).json["data"] == []
    assert (await shop.get(f"/v1/listings/{listing['id']}")).json == listing


async def test_listings_are_paged_newest_first_and_none_is_skipped(shop: Shop) -> None:
    ids = []
    for number in range(5):
        ids.append((await made(shop, name=f"Listing {number}"))["id"])
        shop.clock.advance(seconds=number % 2)
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await shop.get("/v1/listings", params=query)).json
        assert page["object"] == "list"
        assert page["has_more"] is (page["cursor"] is not None)
        seen += [entry["id"] for entry in page["data"]]
        cursor = page["cursor"]
        pages += 1
    assert pages == 3
    assert sorted(seen) == sorted(ids)
    created = [(await shop.get(f"/v1/listings/{one}")).json["created_at"] for one in seen]
    assert created == sorted(created, reverse=True)


async def test_listings_are_filtered_by_status(shop: Shop) -> None:
    await made(shop)
    listing = await published(shop)
    page = (await shop.get("/v1/listings?status=published")).json
    assert [entry["id"] for entry in page["data"]] == [listing["id"]]
    assert fault(await shop.get("/v1/listings?status=sold")) == (422, "validation_error", "status")


async def test_a_listing_may_be_up_to_four_megabytes(shop: Shop) -> None:
    text = {"type": "text", "value": "x" * 100_000}
    big = await shop.post("/v1/listings", json=STATIC | {"deliverables": [text], "metadata": {"pad": "x" * 400}})
    assert big.status == 201
    document, padding = json.dumps(STATIC).encode(), b" " * (2 * 1024 * 1024)
    assert (await shop.post("/v1/listings", data=io.BytesIO(document + padding))).status == 201
    refused = await shop.post("/v1/listings", data=io.BytesIO(document + padding * 2))
    assert fault(refused) == (413, "payload_too_large", None)


async def test_a_sale_is_what_is_published_and_a_page_shows_any(shop: Shop) -> None:
    field = {"key": "size", "type": "select", "label": "Size", "options": ["S", "L"]}
    fields = {"checkout_schema": [field | {"sort_order": 2}, field | {"key": "name", "type": "text", "options": None}]}
    listing = await made(shop, deliverables=[TEXT], metadata={"sku": "1"}, stock=1, **fields)
    page = await actions.on_page(shop.tools, listing["id"])
    assert (page.status, page.seller_name) == ("draft", "The Shop")
    assert [one.key for one in page.checkout_schema] == ["name", "size"]
    with pytest.raises(NotFound):
        await actions.for_sale(shop.tools, listing["id"])
    await shop.post(f"/v1/listings/{listing['id']}/publish")
    sale = await actions.for_sale(shop.tools, listing["id"])
    assert (sale.price, sale.currency, sale.grant_after, sale.grant_downloads) == (500, "USD", 48, 10)
    assert [(one.id, one.type) for one in sale.deliverables] == [(listing["deliverables"][0]["id"], "text")]
    assert json.loads(bytes(sale.snapshot)) == {
        "id": listing["id"],
        "name": "A Book",
        "content_type": "static",
        "price": 500,
        "metadata": {"sku": "1"},
    }
    assert json.loads(bytes(sale.seller)) == {"id": shop.account.id, "name": "The Shop", "email": "seller@example.com"}
    await shop.patch(f"/v1/listings/{listing['id']}", json={"stock": 0})
    assert (await shop.get(f"/v1/listings/{listing['id']}")).json["readiness"]["next"]["code"] == "restock"
    with pytest.raises(Conflict):
        await actions.for_sale(shop.tools, listing["id"])


async def test_the_body_of_a_caller_without_a_key_is_not_looked_at(shop: Shop) -> None:
    reply = await shop.post("/v1/listings", key=None, json={"nonsense": True})
    assert reply.status == 401


async def test_a_change_needs_a_body_even_if_it_changes_nothing(shop: Shop) -> None:
    listing = await made(shop)
    refused = await shop.put(f"/v1/listings/{listing['id']}")
    assert fault(refused) == (422, "validation_error", None)
    assert (await shop.put(f"/v1/listings/{listing['id']}", json={})).status == 200


async def test_the_routes_are_described_from_the_code(shop: Shop) -> None:
    document = (await shop.get("/openapi.json", key=None)).json
    made_by = document["paths"]["/v1/listings"]["post"]
    assert made_by["operationId"] == "create_listing"
    assert made_by["security"] == [{"bearer": []}]
    assert set(made_by["responses"]) == {"201", "401", "409", "413", "422", "429", "500", "503"}
    schemas = document["components"]["schemas"]
    assert schemas["NewListing"]["required"] == ["name", "price"]
    assert schemas["NewListing"]["properties"]["price"]["type"] == "integer"
    assert schemas["ListingChanges"].get("required", []) == []
    ids = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict)
    ]
    assert len(ids) == len(set(ids))
