"""The checkout schema, and a buyer's answers to it (DF-3 to DF-5). Pure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from purvey.server.errors import FieldError, invalid
from purvey.server.kit.text import check_email, check_storable
from purvey.server.listings.model import CheckoutField, FieldType

MOST_FIELDS = 10
DEFAULT_MAX_LENGTH = 500
"""Characters of a text answer unless its field says otherwise."""
LARGEST_NUMBER = 10**15
"""Numbers beyond it are refused: other languages cannot hold them to the unit."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?")
_NOTHING = (None, "")

Answer = str | int | float | bool


def check_schema(fields: Sequence[CheckoutField], *, at: str = "checkout_schema") -> None:
    """Raise ValidationError unless `fields` make a form: ten at most, each key once, options for selects and only there."""
    faults = (
        [] if len(fields) <= MOST_FIELDS else [_fault((at,), f"needs at most {MOST_FIELDS} fields, not {len(fields)}")]
    )
    keys = [field.key for field in fields]
    for place, field in enumerate(fields):
        if field.key in keys[:place]:
            faults.append(_fault((at, place, "key"), f"`{field.key}` is there already; each key stands once"))
        faults += [_fault((at, place, name), message) for name, message in _field_faults(field)]
    if faults:
        raise invalid(faults)


def in_form_order(fields: Sequence[CheckoutField]) -> tuple[CheckoutField, ...]:
    """Return the fields by `sort_order`, equal ones as they were given."""
    return tuple(sorted(fields, key=lambda field: field.sort_order))


def check_answers(fields: Sequence[CheckoutField], answers: Mapping[str, Any]) -> dict[str, object]:
    """Return the answers, normalised, in the order of the schema; raise ValidationError with every fault.

    Unknown keys are refused, optional fields may be absent (DF-4), null and empty text are no answer. Text loses the white
    space around it; numbers may come as text; a checkbox is true or false, and a required one must be true.
    """
    known = [field.key for field in fields]
    faults = [_answer_fault(key, _unknown(key, known)) for key in answers if key not in known]
    checked: dict[str, object] = {}
    for field in fields:
        try:
            answer = _checked(field, answers.get(field.key))
        except ValueError as error:
            faults.append(_answer_fault(field.key, str(error)))
        else:
            if answer is not None:
                checked[field.key] = answer
    if faults:
        raise invalid(faults)
    return checked


def _field_faults(field: CheckoutField) -> list[tuple[str, str]]:
    faults = []
    if field.type == "select" and not field.options:
        faults.append(("options", "is required for a select: 1 to 50 choices"))
    if field.type != "select" and field.options is not None:
        faults.append(("options", f"belongs to a select, not to a {field.type}"))
    if field.options and len(set(field.options)) < len(field.options):
        faults.append(("options", "has a choice twice"))
    if field.options and any(option != option.strip() for option in field.options):
        faults.append(("options", "has a choice with white space around it"))
    if field.type != "text" and field.max_length is not None:
        faults.append(("max_length", f"belongs to a text, not to a {field.type}"))
    return faults


def _checked(field: CheckoutField, given: Any) -> Answer | None:
    given = check_storable(given).strip() if isinstance(given, str) else given
    if given in _NOTHING:
        if field.required:
            raise ValueError("is required")
        return None
    return _CHECKS[field.type](field, given)


def _text(field: CheckoutField, given: Any) -> str:
    text = _a_text(given)
    most = field.max_length or DEFAULT_MAX_LENGTH
    if len(text) > most:
        raise ValueError(f"has {len(text)} characters; at most {most} are allowed")
    return text


def _select(field: CheckoutField, given: Any) -> str:
    if given not in (field.options or ()):
        raise ValueError(f"must be one of {', '.join(field.options or ())}")
    return str(given)


def _date(_: CheckoutField, given: Any) -> str:
    text = _a_text(given)
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError("must be a date of the calendar, written like 1990-05-15")


def _checkbox(field: CheckoutField, given: Any) -> bool:
    ticked = _TICKS.get(given) if isinstance(given, bool | str) else None
    if ticked is None:
        raise ValueError("must be true or false")
    if field.required and not ticked:
        raise ValueError("must be ticked")
    return ticked


def _email(_: CheckoutField, given: Any) -> str:
    return check_email(_a_text(given))


def _number(_: CheckoutField, given: Any) -> int | float:
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        given = float(given) if "." in given else int(given)
    if isinstance(given, bool) or not isinstance(given, int | float) or not _is_finite(given):
        raise ValueError("must be a number")
    if abs(given) > LARGEST_NUMBER:
        raise ValueError(f"must be between -{LARGEST_NUMBER} and {LARGEST_NUMBER}")
    return given


def _is_finite(number: float) -> bool:
    # A whole number may have hundreds of digits, for which math.isfinite raises.
    return isinstance(number, int) or math.isfinite(number)


def _a_text(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError("must be a text")  # noqa: TRY004  # a fault of the buyer's, gathered with the others
    return given


_TICKS: Mapping[bool | str, bool] = MappingProxyType(
    {True: True, False: False, "true": True, "on": True, "false": False, "off": False}
)
_CHECKS: Mapping[FieldType, Callable[[CheckoutField, Any], Answer]] = MappingProxyType(
    {"text": _text, "select": _select, "date": _date, "checkbox": _checkbox, "email": _email, "number": _number}
)


def _unknown(key: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(key, known, n=1)
    return f"`{key}` is not asked for here{f'; did you mean `{nearest[0]}`?' if nearest else ''}"


def _answer_fault(key: str, message: str) -> FieldError:
    return _fault(("checkout_data", key), message)


def _fault(loc: tuple[str | int, ...], message: str) -> FieldError:
    return FieldError(loc=list(loc), msg=message, type="invalid")
