"""The composition root: the only file that knows every room. Settings go in, a web application and a worker come out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from litestar import Litestar

from purvey.server import health, migrations
from purvey.server.access import api as access_api
from purvey.server.access.work import Forget, begin_forgetting
from purvey.server.accounts import api as accounts_api
from purvey.server.accounts.api import for_sellers
from purvey.server.checkout import api as checkout_api
from purvey.server.checkout.work import ConfirmFree
from purvey.server.deadlines.actions import Deadlines
from purvey.server.deadlines.work import CheckDelivered
from purvey.server.events import api as events_api
from purvey.server.events.watch import Watch
from purvey.server.events.work import Expire, begin_expiring
from purvey.server.evidence import api as evidence_api
from purvey.server.files import api as files_api
from purvey.server.files.storage import Storage
from purvey.server.files.work import RemoveFile
from purvey.server.fulfillment import api as fulfillment_api
from purvey.server.fulfillment import links_api
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.kinds.dynamic import api as dynamic_api
from purvey.server.fulfillment.kinds.dynamic.trial import CallTrials
from purvey.server.fulfillment.kinds.dynamic.work import Call
from purvey.server.fulfillment.work import Restock
from purvey.server.jobs.headstart import HeadStart
from purvey.server.jobs.model import Kind
from purvey.server.jobs.wake import Wake
from purvey.server.jobs.worker import Worker
from purvey.server.kit.clock import Clock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import Idempotency
from purvey.server.kit.ids import Ids
from purvey.server.kit.migrations import available
from purvey.server.kit.rate_limits import RateLimits
from purvey.server.kit.safe_http import SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.kit.web import Route, make_app
from purvey.server.library.work import Invite
from purvey.server.listings import api as listings_api
from purvey.server.mail import render, transports
from purvey.server.mail.work import SendMail
from purvey.server.metrics import api as metrics_api
from purvey.server.metrics.measures import Measures
from purvey.server.orders import api as orders_api
from purvey.server.orders.sample import sample_data
from purvey.server.paying import Paying, put_together
from purvey.server.payments import api as payments_api
from purvey.server.payments.inbox import Inbox
from purvey.server.payments.stripe.client import Stripes
from purvey.server.payments.stripe.work import begin_reconciling
from purvey.server.payments.work import HandOnNotice
from purvey.server.refunds import api as refunds_api
from purvey.server.refunds.work import CarryOut
from purvey.server.settings import Settings, SettingsError
from purvey.server.stock import api as stock_api
from purvey.server.stock.work import GiveBack
from purvey.server.storefront import api as storefront_api
from purvey.server.storefront import library as library_pages
from purvey.server.storefront import mailbox as mailbox_pages
from purvey.server.storefront import sandbox as sandbox_pages
from purvey.server.storefront import sandbox_payment as sandbox_payment_pages
from purvey.server.storefront.answers import error_page
from purvey.server.storefront.shop import Shop
from purvey.server.webhooks import api as webhooks_api
from purvey.server.webhooks.trial import Trials
from purvey.server.webhooks.work import Deliver as DeliverWebhook
from purvey.server.webhooks.work import Follow, GoOnWithReplay

SLOTS = {
    "callback": 256,
    "payments": 16,
    "checkout": 4,
    "stock": 4,
    "deadlines": 4,
    "webhook": 128,
    "endpoints": 4,
    "replays": 2,
    "library": 2,
    "mail": 8,
    "files": 4,
    "events": 1,
    "visits": 1,
}
"""Lane kind -> jobs at once in one worker process."""
PATIENCE = {"webhook": 256}
"""Lane kind -> jobs at once when those that have waited for a second for somebody's answer do not count (see `jobs.slots`)."""
TESTS_AT_ONCE = 32
"""Connections for what sellers try out."""
CONNECTIONS = SLOTS["callback"] + PATIENCE["webhook"] + TESTS_AT_ONCE
"""Connections to strangers' servers, open at once in one process: one for each slot, so that nobody waits for another's."""
TESTS_A_MINUTE = 10
"""How often a seller may have a sample event sent to one endpoint, or a sample order to one listing's server."""


@dataclass(frozen=True, slots=True)
class App:
    """The parts that a process runs: `web` answers requests, `worker` does what was queued.

    `watched` makes what a process answers that does nothing but work: how it is, and what it measures.
    """

    tools: Tools
    fulfillment: Fulfillment
    inbox: Inbox
    storage: Storage
    health: health.Health
    wake: Wake
    watch: Watch
    outbound: SafeHttp
    stripes: Stripes
    worker: Worker
    web: Litestar
    watched: Callable[[], Litestar]
    measures: Measures
    retention_days: int | None
    takes_money: bool

    async def begin_work(self) -> None:
        """Start the worker, with what is to be done again and again."""
        await begin_expiring(self.tools, self.retention_days)
        await begin_forgetting(self.tools)
        if self.takes_money:
            await begin_reconciling(self.tools)
        self.worker.start()

    async def close(self) -> None:
        """Let go of what the parts hold; the worker must have been stopped."""
        await self.watch.close()
        await self.wake.close()
        await self.stripes.close()
        await self.outbound.close()


def build(settings: Settings, database: Database, clock: Clock, keyring: Keyring, ids: Ids | None = None) -> App:
    """Put the rooms together. Nothing is started and nothing is sent yet."""
    tools = Tools(database, clock, ids or Ids(), keyring, settings.url, private_urls=settings.allow_private_urls)
    wake = Wake(database, clock)
    watch = Watch(database, clock, wake)
    records = Idempotency(tools)
    head_start = HeadStart()
    fulfillment = Fulfillment(tools, records, wake.poke, head_start)
    paying = put_together(settings, tools, fulfillment, records, wake.poke)
    outbound = SafeHttp(allow_private=settings.allow_private_urls, connections=CONNECTIONS)
    storage = Storage(settings.storage, settings.max_upload_bytes)
    worker = _worker(settings, tools, paying, fulfillment, outbound, storage, wake, head_start)
    shop = Shop(test_mode=settings.test_mode, has_mailbox=settings.has_mailbox)
    readiness = health.Health(database, available(migrations.__name__))
    measures = Measures(tools, list(SLOTS), settings.metrics_token)
    given = {
        "tools": tools,
        "inbox": paying.inbox,
        "sandbox": paying.sandbox,
        "readiness_of": paying.readiness.of,
        "fulfillment": fulfillment,
        "refunds": paying.refunds,
        "storage": storage,
        "health": readiness,
        "shop": shop,
        "idempotency": records,
        "measures": measures,
        "wake": wake,
        "watch": watch,
        "rate_limits": _limits(settings, tools),
        **_trials(outbound, RateLimits(database, clock, TESTS_A_MINUTE)),
    }
    web = make_app(
        _routes(settings), ids=tools.ids, given=given, error_page=partial(error_page, test_mode=shop.test_mode)
    )
    watched = _watched(tools.ids, readiness, measures)
    return App(
        *(tools, fulfillment, paying.inbox, storage, readiness, wake, watch, outbound, paying.stripes, worker, web),
        *(watched, measures, settings.event_retention_days),
        settings.payments == "stripe",
    )


def _trials(outbound: SafeHttp, limits: RateLimits) -> dict[str, object]:
    return {"trials": Trials(outbound, limits, sample_data), "call_trials": CallTrials(outbound, limits)}


def _worker(
    settings: Settings,
    tools: Tools,
    paying: Paying,
    fulfillment: Fulfillment,
    outbound: SafeHttp,
    storage: Storage,
    wake: Wake,
    head_start: HeadStart,
) -> Worker:
    work: list[Kind[Any]] = [
        *(*paying.work, HandOnNotice(tools, paying.inbox), ConfirmFree(tools, paying.inbox)),
        *(Invite(tools, wake.poke), RemoveFile(tools, storage), GiveBack(tools), Restock(fulfillment)),
        *(Call(tools, outbound, fulfillment), DeliverWebhook(tools, outbound), Follow(tools), GoOnWithReplay(tools)),
        *(_mail(settings, tools), Expire(tools, settings.event_retention_days)),
        Forget(tools, settings.visit_retention_days),
        *(CarryOut(tools, paying.refunds), CheckDelivered(tools, Deadlines(fulfillment, paying.providers))),
    ]
    rates = {"webhook": settings.webhook_rate} if settings.webhook_rate else None
    return Worker(tools, wake, work, SLOTS, rates, PATIENCE, head_start)


def _watched(ids: Ids, readiness: health.Health, measures: Measures) -> Callable[[], Litestar]:
    routes = [*health.routes, *metrics_api.routes]
    return partial(make_app, routes, ids=ids, given={"health": readiness, "measures": measures})


def _limits(settings: Settings, tools: Tools) -> RateLimits | None:
    limit = settings.requests_per_minute
    return RateLimits(tools.database, tools.clock, limit) if limit else None


def _mail(settings: Settings, tools: Tools) -> SendMail:
    try:
        transport, sender = transports.choose(tools, settings.smtp_url), render.read_sender(settings.mail_from)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return SendMail(tools, transport, sender, test_mode=settings.test_mode)


def _routes(settings: Settings) -> list[Route]:
    rooms: list[Sequence[Any]] = [
        health.routes,
        metrics_api.routes,
        accounts_api.routes,
        files_api.routes,
        listings_api.routes,
        stock_api.routes,
        checkout_api.routes,
        payments_api.routes,
        # One router, because reading an order and changing it share a path.
        [for_sellers(*orders_api.handlers, *links_api.handlers)],
        fulfillment_api.routes,
        dynamic_api.routes,
        refunds_api.routes,
        evidence_api.routes,
        events_api.routes,
        webhooks_api.routes,
        access_api.routes,
        storefront_api.routes,
        library_pages.routes,
    ]
    if settings.payments == "sandbox":
        rooms += [sandbox_pages.routes, sandbox_payment_pages.routes]
    if settings.has_mailbox:
        rooms.append(mailbox_pages.routes)
    return [route for room in rooms for route in room]
