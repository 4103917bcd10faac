"""What a buyer meets in a browser: the form and its mistakes, the payment page, the error pages."""

import re

import pytest

from fakes import FakeClock
from market import Market
from purvey.server.demo.browser import Browser
from secrecy import Written

HTML = {"Accept": "text/html,application/xhtml+xml"}
QUESTIONS = [
    {"key": "birth_date", "type": "date", "label": "Your birth date"},
    {"key": "focus", "type": "select", "label": "Focus", "options": ["Love", "Career"], "required": False},
    {"key": "gift", "type": "checkbox", "label": "It is a gift", "required": False},
    {"key": "seats", "type": "number", "label": "Seats", "required": False},
]


async def test_a_buyer_fills_in_the_form_pays_and_reads(market: Market) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    async with Browser() as browser:
        page = await browser.open(listing["url"])
        assert set(page.form.inputs) == {"buyer_email", "data.birth_date", "data.focus", "data.gift", "data.seats"}
        page = await browser.submit(
            page,
            buyer_email="ada@example.com",
            **{"data.birth_date": "1990-05-15", "data.gift": "on", "data.seats": "2"},
        )
        assert "/sandbox/checkouts/" in page.url
        page = await browser.submit(page, card="4242 4242 4242 4242")
        assert "/access/" in page.url
        assert page.status == 200
    [order] = (await market.shop.get("/v1/orders")).json["data"]
    assert order["checkout_data"] == {"birth_date": "1990-05-15", "gift": True, "seats": 2}


async def test_a_mistake_comes_back_beside_its_field_with_what_was_typed(market: Market) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    async with Browser() as browser:
        page = await browser.open(listing["url"])
        page = await browser.submit(page, buyer_email="ada@", **{"data.birth_date": "1990-02-31", "data.seats": "many"})
        assert page.status == 422
        assert page.form.inputs["buyer_email"] == "ada@"
        assert page.html.count('aria-invalid="true"') >= 1
        page = await browser.submit(
            page, buyer_email="ada@example.com", **{"data.birth_date": "1990-02-28", "data.seats": "3"}
        )
        assert page.status == 200


async def test_a_declined_card_may_be_followed_by_another(market: Market) -> None:
    listing = await market.listing()
    async with Browser() as browser:
        page = await browser.submit(await browser.open(listing["url"]), buyer_email="ada@example.com")
        page = await browser.submit(page, card="4000 0000 0000 0002")
        assert page.status == 402
        assert "declined" in page.form.text
        page = await browser.submit(page, card="4242424242424242")
        assert "the goods" in page.form.text


async def test_a_card_that_is_typed_by_mistake_is_kept_and_shown_nowhere(
    market: Market, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout = await market.checkout(await market.listing())
    path, own, test = f"/sandbox/checkouts/{checkout['id']}/pay", "5555555555554444", "4242424242424242"
    answers = [
        await market.shop.post(path, data={"card": own}, key=None),
        await market.shop.post(path, json={"card": own}, key=None),
        await market.shop.post(path, json={"card": test}, key=None),
    ]
    assert [reply.status for reply in answers] == [402, 402, 200]
    await market.outside.next_letter()
    written = Written([("answer", reply.text) for reply in answers])
    written.secret("a card", own)
    written.secret("a test card", test, "answer")
    database = market.shop.tools.database
    for row in await database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        told = await database.rows(f'SELECT "{row[0]}"::text FROM "{row[0]}"')
        written.add(f"table {row[0]}", [one[0] for one in told])
    written.add("log", capfd.readouterr())
    assert list(written.leaks()) == []


async def test_an_expired_checkout_cannot_be_paid(market: Market, clock: FakeClock) -> None:
    checkout = await market.checkout(await market.listing())
    clock.advance(minutes=30)
    assert (await market.pay(checkout)).status == 409
    assert (await market.shop.get(f"/v1/checkouts/{checkout['id']}")).json["status"] == "expired"
    page = await market.shop.get(f"/sandbox/checkouts/{checkout['id']}", key=None)
    assert 'name="card"' not in page.text


async def test_a_checkout_tells_its_access_link_for_an_hour(market: Market, clock: FakeClock) -> None:
    bought = await market.buy(await market.listing())
    path = f"/v1/checkouts/{bought.checkout['id']}"
    paid = (await market.shop.get(path, key=None)).json
    assert paid["access_url"].endswith(bought.access)
    assert paid["status"] == "paid"
    clock.advance(hours=1)
    assert (await market.shop.get(path, key=None)).json["access_url"] is None
    back = await market.shop.get(f"/checkout/{bought.checkout['id']}/return", key=None)
    assert (back.status, bought.access in back.text) == (200, False)
    assert "mailed" in back.text


async def test_returning_before_paying_waits(market: Market) -> None:
    checkout = await market.checkout(await market.listing())
    page = await market.shop.get(f"/checkout/{checkout['id']}/return", key=None)
    assert page.status == 200
    assert 'http-equiv="refresh"' in page.text


async def test_browsers_get_error_pages_and_programs_get_problems(market: Market) -> None:
    for path in ("/l/lst_unknown", "/access/unknown", "/nowhere", "/checkout/chk_unknown/return"):
        page = await market.shop.get(path, key=None, headers=HTML)
        assert (page.status, page.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        problem = await market.shop.get(path, key=None)
        assert (problem.status, problem.json["code"]) == (404, "not_found")


async def test_a_draft_is_not_for_sale(market: Market) -> None:
    listing = await market.listing(publish=False)
    page = await market.shop.get(f"/l/{listing['id']}", key=None, headers=HTML)
    assert "<form" not in page.text
    refused = await market.shop.post(
        "/v1/checkouts", json={"listing_id": listing["id"], "buyer_email": "ada@example.com"}, key=None
    )
    assert refused.status in {404, 409}


async def test_nothing_is_kept_by_caches_that_does_not_say_so(market: Market) -> None:
    bought = await market.buy(await market.listing())
    for path in (f"/v1/checkouts/{bought.checkout['id']}", "/v1/orders", "/access/unknown", "/nowhere"):
        assert (await market.shop.get(path)).headers["Cache-Control"] == "no-store"


async def test_pages_of_buyers_keep_to_themselves(market: Market) -> None:
    bought = await market.buy(await market.listing())
    page = await market.shop.get(bought.access, key=None)
    assert page.headers["Cache-Control"] == "private, no-store"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


async def test_assets_are_kept_for_ever_and_change_their_address(market: Market) -> None:
    page = await market.shop.get((await market.buy(await market.listing())).access, key=None)
    [link] = set(re.findall(r'href="(/assets/[^"]+\.css[^"]*)"', page.text))
    asset = await market.shop.get(link, key=None)
    assert (asset.status, asset.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in asset.headers["Cache-Control"]
    assert (await market.shop.get("/assets/none.css", key=None)).status == 404
