"""Stripe's own package, imported when it is first used: whoever takes no money by it starts a fifth sooner without."""

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING


def _lazily(name: str) -> ModuleType:
    """Return the module; its first attribute that is asked for imports it."""
    if name in sys.modules:
        return sys.modules[name]
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader = LazyLoader(spec.loader)
    spec.loader = loader
    module = sys.modules[name] = module_from_spec(spec)
    loader.exec_module(module)
    return module


if TYPE_CHECKING:
    import stripe
else:
    stripe = _lazily("stripe")

__all__ = ["stripe"]
