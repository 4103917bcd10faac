"""Checks of what takes real money: that Stripe lets us, and that its notices come and fit."""

from collections.abc import Sequence
from datetime import timedelta

from purvey.server.doctor import store
from purvey.server.doctor.model import Finding, amount, ok, problem, warning
from purvey.server.doctor.patient import Patient
from purvey.server.errors import Unavailable
from purvey.server.paying import stripe_options
from purvey.server.payments.readiness import KEYS
from purvey.server.payments.stripe.client import Stripes
from purvey.server.payments.stripe.examining import examine
from purvey.server.payments.stripe.merchants import installation
from purvey.server.payments.stripe.model import Fault
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
        return _told(given, (await examine(stripes, merchant, "acc_...", given.url)).faults)
    except Unavailable:
        return problem(
            f"{given.stripe_api_base} does not answer.",
            "See whether this machine may go out to it, and https://status.stripe.com.",
        )
    finally:
        await stripes.close()


def _told(given: Settings, faults: Sequence[Fault]) -> Finding:
    """Return the worst that was found, with the others of its kind."""
    if not faults:
        return ok(f"Stripe takes payments and notifies {given.url}/payments/stripe/notices.")
    worst = [one for one in faults if one.level == faults[0].level]
    tell = problem if faults[0].level == "problem" else warning
    return tell(" ".join(one.says for one in worst), " ".join(one.remedy for one in worst))


async def notices(patient: Patient) -> Finding:
    """Check that no notice about money waits, or did not fit."""
    waiting, refused = await store.unsettled_notices(patient.shop, LOOKED_AT)
    if not waiting and not refused:
        return ok("Every notice about money fitted, and was acted on.")
    return warning(
        f"{amount(refused, 'notice')} about money did not fit and {amount(waiting, 'notice')} wait.",
        "`purvey payments notices --since 7d` lists them with the reason of each.",
    )
