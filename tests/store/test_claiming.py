"""A claim costs the same, however much waits: the same plan, and hardly more pages."""

from claiming import fill, pages, plan
from purvey.server.kit.database import Database

FEW, MANY = 10, 20_000


async def test_a_claim_goes_the_same_way_with_ten_and_with_twenty_thousand_waiting(database: Database) -> None:
    await fill(database, FEW)
    few_pages, few_plan = await pages(database), await plan(database)
    await fill(database, MANY)
    many_plan = await plan(database)
    assert many_plan == few_plan
    for index in ("lanes_due on lanes", "jobs_waiting on jobs"):
        assert f"using {index}" in many_plan
    assert "Seq Scan" not in many_plan
    # The indexes are deeper by a level or two, and nothing else.
    assert await pages(database) < 1.5 * few_pages
