"""Looking at a merchant from Stripe's side: whether its key opens what is needed, and whether its notices lead here.

Nothing is changed by it. A right to write is found out by asking for a change of what is not there: a key without the right is
refused before Stripe looks for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from purvey.server.payments.readiness import ENDPOINTS, KEYS, actions_of
from purvey.server.payments.stripe import rules
from purvey.server.payments.stripe.client import KeyRefusedError, StripeRefusedError, Stripes
from purvey.server.payments.stripe.model import Endpoint, Fault, Merchant, Standing
from purvey.server.payments.stripe.notices import WANTED


class Right(msgspec.Struct, frozen=True):
    """A right of a restricted key, by the words of Stripe's dashboard. Without one that is not `needed`, less is found out."""

    resource: str
    grade: Literal["read", "write"]
    ask: Callable[[Stripes, Merchant], Awaitable[object]]
    needed: bool = True

    def __str__(self) -> str:
        return f"{self.resource}: {self.grade}"


ACCOUNT = Right("Accounts", "read", lambda stripes, merchant: stripes.account(merchant), needed=False)
ENDPOINT = Right("Webhook Endpoints", "read", lambda stripes, merchant: stripes.endpoints(merchant), needed=False)
RIGHTS: Sequence[Right] = (
    Right("Checkout Sessions", "write", lambda stripes, merchant: stripes.expire_session(merchant, "cs_none")),
    Right("PaymentIntents", "read", lambda stripes, merchant: stripes.intent(merchant, "pi_none")),
    Right(
        "Charges and Refunds",
        "write",
        lambda stripes, merchant: stripes.make_refund(merchant, {"payment_intent": "pi_none"}, "purvey-examination"),
    ),
    Right("Disputes", "read", lambda stripes, merchant: stripes.dispute(merchant, "dp_none")),
    Right("Events", "read", lambda stripes, merchant: stripes.event(merchant, "evt_none")),
    ACCOUNT,
    ENDPOINT,
)
"""What is asked of Stripe anywhere here, and therefore all that a restricted key has to open."""


class Examined(msgspec.Struct, frozen=True):
    """What was found: how the merchant stands (None where its key does not open that), and what is wrong, the worst first."""

    standing: Standing | None
    faults: Sequence[Fault]


async def examine(stripes: Stripes, merchant: Merchant, account_id: str, base_url: str) -> Examined:
    """Look at a merchant. What keeps us from looking is a fault too; nothing is raised but Unavailable."""
    try:
        lacks = await lacking(stripes, merchant)
        standing = rules.standing_of(await stripes.account(merchant)) if ACCOUNT not in lacks else None
        endpoints = await stripes.endpoints(merchant) if ENDPOINT not in lacks else None
    except (KeyRefusedError, StripeRefusedError) as error:
        return Examined(None, [_refused(error)])
    faults = _rights(lacks)
    for action in actions_of(merchant, standing, account_id, base_url):
        says, _, remedy = action.message.partition(". ")
        level: Literal["problem", "warning"] = "problem" if action.priority == "required" else "warning"
        faults.append(Fault(level, f"{says}.", remedy))
    if endpoints is not None and merchant.whose.stripe_account is None:
        faults += _notified(merchant, endpoints, base_url)
    return Examined(standing, sorted(faults, key=lambda one: one.level))


async def lacking(stripes: Stripes, merchant: Merchant) -> list[Right]:
    """Return the rights that a restricted key lacks; a secret key has all. Raises KeyRefusedError for a key that opens nothing."""
    if merchant.secret_key.startswith("sk_"):
        return []
    has = await asyncio.gather(*(_has(right, stripes, merchant) for right in RIGHTS))
    return [right for right, there in zip(RIGHTS, has, strict=True) if not there]


async def _has(right: Right, stripes: Stripes, merchant: Merchant) -> bool:
    try:
        await right.ask(stripes, merchant)
    except StripeRefusedError:
        return True
    except KeyRefusedError as error:
        if not error.known:
            raise
        return False
    return True


def _refused(error: KeyRefusedError | StripeRefusedError) -> Fault:
    if isinstance(error, KeyRefusedError) and not error.known:
        return Fault("problem", "Stripe does not know this key.", f"Copy it anew from {KEYS}; it may have been rolled.")
    lacks = error.right if isinstance(error, KeyRefusedError) and error.right else str(error).rstrip(".")
    return Fault("problem", f"Stripe does not let us in: {lacks}.", f"See what the key may do, at {KEYS}.")


def _rights(lacks: Sequence[Right]) -> list[Fault]:
    found = []
    if needed := ", ".join(str(one) for one in lacks if one.needed):
        found.append(Fault("problem", f"The restricted key lacks rights: {needed}.", f"Give it these at {KEYS}."))
    if useful := ", ".join(str(one) for one in lacks if not one.needed):
        says = f"Not all can be looked at: the restricted key lacks {useful}."
        found.append(Fault("warning", says, f"Payments work without; to have it looked at, give it these at {KEYS}."))
    return found


def notices_url(base_url: str, merchant: Merchant) -> str:
    """Return where a merchant's endpoint at Stripe must lead."""
    owner = merchant.whose.owner
    return f"{base_url}/payments/stripe/notices" + (f"?account={owner}" if owner else "")


def _notified(merchant: Merchant, endpoints: Sequence[Endpoint], base_url: str) -> list[Fault]:
    """Return what is wrong with the endpoint at Stripe that leads here."""
    url = notices_url(base_url, merchant)
    ours = [one for one in endpoints if one.url == url]
    enabled = [one for one in ours if one.status == "enabled"]
    if not ours and _is_local(base_url):
        return [_unreachable(merchant, base_url, url)]
    if not ours:
        remedy = f"Add it at {ENDPOINTS}; docs/stripe.md lists its events."
        return [Fault("problem", f"Stripe notifies nobody at {url}.", remedy)]
    if not enabled:
        return [Fault("problem", f"Stripe's endpoint {url} is disabled.", f"Enable it at {ENDPOINTS}.")]
    sent = {kind for one in enabled for kind in one.enabled_events}
    missing = [kind for kind in WANTED if kind not in sent and "*" not in sent]
    if missing:
        says = f"Stripe does not send {', '.join(missing)}."
        return [Fault("warning", says, f"Add these events to the endpoint {url} at {ENDPOINTS}.")]
    return []


def _unreachable(merchant: Merchant, base_url: str, url: str) -> Fault:
    says = f"Stripe cannot reach {base_url} by itself."
    if merchant.live:
        return Fault("problem", says, "Set PURVEY_BASE_URL to the address that buyers use.")
    return Fault("warning", says, f"While you try things out, run `stripe listen --forward-to {url}`.")


def _is_local(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
