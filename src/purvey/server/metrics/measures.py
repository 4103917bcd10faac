"""The page of /metrics: what processes have counted, and what the database knows at this moment."""

import asyncio
import platform
from collections.abc import Sequence
from datetime import datetime

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from purvey import __version__
from purvey.server.kit import metrics as kept
from purvey.server.kit.database import Database
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.tools import Tools
from purvey.server.metrics import store
from purvey.server.metrics.model import (
    BUILD,
    DATABASE_UP,
    DUE_FOR,
    HELP,
    LEASED,
    OPEN_BREAKERS,
    UNFULFILLED,
    WAITING,
    Backlog,
    Depth,
)

DATABASE_WITHIN = 4.0
"""Seconds that the database may take; Prometheus waits ten for the page."""
LOOK_EVERY = 5.0
"""Seconds between two looks of a process at itself, where others answer for it."""


class Measures:
    """Measures for one process, which works on the lanes of `lane_kinds`; `token` opens the page to other machines."""

    def __init__(self, tools: Tools, lane_kinds: Sequence[str], token: str | None = None) -> None:
        self._tools = tools
        self._lane_kinds = lane_kinds
        self._cpu = 0.0
        self.token = token

    async def page(self) -> bytes:
        """Return all measures in Prometheus' text format; without those of the database when it does not answer in time."""
        self.look()
        try:
            async with asyncio.timeout(DATABASE_WITHIN):
                found = _told(await backlog(self._tools.database, self._lane_kinds, self._tools.clock.now()))
        except (Unavailable, TimeoutError):
            found = [_gauge(DATABASE_UP, 0)]
        return await asyncio.to_thread(kept.page, [*found, _build()])

    def look(self) -> None:
        """Measure what belongs to this process."""
        pool = self._tools.database.pool
        idle = pool.get_idle_size()
        kept.CONNECTIONS.labels("idle").set(idle)
        kept.CONNECTIONS.labels("in_use").set(pool.get_size() - idle)
        kept.CONNECTIONS_MOST.set(pool.get_max_size())
        self._cpu = kept.look_at_process(self._cpu)

    async def keep_looking(self) -> None:
        """Look every few seconds, for ever, if other processes answer for this one; else return."""
        while kept.FOLDER:
            self.look()
            await self._tools.clock.sleep(LOOK_EVERY)


async def backlog(database: Database, lane_kinds: Sequence[str], now: datetime) -> Backlog:
    """Return what waits; raise Unavailable when the database is away."""
    return await store.backlog(database, lane_kinds, now)


def _told(found: Backlog) -> list[Metric]:
    orders = _family(UNFULFILLED, "age")
    for age, number in found.orders.items():
        orders.add_metric([age], number)
    return [
        _gauge(DATABASE_UP, 1),
        _of_queue(DUE_FOR, found.queue, "due_for"),
        _of_queue(WAITING, found.queue, "waiting"),
        _of_queue(LEASED, found.queue, "leased"),
        _of_queue(OPEN_BREAKERS, found.queue, "open_breakers"),
        orders,
    ]


def _of_queue(name: str, depths: Sequence[Depth], field: str) -> Metric:
    family = _family(name, "lane_kind")
    for depth in depths:
        family.add_metric([depth.kind], getattr(depth, field))
    return family


def _family(name: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, HELP[name], labels=[label])


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, HELP[name], value=value)


def _build() -> Metric:
    family = GaugeMetricFamily(BUILD, HELP[BUILD], labels=["version", "python"])
    family.add_metric([__version__, platform.python_version()], 1)
    return family
