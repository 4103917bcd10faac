"""A buyer who lost the way gets back in, a seller helps, and whatever was sent to the wrong address opens nothing any more."""

import asyncio
import re
from email.message import EmailMessage
from typing import Any

from market import Bought, Market, expect
from running import until
from served import Reply
from story.test_library import COOKIE, pass_time, see, signed_in, text_of

HTML = {"Accept": "text/html,application/xhtml+xml"}
URL = [{"type": "url", "value": "https://example.com/the-goods"}]
LINK = re.compile(r"/access/\w+")


async def look(market: Market, path: str) -> Reply:
    return await market.shop.get(path, key=None, headers=HTML)


async def fresh(market: Market, access: str, **options: Any) -> Reply:
    """Press the button of a page whose link has run out."""
    return await market.shop.post(f"{access}/fresh", key=None, **options)


async def letters(market: Market, count: int) -> list[EmailMessage]:
    return [await market.outside.next_letter() for _ in range(count)]


def link_in(letter: EmailMessage) -> str:
    """Return the path of the one link in a mail."""
    [link] = set(LINK.findall(text_of(letter)))
    return str(link)


def download_in(page: Reply) -> str:
    [link] = set(re.findall(r'href="(/download/[^"]+)"', page.text))
    return str(link)


async def history(market: Market, order: dict[str, Any]) -> list[dict[str, Any]]:
    return list(expect(await market.shop.get(f"/v1/orders/{order['id']}/history"), 200)["data"])


async def bought(market: Market, **fields: Any) -> tuple[Bought, dict[str, Any]]:
    """Buy something with a link in it, and take the first mail away."""
    purchase = await market.buy(await market.listing(deliverables=URL, **fields))
    await market.outside.next_letter()
    return purchase, await market.order(purchase)


async def asked(market: Market, order: dict[str, Any]) -> int:
    sql = "SELECT fresh_links FROM orders WHERE id = $1"
    return int(await market.shop.tools.database.value(sql, order["id"]))


async def paid_back(market: Market, order: dict[str, Any]) -> None:
    """Have the money of an order gone back."""
    sql = "UPDATE orders SET payment_status = 'refunded', refund_amount = amount, refunded_at = $2 WHERE id = $1"
    await market.shop.tools.database.write(sql, order["id"], market.shop.clock.now())


async def test_a_seller_sends_a_fresh_link_and_every_older_one_dies(market: Market) -> None:
    purchase, order = await bought(market)
    download = download_in(await look(market, purchase.access))
    assert (await market.shop.get(download, key=None)).status == 302
    await pass_time(market, hours=47)
    events = await market.events()
    told = expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    [letter] = await letters(market, 1)
    link = link_in(letter)
    assert (letter["To"], letter["Subject"]) == ("ada@example.com", "A fresh link to your order: Kit")
    assert told["access_url"].endswith(link)
    assert link != purchase.access
    assert (await look(market, purchase.access)).status == 404
    assert (await fresh(market, purchase.access)).status == 200
    assert (await market.shop.get(download, key=None)).status == 410
    await pass_time(market, hours=47)
    page = await look(market, link)
    assert (page.status, "10 of 10" in page.text) == (200, True)
    assert (await market.shop.get(download_in(page), key=None)).status == 302
    assert await market.events() == events
    last = (await history(market, order))[-1]
    assert (last["action"], last["actor"], last["to_status"]) == ("resend", "seller", "fulfilled")
    for _ in range(4):
        expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    assert await asked(market, order) == 0


async def test_a_link_that_is_sent_again_before_the_content_is_there_waits_too(market: Market) -> None:
    purchase = await market.buy(await market.generated())
    order = await market.order(purchase)
    await market.outside.next_letter()
    expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    [letter] = await letters(market, 1)
    assert "is being prepared" in text_of(letter)
    assert (await look(market, purchase.access)).status == 404
    assert "is being prepared" in (await look(market, link_in(letter))).text
    expect(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json={"type": "text", "value": "made"}), 200)
    [ready] = await letters(market, 1)
    assert link_in(ready) == link_in(letter)
    assert "made" in (await look(market, link_in(ready))).text


async def test_there_is_no_link_to_what_opens_nothing(market: Market) -> None:
    handed_off = await market.order(
        await market.buy(await market.listing(content_type="webhook", agent_callback_url=market.outside.hook_url))
    )
    refunded = await market.order(await market.buy(await market.listing()))
    await market.outside.next_letter()
    await paid_back(market, refunded)
    for order in (handed_off, refunded):
        refused = await market.shop.post(f"/v1/orders/{order['id']}/resend")
        assert (refused.status, refused.json["code"]) == (409, "invalid_transition")
        assert refused.json["allowed_statuses"] == ["processing", "fulfilled"]
    assert (await market.shop.post("/v1/orders/ord_0/resend")).status == 404


async def test_a_buyer_gets_a_fresh_link_by_mail_three_times(market: Market) -> None:
    purchase, order = await bought(market)
    access = purchase.access
    for number in (1, 2, 3):
        await pass_time(market, hours=48)
        page = await look(market, access)
        assert (page.status, f'action="{access}/fresh"' in page.text) == (410, True)
        answer = await fresh(market, access)
        assert (answer.status, "/access/" in answer.text, "ada" in answer.text) == (200, False, False)
        [letter] = await letters(market, 1)
        assert letter["To"] == "ada@example.com"
        assert (await look(market, access)).status == 404
        access = link_in(letter)
        assert (await look(market, access)).status == 200
        assert await asked(market, order) == number
    await pass_time(market, hours=48)
    page = await look(market, access)
    assert (page.status, "/fresh" in page.text, "as many fresh links as there are" in page.text) == (410, False, True)
    same = [await fresh(market, path) for path in (access, "/access/unknown", purchase.access)]
    assert {(reply.status, reply.body) for reply in same} == {(answer.status, answer.body)}
    assert await asked(market, order) == 3
    assert [entry["action"] for entry in await history(market, order)][2:] == ["fresh_link"] * 3
    expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    [letter] = await letters(market, 1)
    assert (await look(market, link_in(letter))).status == 200


async def test_what_is_used_up_is_opened_anew_too(market: Market) -> None:
    purchase, _ = await bought(market)
    download = download_in(await look(market, purchase.access))
    for _ in range(10):
        assert (await market.shop.get(download, key=None)).status == 302
    assert "This link is used up" in (await look(market, purchase.access)).text
    await fresh(market, purchase.access)
    [letter] = await letters(market, 1)
    assert (await market.shop.get(download_in(await look(market, link_in(letter))), key=None)).status == 302
    assert (await market.shop.get(download, key=None)).status == 410


async def test_fifty_who_ask_at_once_get_three_links_and_no_more(market: Market) -> None:
    purchase, order = await bought(market)
    access, session = purchase.access, await signed_in(market)
    for _ in range(5):
        await pass_time(market, hours=48)
        again = f"/library/orders/{order['id']}/fresh"
        replies = await asyncio.gather(
            *[fresh(market, access) for _ in range(25)],
            *[market.shop.post(again, key=None, cookies={COOKIE: session}) for _ in range(25)],
        )
        assert {reply.status for reply in replies} == {200, 303}
        assert len({reply.body for reply in replies if reply.status == 200}) == 1
        access = [reply.headers["Location"] for reply in replies if reply.status == 303][-1]
    assert await asked(market, order) == 3
    grants = "SELECT count(*), count(*) FILTER (WHERE revoked_at IS NULL) FROM grants WHERE order_id = $1"
    assert tuple(await market.shop.tools.database.row(grants, order["id"]) or ()) == (4, 1)
    assert [entry["action"] for entry in await history(market, order)].count("fresh_link") == 3


async def test_what_still_opens_or_was_closed_on_purpose_gets_no_fresh_link(market: Market) -> None:
    waiting = await market.buy(await market.generated())
    await market.outside.next_letter()
    purchase, order = await bought(market)
    withdrawn, order_withdrawn = await bought(market)
    refunded, order_refunded = await bought(market)
    expect(await market.shop.post(f"/v1/orders/{order_withdrawn['id']}/grants/revoke"), 200)
    assert (await look(market, purchase.access)).status == 200
    for one in (purchase, withdrawn, refunded, waiting):
        assert (await fresh(market, one.access)).status == 200
    await pass_time(market, hours=49)
    await paid_back(market, order_refunded)
    for one in (withdrawn, refunded):
        page = await look(market, one.access)
        assert (page.status, "/fresh" in page.text) == (410, False)
        assert (await fresh(market, one.access)).status == 200
    session = await signed_in(market)
    page = await see(market, session)
    assert re.findall(r"/library/orders/(\w+)/fresh", page.text) == [order["id"]]
    for shut in (order_withdrawn, order_refunded):
        again = await market.shop.post(f"/library/orders/{shut['id']}/fresh", key=None, cookies={COOKIE: session})
        assert (again.status, (await look(market, again.headers["Location"])).status) == (303, 410)
    assert [await asked(market, one) for one in (order, order_withdrawn, order_refunded)] == [0, 0, 0]
    # What waited for two days was told of as late meanwhile; that is not this story.
    letters = [market.outside.letters.get_nowait()["Subject"] for _ in range(market.outside.letters.qsize())]
    assert [subject for subject in letters if subject.startswith("A fresh link")] == []


async def test_the_library_opens_what_has_run_out(market: Market) -> None:
    purchase, order = await bought(market)
    session = await signed_in(market)
    assert "/fresh" not in (await see(market, session)).text
    await pass_time(market, hours=48)
    assert f'action="/library/orders/{order["id"]}/fresh"' in (await see(market, session)).text
    again = f"/library/orders/{order['id']}/fresh"
    refused = {"Sec-Fetch-Site": "cross-site"}
    assert (await market.shop.post(again, key=None, cookies={COOKIE: session}, headers=refused)).status == 403
    assert (await market.shop.post(again, key=None)).headers["Location"] == "/library"
    paths = set()
    for _ in range(2):
        reply = await market.shop.post(again, key=None, cookies={COOKIE: session})
        paths.add(reply.headers["Location"])
    [access] = paths
    assert (await look(market, access)).status == 200
    assert access != purchase.access
    assert await asked(market, order) == 1
    assert market.outside.letters.empty()
    nobodys = await market.shop.post("/library/orders/ord_0/fresh", key=None, cookies={COOKIE: session})
    assert nobodys.status == 404


async def test_a_form_on_another_site_asks_for_nothing(market: Market) -> None:
    purchase, order = await bought(market)
    await pass_time(market, hours=48)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await fresh(market, purchase.access, headers=headers)).status == 403
    assert await asked(market, order) == 0


async def test_a_seller_withdraws_access_and_gives_it_back(market: Market) -> None:
    purchase, order = await bought(market)
    download = download_in(await look(market, purchase.access))
    path = f"/v1/orders/{order['id']}/grants/revoke"
    events = await market.events()
    for _ in range(2):
        assert expect(await market.shop.post(path), 200)["status"] == "fulfilled"
    assert (await market.shop.get(download, key=None)).status == 410
    page = await look(market, purchase.access)
    assert (page.status, "The seller has withdrawn access" in page.text) == (410, True)
    assert [entry["action"] for entry in await history(market, order)][2:] == ["revoke"]
    assert "Withdrawn" in (await see(market, await signed_in(market))).text
    expect(await market.shop.post(f"/v1/orders/{order['id']}/resend"), 200)
    [letter] = await letters(market, 1)
    assert (await market.shop.get(download_in(await look(market, link_in(letter))), key=None)).status == 302
    assert await market.events() == events
    waiting = await market.order(await market.buy(await market.generated()))
    refused = await market.shop.post(f"/v1/orders/{waiting['id']}/grants/revoke")
    assert (refused.status, refused.json["allowed_statuses"]) == (409, ["fulfilled"])


async def test_an_address_is_put_right_and_the_wrong_one_has_nothing(market: Market) -> None:
    purchase, order = await bought(market)
    download = download_in(await look(market, purchase.access))
    checkout = f"/v1/checkouts/{purchase.checkout['id']}"
    path = f"/v1/orders/{order['id']}"
    events = await market.events()
    told = expect(await market.shop.patch(path, json={"buyer_email": " adele@example.com "}), 200)
    assert told["buyer_email"] == "adele@example.com"
    [letter] = await letters(market, 1)
    assert letter["To"] == "adele@example.com"
    assert (await look(market, link_in(letter))).status == 200
    assert (await look(market, purchase.access)).status == 404
    assert (await market.shop.get(download, key=None)).status == 410
    assert (await market.shop.ask("HEAD", download, key=None)).status == 410
    shown = expect(await market.shop.get(checkout, key=None), 200)
    assert (shown["order_id"], shown["access_url"]) == (order["id"], None)
    back = await look(market, f"/checkout/{purchase.checkout['id']}/return")
    assert (back.status, "/access/" in back.text) == (200, False)
    assert await market.events() == events
    last = (await history(market, order))[-1]
    assert (last["action"], last["actor"]) == ("correct_email", "seller")
    assert last["detail"] == {"before": "ada@example.com", "after": "adele@example.com"}
    expect(await market.shop.patch(path, json={"buyer_email": "adele@example.com"}), 200)
    assert len(await history(market, order)) == last["version"]
    assert order["id"] in (await see(market, await signed_in(market, "adele@example.com"))).text
    found = await market.shop.tools.database.value("SELECT orders_bought_with('ada@example.com')")
    assert found is False
    expect(await market.shop.patch(path, json={"buyer_email": "ada@example.com"}), 200)
    assert expect(await market.shop.get(checkout, key=None), 200)["access_url"] is None
    assert (await market.shop.get("/v1/orders?buyer_email=ada@example.com")).json["data"][0]["id"] == order["id"]


async def test_whose_address_changes_loses_sight_of_the_order_in_the_library(market: Market) -> None:
    _, order = await bought(market)
    session = await signed_in(market)
    assert order["id"] in (await see(market, session)).text
    expect(await market.shop.patch(f"/v1/orders/{order['id']}", json={"buyer_email": "bob@example.com"}), 200)
    assert order["id"] not in (await see(market, session)).text
    assert (await see(market, session, f"/library/orders/{order['id']}")).status == 404


async def test_what_is_no_address_is_refused_by_name(market: Market) -> None:
    order = await market.order(await market.buy(await market.listing()))
    nothing = {"buyer_email": None}
    for body in ({}, {"buyer_email": "ada"}, {"buyer_email": 1}, {"email": "a@example.com"}, nothing):
        refused = await market.shop.patch(f"/v1/orders/{order['id']}", json=body)
        assert (refused.status, refused.json["code"]) == (422, "validation_error")
        assert "email" in refused.json["param"]


async def test_a_withdrawn_or_refunded_order_stays_shut_at_its_new_address(market: Market) -> None:
    _, withdrawn = await bought(market)
    _, refunded = await bought(market)
    expect(await market.shop.post(f"/v1/orders/{withdrawn['id']}/grants/revoke"), 200)
    await paid_back(market, refunded)
    for order in (withdrawn, refunded):
        told = expect(await market.shop.patch(f"/v1/orders/{order['id']}", json={"buyer_email": "b@example.com"}), 200)
        assert (await look(market, LINK.search(told["access_url"])[0])).status == 410  # type: ignore[index]  # it is there
    assert await market.shop.tools.database.value("SELECT count(*) FROM messages WHERE template = 'fresh_link'") == 0


async def test_a_mail_that_waits_leaves_with_the_link_of_now_and_never_to_the_wrong_address(market: Market) -> None:
    market.outside.refusals[:] = ["451 4.3.0 come again"] * 2
    database = market.shop.tools.database
    waits = "SELECT count(*) FROM messages WHERE status = 'waiting' AND attempts > 0"
    first = await market.order(await market.buy(await market.listing()))
    second = await market.order(await market.buy(await market.listing(), "wrong@example.com"))

    async def both_wait() -> bool:
        return bool(await database.value(waits) == 2)

    await until(both_wait, "both mails were refused once")
    told = expect(await market.shop.post(f"/v1/orders/{first['id']}/resend"), 200)
    expect(await market.shop.patch(f"/v1/orders/{second['id']}", json={"buyer_email": "right@example.com"}), 200)
    came = await letters(market, 2)
    market.later(minutes=2)
    came += await letters(market, 2)
    assert sorted(str(letter["To"]) for letter in came) == ["ada@example.com"] * 2 + ["right@example.com"] * 2
    for letter in came:
        assert (await look(market, link_in(letter))).status == 200
    assert told["access_url"].endswith(link_in(next(letter for letter in came if letter["To"] == "ada@example.com")))
    stray = "SELECT count(*) FROM messages WHERE recipient = 'wrong@example.com'"

    async def none_is_his() -> bool:
        return not await database.value(stray)

    await until(none_is_his, "it is recorded whom they were sent to")


async def test_the_buyer_of_what_a_seller_delivers_is_told_so(market: Market) -> None:
    purchase = await market.buy(
        await market.listing(content_type="webhook", agent_callback_url=market.outside.hook_url)
    )
    assert "delivers your order" in (await look(market, purchase.access)).text
    shown = expect(await market.shop.get(f"/v1/checkouts/{purchase.checkout['id']}", key=None), 200)
    assert shown["access_url"] is None
    await pass_time(market, hours=1)
    back = await look(market, f"/checkout/{purchase.checkout['id']}/return")
    assert ("delivers your order" in back.text, "was mailed" in back.text) == (True, False)
    order = await market.order(purchase)
    expect(await market.shop.patch(f"/v1/orders/{order['id']}", json={"buyer_email": "b@example.com"}), 200)
    assert (await look(market, purchase.access)).status == 404
    assert market.outside.letters.empty()


async def test_behind_an_unknown_link_a_person_finds_a_way_on_and_a_program_a_problem(market: Market) -> None:
    page = await look(market, "/access/unknown")
    assert (page.status, 'action="/library"' in page.text) == (404, True)
    problem = await market.shop.get("/access/unknown", key=None)
    assert (problem.status, problem.json["code"]) == (404, "not_found")


async def test_sending_again_with_one_key_sends_once(market: Market) -> None:
    _, order = await bought(market)
    headers = {"Idempotency-Key": "the same"}
    path = f"/v1/orders/{order['id']}/resend"
    replies = [await market.shop.post(path, headers=headers) for _ in range(3)]
    assert len({reply.body for reply in replies}) == 1
    assert [entry["action"] for entry in await history(market, order)].count("resend") == 1
