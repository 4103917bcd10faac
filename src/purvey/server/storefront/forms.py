"""Between a checkout schema and an HTML form: what the inputs are called, and what was posted means."""

import math
import re
from collections.abc import Mapping

BUYER_EMAIL = "buyer_email"
"""The name of the input for the buyer's e-mail address."""

_PREFIX = "data."
_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?([0-9]+|[0-9]*\.[0-9]+)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 32


def field_name(key: str) -> str:
    """Return the name of the input for the schema's `key`; the prefix keeps a key such as buyer_email apart from ours."""
    return _PREFIX + key


def answers(types: Mapping[str, str], posted: Mapping[str, str]) -> dict[str, object]:
    r"""Return the `checkout_data` that a browser posted, given the type of each key of the schema.

    What was left empty is left out. A checkbox is true when ticked, and left out otherwise. A number that is none is passed on as
    it was typed, for the checkout to refuse by name. Line breaks become `\n`; inputs that the schema does not have are dropped.
    """
    typed = {key: posted.get(field_name(key), "").replace("\r\n", "\n").strip() for key in types}
    return {key: _answer(types[key], text) for key, text in typed.items() if text}


def _answer(kind: str, text: str) -> str | bool | int | float:
    if kind == "checkbox":
        return True
    return _number(text) if kind == "number" else text


def _number(text: str) -> str | int | float:
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return int(text) if _WHOLE.fullmatch(text) else number
