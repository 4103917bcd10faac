"""Evidence: what proves to a bank that an order was delivered."""

from market import Market, expect


async def test_what_was_delivered_mailed_and_opened_is_told_with_times_and_addresses(market: Market) -> None:
    bought = await market.buy(await market.listing(deliverables=[{"type": "url", "value": "https://example.com/kit"}]))
    await market.outside.next_letter()
    order = await market.order(bought)
    page = await market.shop.get(bought.access, key=None, headers={"User-Agent": "a browser"})
    link = page.text.partition('href="/download/')[2].partition('"')[0]
    assert (await market.shop.get(f"/download/{link}", key=None)).status == 302
    await market.shop.get(bought.access, key=None)
    evidence = expect(await market.shop.get(f"/v1/orders/{order['id']}/evidence"), 200)
    assert [one["action"] for one in evidence["delivery"]] == ["pay", "settle"]
    assert [(one["template"], one["recipient"], one["status"]) for one in evidence["mails"]] == [
        ("ready", "ada@example.com", "sent")
    ]
    assert sorted((one["what"], one["address"]) for one in evidence["access"] if one["address"]) == [
        ("page", "127.0.0.1"),
        ("url", "127.0.0.1"),
    ]
    assert [one["what"] for one in evidence["access"] if not one["address"]] == ["download"]
    assert "opened the page of the order from 127.0.0.1" in evidence["access_activity_log"]
    assert "48 hours or 10 downloads" in evidence["refund_policy_disclosure"]
    assert evidence["service_date"] == order["fulfilled_at"]
    shown = await market.shop.get(f"/v1/orders/{order['id']}/evidence.html")
    assert shown.status == 200
    assert "followed a link" in shown.text
    assert bought.access not in shown.text
    assert "https://example.com/kit" not in shown.text + str(evidence)


async def test_another_sellers_order_has_no_evidence(market: Market) -> None:
    bought = await market.buy(await market.listing())
    order = await market.order(bought)
    stranger = await market.stranger()
    for path in ("evidence", "evidence.html"):
        assert (await market.shop.get(f"/v1/orders/{order['id']}/{path}", key=stranger)).status == 404
