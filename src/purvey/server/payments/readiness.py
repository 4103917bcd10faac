"""What is missing before an account can take money, each with the step that mends it."""

from purvey.server.accounts.model import AccountAction, AccountReadiness
from purvey.server.kit.tools import Tools
from purvey.server.payments.stripe import store
from purvey.server.payments.stripe.merchants import Merchants
from purvey.server.payments.stripe.model import NAME, Merchant, Standing

ONBOARDING = "https://dashboard.stripe.com/account/onboarding"
ENDPOINTS = "https://dashboard.stripe.com/webhooks"
KEYS = "https://dashboard.stripe.com/apikeys"

TO_STRIPE = AccountAction(
    code="use_stripe",
    priority="suggested",
    message="Payments go to the sandbox, which takes test cards. To take money, set PURVEY_PAYMENTS=stripe and Stripe's keys.",
    resolve={"setting": "PURVEY_PAYMENTS", "value": NAME},
)


class Readiness:
    """Says whether accounts can take payments by the `provider` in use.

    Nobody outside is asked: Stripe's word comes by its notices, and every hour.
    """

    def __init__(self, tools: Tools, provider: str, merchants: Merchants) -> None:
        self._tools = tools
        self._provider = provider
        self._merchants = merchants

    async def of(self, account_id: str) -> AccountReadiness:
        """Return the readiness of an account."""
        if self._provider != NAME:
            return AccountReadiness(
                can_take_payments=True, provider=self._provider, mode="test", actions=[TO_STRIPE], next=TO_STRIPE
            )
        merchant = await self._merchants.of_account(account_id)
        standing = await store.standing(self._tools.database, merchant.whose) if merchant else None
        actions = actions_of(merchant, standing, account_id, self._tools.base_url)
        return AccountReadiness(
            can_take_payments=all(one.priority != "required" for one in actions),
            provider=NAME,
            mode=None if merchant is None else "live" if merchant.live else "test",
            actions=actions,
            next=actions[0] if actions else None,
        )


def actions_of(
    merchant: Merchant | None, standing: Standing | None, account_id: str, base_url: str
) -> list[AccountAction]:
    """Return what is to be done, the required first."""
    if merchant is None:
        return [_set_key(account_id)]
    found = []
    if not merchant.webhook_secrets:
        found.append(_set_webhook_secret(base_url))
    if standing and not standing.charges_enabled:
        found.append(_onboard(standing, "required", "Stripe does not let this account take payments yet"))
    elif standing and standing.due:
        found.append(_onboard(standing, "suggested", "Stripe will stop payments unless it is told more"))
    if not merchant.live:
        found.append(_go_live())
    return found


def _set_key(account_id: str) -> AccountAction:
    return AccountAction(
        code="set_stripe_key",
        priority="required",
        message=f"No key of Stripe's is set. Set PURVEY_STRIPE_SECRET_KEY to one from {KEYS}, or give this account its own.",
        resolve={"command": f"purvey payments use-key --account {account_id}", "page": KEYS},
    )


def _set_webhook_secret(base_url: str) -> AccountAction:
    url = f"{base_url}/payments/stripe/notices"
    return AccountAction(
        code="set_stripe_webhook_secret",
        priority="required",
        message=f"Stripe's notices cannot be checked. Add the endpoint {url} at {ENDPOINTS}, set PURVEY_STRIPE_WEBHOOK_SECRET "
        "to its signing secret (whsec_...), and restart.",
        resolve={"setting": "PURVEY_STRIPE_WEBHOOK_SECRET", "page": ENDPOINTS},
    )


def _onboard(standing: Standing, priority: str, says: str) -> AccountAction:
    wants = ", ".join(standing.due) or standing.disabled_reason or "more about the business"
    return AccountAction(
        code="complete_stripe_onboarding",
        priority="required" if priority == "required" else "suggested",
        message=f"{says}: {wants}. Answer it at {ONBOARDING}.",
        resolve={"page": ONBOARDING},
    )


def _go_live() -> AccountAction:
    return AccountAction(
        code="go_live",
        priority="suggested",
        message="This is Stripe's test mode: no card is charged. For money, use the live keys and a live endpoint.",
        resolve={"setting": "PURVEY_STRIPE_SECRET_KEY", "page": KEYS},
    )
