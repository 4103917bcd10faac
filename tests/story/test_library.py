"""The buyer's library: a mailed link signs in once and shows all purchases of the address; nothing tells which address is known."""

import asyncio
import re
from email.message import EmailMessage
from http.cookies import SimpleCookie
from typing import Any

import pytest

from fakes import FakeClock
from market import Market, running_shop
from purvey.server.accounts import actions as accounts
from purvey.server.kit.database import Database
from running import until
from served import Reply

ADA = "ada@example.com"
LINK = re.compile(r"/library/sign-in/\w+")
COOKIE = "purvey_library"


async def ask(market: Market, email: str, **options: Any) -> Reply:
    """Ask for a link, and wait until the ask was answered."""
    reply = await market.shop.post("/library", data={"email": email}, key=None, **options)
    await until(lambda: _nothing_asked(market), "every ask is answered")
    return reply


async def _nothing_asked(market: Market) -> bool:
    return bool(await market.shop.tools.database.value("SELECT count(*) = 0 FROM library_asks"))


async def pass_time(market: Market, **by: float) -> None:
    """Move the clock on when every mail is recorded: one whose lease runs out would be sent a second time."""

    async def nothing_waits() -> bool:
        return bool(
            await market.shop.tools.database.value("SELECT count(*) = 0 FROM messages WHERE status = 'waiting'")
        )

    await until(nothing_waits, "every mail is recorded")
    market.later(**by)


async def mailed_link(market: Market) -> str:
    """Return the path of the link in the next mail that signs in; mails about orders are passed over."""
    while True:
        if found := LINK.search(text_of(await market.outside.next_letter())):
            return found[0]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def cookie_of(reply: Reply) -> str:
    """Return the session that an answer sets."""
    return SimpleCookie(reply.headers["Set-Cookie"])[COOKIE].value


async def signed_in(market: Market, email: str = ADA) -> str:
    """Sign in by mail, and return the session."""
    await ask(market, email)
    reply = await market.shop.post(await mailed_link(market), key=None)
    assert (reply.status, reply.headers["Location"]) == (303, "/library/orders")
    return cookie_of(reply)


async def see(market: Market, session: str | None, path: str = "/library/orders") -> Reply:
    """Look at a page of the library."""
    return await market.shop.get(path, key=None, cookies={COOKIE: session} if session else {})


async def test_a_mailed_link_shows_everything_that_was_bought_with_the_address(
    market: Market, clock: FakeClock
) -> None:
    ready = await market.buy(await market.listing(name="The kit"), "Ada@Example.com")
    clock.advance(seconds=1)
    await market.buy(await market.generated(name="The horoscope"))
    clock.advance(seconds=1)
    await market.buy(await market.listing(name="Not hers"), "bob@example.com")
    other = await accounts.create_account(market.shop.tools, "other@example.com", "The Other Shop")
    body = {"name": "A song", "price": 0, "content_type": "webhook", "agent_callback_url": market.outside.hook_url}
    listing = (await market.shop.post("/v1/listings", json=body, key=other[1])).json
    await market.shop.post(f"/v1/listings/{listing['id']}/publish", key=other[1])
    await market.checkout(listing)
    session = await signed_in(market)
    page = (await see(market, session)).text
    places = [page.index(name) for name in ("A song", "The horoscope", "The kit")]
    assert places == sorted(places)
    assert "Not hers" not in page
    assert "The Other Shop" in page
    for word in ("Ready", "Being prepared", "Delivered by the seller"):
        assert word in page
    [order] = (await market.shop.get("/v1/orders?buyer_email=ada@example.com&status=fulfilled")).json["data"]
    way = await see(market, session, f"/library/orders/{order['id']}")
    assert (way.status, way.headers["Location"]) == (303, ready.access)


async def test_the_answer_is_the_same_for_every_address_and_so_are_the_statements(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    tried = Database._tried

    async def noted(self: Database, run: Any, *, again: bool) -> Any:
        names = run.__code__.co_freevars
        cells = dict(zip(names, (cell.cell_contents for cell in run.__closure__), strict=True))
        ran.append(cells["sql"])
        return await tried(self, run, again=again)

    async with running_shop(database, clock, rate_limits="off") as (shop, _):
        told = {"name": "Kit", "price": 0, "deliverables": [{"type": "text", "value": "x"}]}
        listing = (await shop.post("/v1/listings", json=told)).json
        await shop.post(f"/v1/listings/{listing['id']}/publish")
        await shop.post("/v1/checkouts", json={"listing_id": listing["id"], "buyer_email": ADA}, key=None)
        monkeypatch.setattr(Database, "_tried", noted)
        seen = []
        for email in (ADA, "nobody@example.com", ADA.upper()):
            ran.clear()
            reply = await shop.post("/library", data={"email": email}, key=None)
            seen.append((reply.status, reply.body, tuple(ran), set(reply.headers)))
    assert [one[0] for one in seen] == [200] * 3
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][2]) == 1


async def test_nothing_is_mailed_to_an_address_that_bought_nothing(market: Market) -> None:
    await market.buy(await market.listing())
    await ask(market, "nobody@example.com")
    await ask(market, ADA)
    letter = text_of(await market.outside.next_letter())
    letter = letter if LINK.search(letter) else text_of(await market.outside.next_letter())
    assert LINK.search(letter)
    rows = await market.shop.tools.database.rows("SELECT recipient FROM messages WHERE template = 'sign_in'")
    assert [row["recipient"] for row in rows] == [ADA]


async def test_an_address_is_mailed_five_links_an_hour_however_many_are_asked_for(
    market: Market, clock: FakeClock
) -> None:
    await market.buy(await market.listing())
    replies = await asyncio.gather(*[ask(market, ADA) for _ in range(9)])
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}

    async def mailed() -> int:
        sql = "SELECT count(*) FROM messages WHERE template = 'sign_in'"
        return int(await market.shop.tools.database.value(sql))

    assert await mailed() == 5
    clock.advance(minutes=61)
    market.app.wake.poke()
    await ask(market, ADA)
    assert await mailed() == 6
    left = "SELECT count(*) FROM library_links WHERE expires_at < $1"
    assert await market.shop.tools.database.value(left, clock.now()) == 5
    clock.advance(minutes=31)
    await ask(market, "nobody@example.com")
    assert await market.shop.tools.database.value(left, clock.now()) == 1


async def test_a_link_signs_in_once_within_half_an_hour_and_looking_at_it_uses_nothing_up(
    market: Market, clock: FakeClock
) -> None:
    await market.buy(await market.listing())
    await ask(market, ADA)
    link = await mailed_link(market)
    for _ in range(3):
        looked = await market.shop.get(link, key=None)
        assert (looked.status, "Set-Cookie" in looked.headers) == (200, False)
        assert f'action="{link}"' in looked.text
    assert (await market.shop.ask("HEAD", link, key=None)).status == 200
    first = await market.shop.post(link, key=None)
    assert (await see(market, cookie_of(first))).status == 200
    second = await market.shop.post(link, key=None)
    assert (second.status, "Set-Cookie" in second.headers) == (410, False)
    assert "signs in no more" in second.text
    assert (await market.shop.get(link, key=None)).status == 410
    pressed_twice = await market.shop.post(link, key=None, cookies={COOKIE: cookie_of(first)})
    assert (pressed_twice.status, pressed_twice.headers["Location"]) == (303, "/library/orders")
    await ask(market, ADA)
    late = await mailed_link(market)
    clock.advance(minutes=30)
    assert (await market.shop.get(late, key=None)).status == 410
    assert (await market.shop.post(late, key=None)).status == 410


async def test_of_twenty_who_press_at_once_one_gets_in(market: Market) -> None:
    await market.buy(await market.listing())
    await ask(market, ADA)
    link = await mailed_link(market)
    replies = await asyncio.gather(*[market.shop.post(link, key=None) for _ in range(20)])
    assert sorted(reply.status for reply in replies) == [303] + [410] * 19
    assert await market.shop.tools.database.value("SELECT count(*) FROM library_sessions") == 1


async def test_what_is_stored_opens_nothing(market: Market) -> None:
    await market.buy(await market.listing())
    await ask(market, ADA)
    link = await mailed_link(market)
    session = cookie_of(await market.shop.post(link, key=None))
    token = link.rpartition("/")[2]
    assert min(len(token), len(session)) * 5.9 >= 128
    for table in ("library_links", "library_sessions", "messages", "jobs"):
        rows = await market.shop.tools.database.rows(f"SELECT one::text FROM {table} AS one")
        for secret in (token, session):
            assert [row for row in rows if secret in row[0] or secret.encode().hex() in row[0]] == []


async def test_a_session_is_never_one_that_somebody_brought_along(market: Market) -> None:
    await market.buy(await market.listing())
    planted = "a-session-that-somebody-else-has-chosen"
    await ask(market, ADA)
    reply = await market.shop.post(await mailed_link(market), key=None, cookies={COOKIE: planted})
    session = cookie_of(reply)
    assert session != planted
    assert (await see(market, planted)).headers["Location"] == "/library"
    await ask(market, ADA)
    later = await market.shop.post(await mailed_link(market), key=None, cookies={COOKIE: session})
    assert (await see(market, session)).status == 303, "the session before goes on"
    assert (await see(market, cookie_of(later))).status == 200


async def test_the_cookie_keeps_to_itself(market: Market, database: Database, clock: FakeClock) -> None:
    await market.buy(await market.listing())
    await ask(market, ADA)
    link = await mailed_link(market)
    said = (await market.shop.post(link, key=None)).headers["Set-Cookie"].lower()
    for word in ("httponly", "samesite=lax", "path=/library", f"max-age={30 * 24 * 3600}"):
        assert word in said
    assert "secure" not in said
    async with running_shop(database, clock, "second@example.com", base_url="https://shop.example") as (shop, _):
        said = (await shop.post("/library/sign-out", key=None)).headers["Set-Cookie"].lower()
        assert "secure" in said


async def test_signing_out_ends_the_session_and_time_does_too(market: Market, clock: FakeClock) -> None:
    await market.buy(await market.listing())
    session = await signed_in(market)
    assert (await see(market, session, "/library")).headers["Location"] == "/library/orders"
    out = await market.shop.post("/library/sign-out", key=None, cookies={COOKIE: session})
    assert (out.status, out.headers["Location"], cookie_of(out)) == (303, "/library", "")
    for path in ("/library/orders", "/library/orders/ord_x"):
        assert (await see(market, session, path)).headers["Location"] == "/library"
    assert (await see(market, session, "/library")).status == 200
    session = await signed_in(market)
    clock.advance(days=30)
    assert (await see(market, session)).headers["Location"] == "/library"


async def test_another_buyers_order_is_like_an_unknown_one(market: Market) -> None:
    await market.buy(await market.listing())
    order = await market.order(await market.buy(await market.listing(), "bob@example.com"))
    session = await signed_in(market)
    theirs = await see(market, session, f"/library/orders/{order['id']}")
    nobodys = await see(market, session, "/library/orders/ord_0")
    assert theirs.status == nobodys.status == 404
    assert theirs.json["detail"].replace(order["id"], "") == nobodys.json["detail"].replace("ord_0", "")


FORMS = [
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Origin": "null"}, True),
    ({}, True),
]
"""What a browser says of where a form was, and whether it is then taken."""


async def test_a_form_on_another_site_changes_nothing(market: Market) -> None:
    await market.buy(await market.listing())
    for headers, taken in FORMS:
        await pass_time(market, hours=1)
        session = await signed_in(market)
        out = await market.shop.post("/library/sign-out", key=None, cookies={COOKIE: session}, headers=headers)
        assert out.status == (303 if taken else 403)
        assert (await see(market, session)).status == (303 if taken else 200)
        asked = await market.shop.post("/library", key=None, data={"email": "b@example.com"}, headers=headers)
        assert asked.status == (200 if taken else 403)
        await ask(market, ADA)
        link = await mailed_link(market)
        assert (await market.shop.post(link, key=None, headers=headers)).status == (303 if taken else 403)
        assert (await market.shop.get(link, key=None)).status == (410 if taken else 200)


async def test_our_own_origin_is_let_in_by_whatever_name(market: Market) -> None:
    port = market.shop.url.rpartition(":")[2]
    for name in ("127.0.0.1", "localhost"):
        headers = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        assert (await market.shop.post("/library", key=None, data={"email": ADA}, headers=headers)).status == 200


async def test_what_is_no_address_comes_back_beside_its_field(market: Market) -> None:
    for typed in ("", "ada", "ada@", "a" * 300 + "@example.com", "ada@example.com\r\nBcc: x@y.zz", "\0@a.bc"):
        reply = await market.shop.post("/library", data={"email": typed}, key=None)
        assert (reply.status, 'aria-invalid="true"' in reply.text) == (422, True)
    assert await market.shop.tools.database.value("SELECT count(*) FROM library_asks") == 0


async def test_many_purchases_are_paged(market: Market, clock: FakeClock) -> None:
    listing = await market.listing(price=0)
    for _ in range(23):
        clock.advance(seconds=1)
        await market.checkout(listing)
    session = await signed_in(market)
    first = (await see(market, session)).text
    [older] = re.findall(r'href="(/library/orders\?cursor=[^"]+)"', first)
    last = (await see(market, session, older)).text
    pattern = re.compile(r'href="/library/orders/(ord_\w+)"')
    shown = pattern.findall(first) + pattern.findall(last)
    assert (len(pattern.findall(first)), len(set(shown)), "cursor=" in last) == (20, 23, False)
    assert (await see(market, session, "/library/orders?cursor=nonsense")).status == 422


async def test_a_mail_whose_link_has_died_waiting_is_not_sent(market: Market) -> None:
    await market.buy(await market.listing())
    await market.outside.next_letter()
    market.outside.refusals[:] = ["451 4.3.0 come again"] * 4
    await ask(market, ADA)
    database = market.shop.tools.database
    status = "SELECT status FROM messages WHERE template = 'sign_in'"

    async def given_up() -> bool:
        market.later(minutes=10)
        return bool(await database.value(status) == "given_up")

    await until(given_up, "the mail is given up")
    assert market.outside.letters.empty()
    assert "opened nothing" in await database.value("SELECT error FROM messages WHERE template = 'sign_in'")
