"""`python -m bench [name [size ...]] ...`: run one measurement, or all of them. Only `events` takes sizes."""

import asyncio
import sys

from bench import dynamic, events, fairness, orders, webhooks

MEASUREMENTS = {
    "orders": orders.measure,
    "webhooks": webhooks.measure,
    "fairness": fairness.measure,
    "dynamic": dynamic.measure,
    "events": events.measure,
}


def main() -> None:
    """Run what was asked for."""
    words = sys.argv[1:] or list(MEASUREMENTS)
    names = [word for word in words if not word.isdigit()]
    sizes = [word for word in words if word.isdigit()]
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        sys.exit(f"no measurement called {unknown[0]!r}; there are: {', '.join(MEASUREMENTS)}")
    for name in names:
        asyncio.run(events.measure(*sizes) if name == "events" else MEASUREMENTS[name]())


main()
