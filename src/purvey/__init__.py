"""Purvey sells digital goods and gets them to the buyer."""

from purvey.client import AsyncPurvey, Purvey
from purvey.client.errors import APIError, PurveyError
from purvey.version import __version__

__all__ = ["APIError", "AsyncPurvey", "Purvey", "PurveyError", "__version__"]
