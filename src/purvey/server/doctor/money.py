"""Checks of what takes real money: that Stripe lets us, and that its notices come and fit."""

from datetime import timedelta

from purvey.server.doctor import store
from purvey.server.doctor.model import Finding, amount, ok, problem, warning
from purvey.server.doctor.patient import Patient
from purvey.server.errors import Conflict, Unavailable
from purvey.server.paying import stripe_options
from purvey.server.payments.readiness import ENDPOINTS, KEYS, actions_of
from purvey.server.payments.stripe import rules
from purvey.server.payments.stripe.client import StripeRefusedError, Stripes
from purvey.server.payments.stripe.merchants import installation
from purvey.server.payments.stripe.model import Endpoint, Merchant
from purvey.server.payments.stripe.notices import WANTED
from purvey.server.settings import Settings

LOOKED_AT = timedelta(days=7)
"""How far back notices are looked at."""


async def stripe(patient: Patient) -> Finding | None:
    """Check that Stripe lets us take payments, and knows where to notify us."""
    given = patient.settings
    if given.payments != "stripe":
        return None
    merchant = installation(stripe_options(given))
    if merchant is None:
        return warning(
            "PURVEY_STRIPE_SECRET_KEY is not set: only accounts with a key of their own can take payments.",
            f"Copy a key from {KEYS}, or run `purvey payments use-key --account acc_...` for each account.",
        )
    stripes = Stripes(given.stripe_api_base)
    try:
        return await _looked_at(given, merchant, stripes)
    except (Conflict, StripeRefusedError) as error:
        return problem(
            f"Stripe does not let us in: {error}", f"See whether the key at {KEYS} is this one and has its rights."
        )
    except Unavailable:
        return problem(
            f"{given.stripe_api_base} does not answer.",
            "See whether this machine may go out to it, and https://status.stripe.com.",
        )
    finally:
        await stripes.close()


async def _looked_at(given: Settings, merchant: Merchant, stripes: Stripes) -> Finding:
    standing = rules.standing_of(await stripes.account(merchant))
    for action in actions_of(merchant, standing, "acc_...", given.url):
        says, _, remedy = action.message.partition(". ")
        return (problem if action.priority == "required" else warning)(f"{says}.", remedy)
    return _notified(given, await stripes.endpoints(merchant))


def _notified(given: Settings, endpoints: list[Endpoint]) -> Finding:
    """Return whether an endpoint at Stripe leads here and sends all that is needed."""
    url = f"{given.url}/payments/stripe/notices"
    ours = [one for one in endpoints if one.url == url and one.status == "enabled"]
    if not ours:
        return problem(f"Stripe notifies nobody at {url}.", f"Add it at {ENDPOINTS}; docs/stripe.md lists its events.")
    sent = {kind for one in ours for kind in one.enabled_events}
    missing = [kind for kind in WANTED if kind not in sent and "*" not in sent]
    if missing:
        return warning(
            f"Stripe does not send {', '.join(missing)}.", f"Add these events to the endpoint at {ENDPOINTS}."
        )
    return ok(f"Stripe takes payments and notifies {url}.")


async def notices(patient: Patient) -> Finding:
    """Check that no notice about money waits, or did not fit."""
    waiting, refused = await store.unsettled_notices(patient.shop, LOOKED_AT)
    if not waiting and not refused:
        return ok("Every notice about money fitted, and was acted on.")
    return warning(
        f"{amount(refused, 'notice')} about money did not fit and {amount(waiting, 'notice')} wait.",
        "`purvey payments notices --since 7d` lists them with the reason of each.",
    )
