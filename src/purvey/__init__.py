"""Purvey sells digital goods and gets them to the buyer."""

__version__ = "0.1.0"
