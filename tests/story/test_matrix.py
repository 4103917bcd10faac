"""Every route, asked by nobody, by a stranger and by its owner: another account's object is exactly like an unknown one."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from access_matrix import PAGES, PUBLIC, SELLERS, Account, Public, Seller, filled, open_account, unlike
from conftest import NewDatabase
from judge import complaints
from purvey.server.accounts import actions as accounts
from routed import Route, quoted, routes
from served import Reply
from threaded import ThreadedShop, threaded_shop

ROUTES = {route.name: route for route in routes()}
VOLATILE = {"x-request-id", "x-correlation-id", "date", "content-length"}
"""Headers that differ from one answer to the next; the length is that of the body, which is compared."""
RATED = "x-ratelimit-"


@dataclass(frozen=True)
class Street:
    """A shop with two sellers who know nothing of each other, and a key of the first that was revoked."""

    shop: ThreadedShop
    owner: Account
    stranger: Account
    revoked: str

    def ask(self, route: Route, key: str | None, values: Mapping[str, str], **options: Any) -> Reply:
        """Ask a route for the objects with the ids in `values`."""
        query = options.pop("query", "")
        target = route.target(quoted(values), query)
        return self.shop.run(lambda: self.shop.shop.ask(route.method, target, key=key, **options))


@pytest.fixture(scope="module")
def shop(new_database: NewDatabase) -> Iterator[ThreadedShop]:
    with threaded_shop(new_database) as opened:
        yield opened


@pytest.fixture(scope="module")
def street(shop: ThreadedShop) -> Street:
    """Two sellers who have one of everything."""
    return _street(shop)


def _street(shop: ThreadedShop) -> Street:
    names = [shop.app.tools.ids.new("").lower() for _ in range(2)]
    owner, stranger = shop.run(lambda: _both(shop, names))
    return Street(shop, owner, stranger, shop.run(lambda: _revoked_key(shop, owner)))


async def _both(shop: ThreadedShop, names: list[str]) -> list[Account]:
    return [await open_account(shop.shop, name) for name in names]


async def _revoked_key(shop: ThreadedShop, owner: Account) -> str:
    key, plaintext = await accounts.create_key(shop.app.tools, owner.id, "the old robot")
    await accounts.revoke_key(shop.app.tools, owner.id, key.id)
    return plaintext


async def _rows(shop: ThreadedShop, stranger: str) -> dict[str, list[str]]:
    """Return every row of every table but for those of the stranger's own account, as text."""
    database = shop.app.tools.database
    tables = await database.rows(
        "SELECT table_name AS name, bool_or(column_name = 'account_id') AS owned FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name IN (SELECT tablename FROM pg_tables) GROUP BY 1 ORDER BY 1"
    )
    each = [
        f"SELECT '{table['name']}' AS name, one::text AS text FROM \"{table['name']}\" AS one"
        + (" WHERE account_id IS DISTINCT FROM $1" if table["owned"] else " WHERE $1::text IS NOT NULL")
        for table in tables
    ]
    found: dict[str, list[str]] = {}
    for row in await database.rows(" UNION ALL ".join(each) + " ORDER BY 1, 2", stranger):
        found.setdefault(row["name"], []).append(row["text"])
    return found


def as_unknown(reply: Reply, ids: Mapping[str, str]) -> tuple[int, str, dict[str, str]]:
    """Return what an answer says once the ids asked for, and those of the request, are left out."""
    body = reply.text
    for one in sorted((value for value in ids.values() if value), key=len, reverse=True):
        body = body.replace(one, "<id>")
    body = re.sub(r"req_\w{22}", "<request>", body)
    headers = {name.lower(): value for name, value in reply.headers.items()}
    kept = {name: value for name, value in headers.items() if name not in VOLATILE and not name.startswith(RATED)}
    return reply.status, body, kept


def foreign_values(entry: Seller, street: Street) -> list[dict[str, str]]:
    """Return every mix of the owner's and the stranger's ids that names at least one of the owner's."""
    names = list(entry.of)
    mixes = product([street.owner, street.stranger], repeat=len(names))
    return [
        {name: account.goods[entry.of[name]] for name, account in zip(names, mix, strict=True)}
        for mix in mixes
        if street.owner in mix
    ]


def test_every_route_has_its_line_in_the_matrix() -> None:
    lines = {*SELLERS, *PUBLIC}
    assert set(ROUTES) - lines == set(), "these routes have no line in tests/access_matrix.py"
    assert lines - set(ROUTES) == set(), "these lines of tests/access_matrix.py are for no route"
    assert set(SELLERS) & set(PUBLIC) == set()


@pytest.mark.parametrize("name", SELLERS)
def test_every_parameter_of_a_path_is_an_object_of_the_account(name: str) -> None:
    assert set(ROUTES[name].parameters) == set(SELLERS[name].of)


@pytest.mark.parametrize("name", SELLERS)
def test_a_route_of_sellers_is_shut_without_a_live_key(street: Street, name: str) -> None:
    route, entry = ROUTES[name], SELLERS[name]
    before = street.shop.run(lambda: _rows(street.shop, street.stranger.id))
    for key in (None, "lb_" + "0" * 43, street.revoked):
        for values in (
            entry.values(street.owner.goods),
            {one: unlike(street.owner.goods[of]) for one, of in entry.of.items()},
        ):
            reply = street.ask(route, key, values, **entry.sent(street.owner.goods))
            assert (reply.status, reply.json["code"]) == (401, "authentication_error")
            assert _complaints(reply) == []
            assert _leaked(reply, street.owner, set(values.values())) == set()
    assert street.shop.run(lambda: _rows(street.shop, street.stranger.id)) == before


@pytest.mark.parametrize("name", [name for name in SELLERS if SELLERS[name].of])
def test_another_accounts_object_is_exactly_like_an_unknown_one(street: Street, name: str) -> None:
    route, entry = ROUTES[name], SELLERS[name]
    before = street.shop.run(lambda: _rows(street.shop, street.stranger.id))
    for values in foreign_values(entry, street):
        unknown = {one: unlike(id_) if id_ in street.owner.goods.values() else id_ for one, id_ in values.items()}
        foreign = street.ask(route, street.stranger.key, values, **entry.sent(street.stranger.goods))
        nobodys = street.ask(route, street.stranger.key, unknown, **entry.sent(street.stranger.goods))
        assert foreign.status == 404
        assert as_unknown(foreign, values) == as_unknown(nobodys, unknown)
        assert _complaints(foreign) == []
        assert _leaked(foreign, street.owner, set(values.values())) == set()
    assert street.shop.run(lambda: _rows(street.shop, street.stranger.id)) == before


@pytest.mark.parametrize("name", [name for name in SELLERS if SELLERS[name].asks])
def test_ids_of_another_account_in_a_query_find_nothing(street: Street, name: str) -> None:
    route, entry = ROUTES[name], SELLERS[name]
    values = entry.values(street.stranger.goods)
    for parameter, good in entry.asks.items():
        theirs = street.owner.goods[good]
        unknown = unlike(theirs)
        foreign = street.ask(route, street.stranger.key, values, query=f"{parameter}={quote(theirs)}")
        nobodys = street.ask(route, street.stranger.key, values, query=f"{parameter}={quote(unknown)}")
        assert _leaked(foreign, street.owner, {theirs}) == set()
        assert as_unknown(foreign, {"": theirs}) == as_unknown(nobodys, {"": unknown})


@pytest.mark.parametrize("name", [name for name in SELLERS if name.startswith("GET")])
def test_what_a_stranger_reads_of_its_own_holds_nothing_of_the_owner(street: Street, name: str) -> None:
    route, entry = ROUTES[name], SELLERS[name]
    reply = street.ask(route, street.stranger.key, entry.values(street.stranger.goods))
    assert reply.status == entry.status
    assert _leaked(reply, street.owner, set()) == set()
    there = (
        (reply.json.get("data") or {"id", "listing_id", "order_id"} & reply.json.keys())
        if entry.is_json
        else b"data:" in reply.body or b"<h1>" in reply.body
    )
    assert there, "there was nothing to be mistaken for the owner's"


@pytest.mark.parametrize("name", SELLERS)
def test_the_owner_is_let_in_and_a_stranger_with_the_same_idempotency_key_is_not(shop: ThreadedShop, name: str) -> None:
    street = _street(shop)
    route, entry = ROUTES[name], SELLERS[name]
    values = entry.values(street.owner.goods)
    same = {"headers": {"Idempotency-Key": "the same"}}
    reply = street.ask(route, street.owner.key, values, **same, **entry.sent(street.owner.goods))
    assert reply.status == entry.status, reply.text
    again = street.ask(route, street.stranger.key, values, **same, **entry.sent(street.owner.goods))
    assert again.status == (404 if entry.of else entry.status)
    assert _leaked(again, street.owner, set(values.values())) == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_route_answers_anybody_alike(street: Street, name: str) -> None:
    route, entry = ROUTES[name], PUBLIC[name]
    assert len(entry.why) > 10
    replies = [_asked_publicly(street, route, entry, key) for key in (None, street.stranger.key, "lb_wrong")]
    assert [reply.status for reply in replies] == [entry.status] * 3, replies[0].text
    if name not in PAGES:
        assert [complaint for reply in replies for complaint in _complaints(reply)] == []
    assert _leaked(replies[0], street.owner, set()) & street.owner.hidden == set()


def _asked_publicly(street: Street, route: Route, entry: Public, key: str | None) -> Reply:
    body = filled(entry.body, street.owner.goods)
    return street.ask(route, key, entry.values(street.owner.goods), json=body)


def _complaints(reply: Reply) -> list[str]:
    return complaints(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.body)


def _leaked(reply: Reply, owner: Account, told: set[str]) -> set[str]:
    """Return what an answer shows of the owner that was not in the question."""
    shown = reply.text + json.dumps(dict(reply.headers))
    return {text for text in owner.secrets - told if text in shown}
