"""`python -m bench [name]`: run one measurement, or all of them."""

import asyncio
import sys

from bench import callback, fairness, orders, webhooks

MEASUREMENTS = {
    "orders": orders.measure,
    "webhooks": webhooks.measure,
    "fairness": fairness.measure,
    "callback": callback.measure,
}


def main() -> None:
    """Run what was asked for."""
    names = sys.argv[1:] or list(MEASUREMENTS)
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        sys.exit(f"no measurement called {unknown[0]!r}; there are: {', '.join(MEASUREMENTS)}")
    for name in names:
        asyncio.run(MEASUREMENTS[name]())


main()
