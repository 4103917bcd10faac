"""Checks of the shop's work: what waits, and what came to a halt."""

from urllib.parse import urlsplit

from purvey.server.app import SLOTS
from purvey.server.doctor import store
from purvey.server.doctor.model import Finding, amount, ok, problem, span, warning
from purvey.server.doctor.patient import Patient
from purvey.server.metrics.measures import backlog
from purvey.server.metrics.model import COUNTED, Backlog

LATE = 60.0
"""Seconds after which due work is late: a worker takes it within one."""
VERY_LATE = 3600.0
"""Seconds after which it is certain that something is wrong."""
SHOWN = 3
"""How many receivers are named."""


async def _backlog(patient: Patient) -> Backlog:
    return await backlog(patient.shop, list(SLOTS), await store.instant(patient.shop))


async def queue(patient: Patient) -> Finding:
    """Check that somebody does what is due."""
    late = max((await _backlog(patient)).queue, key=lambda depth: depth.due_for)
    if late.due_for < LATE:
        return ok("What is due is done in time.")
    says = (
        f"Work for {late.kind} has been due for {span(late.due_for)}; {amount(late.waiting, 'job', most=COUNTED)} wait."
    )
    remedy = "See whether a server or `purvey worker` runs, and what its log says; if it runs and is only busy, start more workers."
    return problem(says, remedy) if late.due_for >= VERY_LATE else warning(says, remedy)


async def receivers(patient: Patient) -> Finding:
    """Check that those who are called answer."""
    broken = sum(depth.open_breakers for depth in (await _backlog(patient)).queue)
    if not broken:
        return ok("No receiver is held back for not answering.")
    hosts = dict.fromkeys(
        urlsplit(target).hostname or target for target in await store.broken_targets(patient.shop, SHOWN)
    )
    return warning(
        f"{amount(broken, 'receiver', most=COUNTED)} failed more than 50 times in an hour: {', '.join(hosts)}"
        f"{' and others' if broken > len(hosts) else ''}.",
        "They are tried every 15 minutes until one answers; ask their owners what is wrong.",
    )


async def orders(patient: Patient) -> Finding:
    """Check that nobody has paid and been waiting for long."""
    waits = (await _backlog(patient)).orders
    days, hours = waits["over_1d"], waits["under_1d"]
    if not days and not hours:
        return ok("No order has been paid for more than an hour and is not fulfilled.")
    return warning(
        f"{amount(days + hours, 'order')} paid more than an hour ago and not fulfilled, {days} of them more than a day ago.",
        "GET /v1/orders?status=processing lists them: their agents were told, and have yet to deliver.",
    )


async def endpoints(patient: Patient) -> Finding:
    """Check that those who asked for webhooks still want them."""
    disabled = await store.disabled_endpoints(patient.shop)
    gone = disabled.get("gone", 0)
    if not gone:
        return ok("No endpoint was disabled for answering 410 Gone.")
    return warning(
        f"{amount(gone, 'endpoint')} answered 410 Gone and {'is' if gone == 1 else 'are'} disabled; what they miss is parked.",
        "Ask their owners for a new URL, and set it on the listing.",
    )
