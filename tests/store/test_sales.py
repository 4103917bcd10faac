"""What a listing has sold: counted with each order and each refund, and never by looking at the orders again."""

import asyncio
from typing import Any

import pytest

from makers import make_account, make_checkout, make_payment, make_tools
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools


@pytest.fixture
def tools(database: Database) -> Tools:
    return make_tools(database)


async def stats(tools: Tools, account_id: str, *listings: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (orders, revenue) by listing and currency."""
    rows = await tools.database.rows("SELECT * FROM orders_stats($1, $2)", account_id, list(listings))
    return {(row["listing_id"], row["currency"]): (row["orders"], row["revenue"]) for row in rows}


async def pay(tools: Tools, account_id: str, rivals: list[Fulfillment], count: int, **changes: Any) -> None:
    """Have so many new checkouts paid, each reported to every rival."""
    checkouts = [await make_checkout(tools, account_id, **changes) for _ in range(count)]
    await asyncio.gather(*[rival.paid(make_payment(one)) for one in checkouts for rival in rivals])


async def test_parallel_payments_and_refunds_are_counted_once_each(tools: Tools) -> None:
    account_id = await make_account(tools)
    rivals = [Fulfillment(tools, Idempotency(tools), lambda: None) for _ in range(3)]
    await asyncio.gather(
        pay(tools, account_id, rivals, 30),
        pay(tools, account_id, rivals, 20, amount=300, currency="EUR"),
        pay(tools, account_id, rivals, 10, listing_id="lst_other"),
    )
    await tools.database.write("UPDATE orders SET refund_amount = 100 WHERE currency = 'EUR'")
    await tools.database.write("UPDATE orders SET refund_amount = 300 WHERE currency = 'EUR'")
    assert await stats(tools, account_id, "lst_kit", "lst_other", "lst_none") == {
        ("lst_kit", "USD"): (30, 15_000),
        ("lst_kit", "EUR"): (20, 0),
        ("lst_other", "USD"): (10, 5_000),
    }
    assert await stats(tools, await make_account(tools), "lst_kit") == {}


async def test_what_was_undone_is_not_counted(tools: Tools) -> None:
    account_id = await make_account(tools)
    fulfillment = Fulfillment(tools, Idempotency(tools), lambda: None)
    await tools.database.write("ALTER TABLE grants RENAME TO grants_away")
    with pytest.raises(Exception, match="grants"):
        await pay(tools, account_id, [fulfillment], 1)
    await tools.database.write("ALTER TABLE grants_away RENAME TO grants")
    assert await stats(tools, account_id, "lst_kit") == {}


async def test_a_look_at_the_sales_reads_a_few_rows_however_many_orders_there_are(tools: Tools) -> None:
    plan = await tools.database.rows("EXPLAIN SELECT * FROM orders_stats('acc_x', ARRAY['lst_a', 'lst_b'])")
    said = "\n".join(row[0] for row in plan)
    assert "sales_pkey" in said, said
    assert "orders" not in said.replace("orders_stats", "").replace("s.orders", ""), said
