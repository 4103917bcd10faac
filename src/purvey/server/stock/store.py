"""All SQL of the room that is not a function of its migrations."""

from datetime import datetime

from purvey.server.kit.database import Database

GIVE_BACK = "stock.give_back"
"""The job that gives back what a listing's checkouts hold too long; its `ref` is the listing."""


async def give_back(database: Database, account_id: str, listing_id: str, now: datetime) -> None:
    """Give back what the listing's checkouts hold whose time is over."""
    await database.write("SELECT stock_give_back($1, $2, $3)", account_id, listing_id, now, again=True)
