"""What an endpoint may be: each field checked, and all faults told at once. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from purvey.server.errors import Conflict, FieldError, LockedField, invalid
from purvey.server.kit.safe_http import check_url
from purvey.server.kit.safe_http.url import parse
from purvey.server.kit.text import check_line
from purvey.server.webhooks.model import Endpoint
from purvey.server.webhooks.wire import EndpointChanges

LONGEST_NAME = 100
MOST = 100
"""How many endpoints of its own an account may have: each of them is looked at whenever something happens."""

_RENAMED = {"rate_limit": "rate_per_second"}
_THROUGH_THE_LISTING = {
    "url": "its URL is changed, or removed with null, by agent_callback_url of PATCH /v1/listings/{listing}",
    "secret": "its secret is changed by POST /v1/listings/{listing}/rotate-secret",
    "listing_id": "it hears of that listing, and of no other; make an endpoint of your own for others",
}
"""What a listing's callback takes from its listing, and how it is changed there."""


def fields_of(changes: EndpointChanges, *, private_urls: bool) -> dict[str, Any]:
    """Return the fields of an `Endpoint` that `changes` sets; raise ValidationError with every fault.

    `private_urls` lets the URL be a private address.
    """

    def url(text: str) -> str:
        return check_url(text, allow_private=private_urls)

    checks: Mapping[str, Callable[[Any], Any]] = {"url": url, "name": _name, "events": _each_once, "enabled": _status}
    fields: dict[str, Any] = {}
    faults = []
    for name in changes.__struct_fields__:
        if (value := getattr(changes, name)) is UNSET:
            continue
        try:
            checked = checks[name](value) if name in checks else value
        except ValueError as error:
            faults.append(FieldError(loc=[name], msg=str(error), type="invalid"))
        else:
            fields["status" if name == "enabled" else _RENAMED.get(name, name)] = checked
    if faults:
        raise invalid(faults)
    return fields


def host_of(url: str) -> str:
    """Return the host of a checked URL: what an endpoint is called that was given no name."""
    return parse(url).host[:LONGEST_NAME]


def require_own(endpoint: Endpoint, field: str) -> None:
    """Raise LockedField when a field of a listing's callback is to be changed that belongs to its listing."""
    if endpoint.kind == "listing_callback":
        how = _THROUGH_THE_LISTING[field].format(listing=endpoint.listing_id)
        raise LockedField(f"{endpoint.id} is the callback of listing {endpoint.listing_id}: {how}.", param=field)


def require_changeable(before: Endpoint, after: Endpoint) -> None:
    """Raise LockedField for what a callback takes from its listing, Conflict for enabling one whose listing names no URL."""
    for field in ("url", "listing_id"):
        if getattr(before, field) != getattr(after, field):
            require_own(before, field)
    if before.disabled_reason == "removed" and after.status == "enabled":
        message = (
            f"Listing {before.listing_id} has no callback now; set its agent_callback_url, which enables this endpoint."
        )
        raise Conflict(message, param="enabled")


def _name(text: str) -> str:
    return check_line(text, LONGEST_NAME)


def _each_once(types: list[Any]) -> list[str]:
    return [str(one) for one in dict.fromkeys(types)]


def _status(enabled: bool) -> str:  # noqa: FBT001  # as it is on the wire
    return "enabled" if enabled else "disabled"
