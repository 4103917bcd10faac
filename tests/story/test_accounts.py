"""Sellers, their keys, and who gets in."""

import pytest

from purvey.server.accounts import actions
from purvey.server.errors import Conflict, NotFound, ValidationError
from served import Shop


async def test_the_key_of_an_account_opens_it(shop: Shop) -> None:
    reply = await shop.get("/v1/account")
    assert reply.status == 200
    assert reply.json == {
        "object": "account",
        "id": shop.account.id,
        "email": "seller@example.com",
        "name": "The Shop",
        "currency": "USD",
        "created_at": "2026-04-17T10:23:00Z",
        "readiness": reply.json["readiness"],
    }
    readiness = reply.json["readiness"]
    assert (readiness["can_take_payments"], readiness["mode"], readiness["next"]["code"]) == (
        True,
        "test",
        "use_stripe",
    )


async def test_a_ping_needs_no_key(shop: Shop) -> None:
    reply = await shop.get("/v1/ping", key=None)
    assert reply.json == {"object": "ping", "status": "ok"}


async def test_a_key_is_lb_and_43_base62_characters_and_stored_as_its_hash_only(shop: Shop) -> None:
    assert shop.key.startswith("lb_")
    assert len(shop.key) == 46
    assert shop.key[3:].isalnum()
    row = await shop.tools.database.row("SELECT * FROM api_keys")
    assert row is not None
    assert row["preview"] == shop.key[-4:]
    assert shop.key not in repr(dict(row))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic bGI6eA==",
        "Bearer sk_live_123",
        "Bearer lb_" + "0" * 43,
        "lb_" + "0" * 43,
        "Bearer lb_\u00e4",
    ],
)
async def test_without_a_live_key_the_answer_is_401(shop: Shop, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    reply = await shop.get("/v1/account", key=None, headers=headers)
    assert reply.status == 401
    assert reply.json["code"] == "authentication_error"
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.headers["Content-Type"] == "application/problem+json"


async def test_the_scheme_may_be_written_in_any_case(shop: Shop) -> None:
    reply = await shop.get("/v1/account", key=None, headers={"Authorization": f"bearer {shop.key}"})
    assert reply.status == 200


async def test_a_revoked_key_opens_nothing_and_the_other_still_does(shop: Shop) -> None:
    second, plaintext = await actions.create_key(shop.tools, shop.account.id, "for the robot")
    assert (await shop.get("/v1/account", key=plaintext)).status == 200
    revoked = await actions.revoke_key(shop.tools, shop.account.id, second.id)
    again = await actions.revoke_key(shop.tools, shop.account.id, second.id)
    assert revoked.revoked_at == again.revoked_at == shop.clock.now()
    assert (await shop.get("/v1/account", key=plaintext)).status == 401
    assert (await shop.get("/v1/account")).status == 200


async def test_keys_are_listed_newest_first(shop: Shop) -> None:
    shop.clock.advance(seconds=1)
    second, _ = await actions.create_key(shop.tools, shop.account.id, "second")
    keys = await actions.list_keys(shop.tools, shop.account.id)
    assert [key.name for key in keys] == ["second", "first key"]
    assert keys[0] == second


async def test_another_accounts_key_cannot_be_revoked(shop: Shop) -> None:
    other, _ = await actions.create_account(shop.tools, "other@example.com", "Other")
    (key,) = await actions.list_keys(shop.tools, shop.account.id)
    with pytest.raises(NotFound):
        await actions.revoke_key(shop.tools, other.id, key.id)
    assert (await shop.get("/v1/account")).status == 200


async def test_a_key_for_an_unknown_account_is_refused(shop: Shop) -> None:
    with pytest.raises(NotFound):
        await actions.create_key(shop.tools, "acc_unknown", "key")


async def test_one_address_has_one_account_whatever_its_case(shop: Shop) -> None:
    with pytest.raises(Conflict) as caught:
        await actions.create_account(shop.tools, "Seller@Example.com", "Again")
    assert caught.value.param == "email"
    assert await shop.tools.database.value("SELECT count(*) FROM api_keys") == 1


@pytest.mark.parametrize(
    ("email", "name", "currency", "param"),
    [
        ("no address", "Shop", "USD", "email"),
        ("a@example.com", " ", "USD", "name"),
        ("a@example.com", "x" * 101, "USD", "name"),
        ("a@example.com", "a\u0000b", "USD", "name"),
        ("a@example.com", "Shop", "XXX", "currency"),
    ],
)
async def test_a_wrong_account_is_refused_by_field(
    shop: Shop, email: str, name: str, currency: str, param: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        await actions.create_account(shop.tools, email, name, currency)
    assert caught.value.param == param


async def test_the_currency_is_kept_in_upper_case(shop: Shop) -> None:
    account, _ = await actions.create_account(shop.tools, "a@example.com", "Shop", "eur")
    assert account.currency == "EUR"
    assert await actions.get_account(shop.tools, account.id) == account
