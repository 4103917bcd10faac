"""The part of the composition root that is about money: the providers, the inbox, and what acts on which notice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from purvey.server.checkout import actions as checkouts
from purvey.server.disputes.actions import Disputes
from purvey.server.fraud.actions import Fraud
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.jobs.model import Kind
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.tools import Tools
from purvey.server.payments.inbox import Handler, Inbox
from purvey.server.payments.model import NoticeType
from purvey.server.payments.provider import Provider
from purvey.server.payments.readiness import Readiness
from purvey.server.payments.sandbox.provider import Sandbox
from purvey.server.payments.stripe.client import Stripes
from purvey.server.payments.stripe.merchants import Merchants
from purvey.server.payments.stripe.model import Options
from purvey.server.payments.stripe.notices import StripeNotices
from purvey.server.payments.stripe.provider import StripeProvider
from purvey.server.payments.stripe.reconciling import Reconciler
from purvey.server.payments.stripe.work import Reconcile
from purvey.server.payments.work import SendSandboxNotice
from purvey.server.refunds.actions import Refunds
from purvey.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Paying:
    """What takes money and gives it back. `providers` are the names of those in use, `work` is what the queue does for them."""

    sandbox: Sandbox
    stripes: Stripes
    merchants: Merchants
    reconciler: Reconciler
    readiness: Readiness
    providers: list[str]
    refunds: Refunds
    inbox: Inbox
    work: list[Kind[Any]]


def put_together(
    settings: Settings, tools: Tools, fulfillment: Fulfillment, records: Idempotency, wake: Callable[[], None]
) -> Paying:
    """Put the providers together, and tell the inbox, which knows no orders, what acts on which notice."""
    sandbox, stripe = Sandbox(tools, wake), stripe_options(settings)
    stripes, merchants = Stripes(stripe.api_base), Merchants(tools, stripe)
    if settings.payments == "stripe":
        stripes.prepare()
    providers = _providers(settings, sandbox, StripeProvider(tools, stripes, merchants, stripe))
    named = {one.name: one for one in providers}
    refunds = Refunds(tools, fulfillment, records, named)
    fraud = Fraud(tools, fulfillment, refunds, settings.stripe_fraud_warnings)
    handlers = _handlers(refunds, Disputes(tools, fulfillment, refunds), fraud)
    handlers["stripe.event"] = StripeNotices(tools, stripes, merchants, handlers).act
    inbox = Inbox(tools, providers, handlers, wake)
    reconciler = Reconciler(tools, stripes, inbox, partial(_ordered, tools))
    work: list[Kind[Any]] = [Reconcile(tools, merchants, reconciler)]
    if settings.payments == "sandbox":
        work.append(SendSandboxNotice(tools, sandbox, inbox))
    readiness = Readiness(tools, settings.payments, merchants)
    return Paying(sandbox, stripes, merchants, reconciler, readiness, list(named), refunds, inbox, work)


async def _ordered(tools: Tools, ids: Sequence[str]) -> set[str]:
    found = await checkouts.load(tools, ids)
    return {one.id for one in found.values() if one.order_id}


def stripe_options(settings: Settings) -> Options:
    """Return what the settings say of Stripe."""
    return Options(
        secret_key=settings.stripe_secret_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=settings.stripe_api_base,
        statement_descriptor=settings.stripe_statement_descriptor,
        tax=settings.stripe_tax,
        promotion_codes=settings.stripe_promotion_codes,
    )


def _providers(settings: Settings, sandbox: Sandbox, stripe: StripeProvider) -> list[Provider]:
    """Return the providers in use, first the one of new payments. Where real money is taken, no test card is.

    Stripe is in use beside the sandbox too, for what was paid by it before; without keys it takes nothing.
    """
    return [stripe] if settings.payments == "stripe" else [sandbox, stripe]


def _handlers(refunds: Refunds, disputes: Disputes, fraud: Fraud) -> dict[NoticeType, Handler]:
    """Return what acts on which notice: the inbox knows no orders."""
    return {
        "payment.succeeded": refunds.paid,
        "refund.succeeded": refunds.reported,
        "refund.failed": refunds.sent_back,
        "dispute.opened": disputes.reported,
        "dispute.updated": disputes.reported,
        "dispute.closed": disputes.reported,
        "fraud.warned": fraud.warned,
    }
