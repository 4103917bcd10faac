"""Purvey sells digital goods and gets them to the buyer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from purvey.version import __version__

if TYPE_CHECKING:
    from purvey.client import AsyncPurvey, Purvey
    from purvey.client.errors import APIError, PurveyError

__all__ = ["APIError", "AsyncPurvey", "Purvey", "PurveyError", "__version__"]

_CLIENT = {
    "APIError": "purvey.client.errors",
    "AsyncPurvey": "purvey.client",
    "Purvey": "purvey.client",
    "PurveyError": "purvey.client.errors",
}


def __getattr__(name: str) -> Any:
    """Import the client when somebody asks for it (PEP 562): the server starts a fifth sooner without."""
    if name in _CLIENT:
        return getattr(import_module(_CLIENT[name]), name)
    raise AttributeError(f"module 'purvey' has no attribute {name!r}")
