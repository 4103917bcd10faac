"""A claim with a million deliveries waiting; tests/store/test_claiming.py says the same of fewer."""

from claiming import fill, pages, plan
from purvey.server.kit.database import Database

FEW = 10
MANY = 1_000_000


async def test_a_claim_looks_at_as_much_with_a_million_waiting_as_with_ten(database: Database, scale: float) -> None:
    await fill(database, FEW)
    few_pages, few_plan = await pages(database), await plan(database)
    await fill(database, max(int(MANY * min(scale, 1.0)), FEW))
    assert await plan(database) == few_plan
    assert await pages(database) < 2 * few_pages
