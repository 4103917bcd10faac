"""What can be done with accounts and keys; one transaction each."""

from collections.abc import Callable

from purvey.server.accounts import store
from purvey.server.accounts.model import Account, ApiKey, Caller
from purvey.server.errors import AuthenticationError, Conflict, FieldError, invalid, unknown
from purvey.server.kit.crypto import sha256
from purvey.server.kit.money import check_currency
from purvey.server.kit.text import check_email, check_line
from purvey.server.kit.tools import Tools

KEY_PREFIX = "lb_"
LONGEST_NAME = 100


async def create_account(tools: Tools, email: str, name: str, currency: str = "USD") -> tuple[Account, str]:
    """Make an account with one API key, and return both; the key is shown this once.

    Raises Conflict when the e-mail address has an account, and ValidationError for a wrong address, name or currency.
    """
    made = Account(
        id=tools.ids.new("acc_"),
        email=_checked("email", email, check_email),
        name=_checked("name", name, _check_name),
        currency=_checked("currency", currency, check_currency),
        created_at=tools.clock.now(),
    )
    key, plaintext = _new_key(tools, "first key")
    if not await store.make_account(tools.database, made, key, sha256(plaintext)):
        taken = await store.id_of(tools.database, made.email)
        raise Conflict(
            f"There is an account with the e-mail address {made.email} already: {taken}. "
            f"`purvey keys create --account {taken}` makes another key for it.",
            param="email",
        )
    return made, plaintext


async def create_key(tools: Tools, account_id: str, name: str) -> tuple[ApiKey, str]:
    """Make another key for an account, and return it with its plain text, which is shown this once."""
    key, plaintext = _new_key(tools, _checked("name", name, _check_name))
    if not await store.make_key(tools.database, account_id, key, sha256(plaintext)):
        raise unknown("account", account_id)
    return key, plaintext


async def list_keys(tools: Tools, account_id: str) -> list[ApiKey]:
    """Return the account's keys, revoked ones included, the newest first."""
    return await store.keys_of(tools.database, account_id)


async def revoke_key(tools: Tools, account_id: str, key_id: str) -> ApiKey:
    """Revoke a key from now on; revoking it again changes nothing. Raises NotFound."""
    key = await store.revoke_key(tools.database, account_id, key_id, tools.clock.now())
    if key is None:
        raise unknown("API key", key_id)
    return key


async def get_account(tools: Tools, account_id: str) -> Account:
    """Return the account; raise NotFound."""
    found = await store.account(tools.database, account_id)
    if found is None:
        raise unknown("account", account_id)
    return found


async def authenticate(tools: Tools, authorization: str | None) -> Caller:
    """Return whose key the `Authorization` header carries; raise AuthenticationError if none, or no live one."""
    caller = await store.caller(tools.database, sha256(_key_in(authorization)))
    if caller is None:
        raise AuthenticationError("This API key is unknown or was revoked.")
    return caller


def _key_in(authorization: str | None) -> str:
    if not authorization:
        raise AuthenticationError("An API key is needed; send the header `Authorization: Bearer lb_...`.")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or not key.isascii():
        raise AuthenticationError("The Authorization header must be `Bearer lb_...`, with an API key of this server.")
    return key


def _new_key(tools: Tools, name: str) -> tuple[ApiKey, str]:
    plaintext = tools.ids.secret(KEY_PREFIX)
    key = ApiKey(id=tools.ids.new("key_"), name=name, preview=plaintext[-4:], created_at=tools.clock.now())
    return key, plaintext


def _checked(field: str, text: str, check: Callable[[str], str]) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise invalid([FieldError(loc=[field], msg=str(error), type="invalid")]) from None


def _check_name(text: str) -> str:
    return check_line(text, LONGEST_NAME)
