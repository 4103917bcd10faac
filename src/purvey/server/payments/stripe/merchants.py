"""Who takes the payments of an account: found, and set up."""

import re

from purvey.server.accounts import actions as accounts
from purvey.server.errors import Conflict, FieldError, NotFound, invalid
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.tools import Tools
from purvey.server.payments.stripe import store
from purvey.server.payments.stripe.model import Merchant, Options, Whose
from purvey.server.payments.stripe.store import MerchantRow

KEYS = r"(sk|rk)_(test|live)_\w{8,240}"
SIGNERS = r"whsec_\S{8,240}"
STRIPE_ACCOUNT = r"acct_\w{1,60}"


class Merchants:
    """Finds merchants by account, by name at Stripe, and by whose key signed a notice."""

    def __init__(self, tools: Tools, options: Options) -> None:
        self._tools = tools
        self._options = options

    async def of_account(self, account_id: str) -> Merchant | None:
        """Return who takes an account's payments: it by its own key, it as a connected account, or the installation; or nobody."""
        row = await store.merchant(self._tools.database, account_id)
        return self._merchant(row) if row else self.installation()

    async def at(self, whose: Whose) -> Merchant | None:
        """Return the merchant that was there when something was begun; None when its key is gone."""
        if whose.owner is not None:
            row = await store.merchant(self._tools.database, whose.owner)
            return self._merchant(row) if row and row.secret_key else None
        found = self.installation()
        if found is None or whose.stripe_account is None:
            return found
        row = await store.merchant_at(self._tools.database, whose.stripe_account)
        fee = row.fee_basis_points if row else 0
        return Merchant(
            whose=whose, secret_key=found.secret_key, webhook_secrets=found.webhook_secrets, fee_basis_points=fee
        )

    async def everyone(self) -> list[Merchant]:
        """Return every merchant that is set up, the installation first."""
        found = [self.installation(), *[self._merchant(row) for row in await store.merchants(self._tools.database)]]
        return [one for one in found if one]

    def installation(self) -> Merchant | None:
        """Return the merchant whom the settings name."""
        return installation(self._options)

    def connected(self, stripe_account: str, fee_basis_points: int = 0) -> Merchant:
        """Return the merchant that a connected account is.

        Raises ValidationError for what is no account at Stripe, Conflict when the installation has no key to act for it with.
        """
        _check("stripe_account", stripe_account, STRIPE_ACCOUNT, "acct_...")
        found = self.installation()
        if found is None:
            raise Conflict("The installation has no key of its own: set PURVEY_STRIPE_SECRET_KEY to the platform's.")
        return Merchant(
            whose=Whose(None, stripe_account),
            secret_key=found.secret_key,
            webhook_secrets=found.webhook_secrets,
            fee_basis_points=fee_basis_points,
        )

    def _merchant(self, row: MerchantRow) -> Merchant | None:
        if row.secret_key is not None:
            return _by_own_key(row, self._tools.keyring)
        found = self.installation()
        if found is None:
            return None
        return Merchant(
            whose=Whose(None, row.stripe_account),
            secret_key=found.secret_key,
            webhook_secrets=found.webhook_secrets,
            fee_basis_points=row.fee_basis_points,
        )


def own_key(account_id: str, secret_key: str, webhook_secret: str) -> Merchant:
    """Return the merchant that an account with a key of its own is; raise ValidationError for what is no key of Stripe's."""
    _check("secret_key", secret_key, KEYS, "sk_live_..., or a restricted key, rk_live_...; _test_ for test mode")
    _check("webhook_secret", webhook_secret, SIGNERS, "whsec_..., of the endpoint at Stripe that notifies us")
    return Merchant(whose=Whose(account_id), secret_key=secret_key, webhook_secrets=(webhook_secret,))


def installation(options: Options) -> Merchant | None:
    """Return the merchant whom the settings name."""
    if options.secret_key is None:
        return None
    return Merchant(whose=Whose(), secret_key=options.secret_key, webhook_secrets=options.webhook_secrets)


def _by_own_key(row: MerchantRow, keyring: Keyring) -> Merchant:
    secret = keyring.open(row.webhook_secret or b"")
    return Merchant(
        whose=Whose(row.account_id), secret_key=keyring.open(row.secret_key or b""), webhook_secrets=(secret,)
    )


async def set_own_key(tools: Tools, account_id: str, secret_key: str, webhook_secret: str) -> None:
    """Let an account take payments by a Stripe account of its own; both secrets are stored sealed.

    Raises NotFound, and ValidationError for what is no key of Stripe's.
    """
    await accounts.get_account(tools, account_id)
    own_key(account_id, secret_key, webhook_secret)
    sealed = tools.keyring.seal(secret_key), tools.keyring.seal(webhook_secret)
    await store.set_merchant(tools.database, account_id, *sealed, None, 0, tools.clock.now())


async def connect(tools: Tools, account_id: str, stripe_account: str, fee_basis_points: int = 0) -> None:
    """Let an account take payments by a connected account; the installation keeps its share of each.

    Raises NotFound, and ValidationError for what is no account at Stripe.
    """
    await accounts.get_account(tools, account_id)
    _check("stripe_account", stripe_account, STRIPE_ACCOUNT, "acct_...")
    await store.set_merchant(
        tools.database, account_id, None, None, stripe_account, fee_basis_points, tools.clock.now()
    )


async def disconnect(tools: Tools, account_id: str) -> None:
    """Let an account take payments as the installation does; raise NotFound if it has no other way."""
    if not await store.remove_merchant(tools.database, account_id):
        raise NotFound(f"Account {account_id} has no key and no account of its own at Stripe.")


def _check(name: str, text: str, pattern: str, right: str) -> None:
    if not re.fullmatch(pattern, text):
        raise invalid([FieldError(loc=[name], msg=f"must be {right}", type="invalid")])
