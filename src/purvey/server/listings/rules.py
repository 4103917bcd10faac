"""What a listing may be, and what it still needs. Pure: the instant comes in as an argument."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from purvey.server.errors import Conflict, FieldError, InvalidPrice, LockedField, NotInDraft, invalid
from purvey.server.kit.money import check_currency
from purvey.server.kit.safe_http import check_url
from purvey.server.kit.safe_http.url import parse
from purvey.server.kit.text import check_line, slug
from purvey.server.listings.answers import check_answers, check_schema
from purvey.server.listings.model import Fulfillment, Listing, Showcase, Status
from purvey.server.listings.wire import (
    HIGHEST_PRICE,
    ListingAction,
    ListingChanges,
    ListingReadiness,
    Resolve,
)
from purvey.server.orders.model import ContentType, Promise
from purvey.server.orders.wire import FULFILLMENT

__all__ = [
    "FEW_KEYS",
    "SECRET_PREFIX",
    "apply",
    "blockers",
    "check_answers",
    "check_schema",
    "check_signing_secret",
    "content_type_of",
    "left",
    "preview",
    "readiness",
    "require_draft",
]

SECRET_PREFIX = "whsec_"  # noqa: S105  # marks a secret, is none
"""What follows it is the key in base64, as Standard Webhooks has it."""

LONGEST_NAME = 100
FEW_KEYS = 10
"""With fewer licence keys than this left, a seller is told to upload more."""

_IMPLIED: Mapping[Fulfillment, ContentType] = MappingProxyType({"managed": "static", "external": "generated"})
_RENAMED = MappingProxyType({"grant_hours": "grant_after"})
_MAY_BE_NULL = frozenset({"agent_callback_url", "dynamic_webhook", "image_url"})
_ELSEWHERE = frozenset({"deliverables", "signing_secret", "dynamic_webhook_secret", "content_type", "fulfillment"})
"""Fields that take more than a check: see `content_type_of` and the room's actions."""


def apply(listing: Listing, changes: ListingChanges, now: datetime, *, private_urls: bool) -> Listing:
    """Return `listing` with `changes`, but for its deliverables and secrets; raise ValidationError with every fault.

    `private_urls` lets callbacks go to private addresses. Raises InvalidPrice, and LockedField for another content type once
    the listing has been published.
    """
    given = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not UNSET}
    values = _checked(
        {name: value for name, value in given.items() if name not in _ELSEWHERE}, private_urls=private_urls
    )
    page = {name: values.pop(name) for name in Showcase.__struct_fields__ if name in values}
    changed = msgspec.structs.replace(
        listing,
        **{_RENAMED.get(name, name): value for name, value in values.items()},
        content_type=content_type_of(
            given.get("content_type"),
            given.get("fulfillment"),
            webhook=values.get("dynamic_webhook") is not None,
            current=listing.content_type if listing.version else None,
        ),
        page=msgspec.structs.replace(listing.page, **page),
        slug=slug(values.get("name", listing.name)),
        updated_at=now,
    )
    _check_whole(listing, changed)
    return changed


def content_type_of(
    given: ContentType | None, fulfillment: Fulfillment | None, *, webhook: bool, current: ContentType | None
) -> ContentType:
    """Return the content type that a request means; raise ValidationError when its fields contradict each other.

    `fulfillment` is the older word: managed is static, external any other. A `dynamic_webhook` (`webhook`) alone means
    dynamic (DW-1). Without any of them it stays as it is, static at first.
    """
    chosen = given or _implied(fulfillment, webhook=webhook, current=current)
    if fulfillment is not None and FULFILLMENT[chosen] != fulfillment:
        what = "dynamic_webhook is set" if given is None and webhook else f"content_type is {chosen}"
        message = f"must be {FULFILLMENT[chosen]} or be left out, because {what}"
        raise invalid([FieldError(loc=["fulfillment"], msg=message, type="contradiction")])
    if webhook and chosen != "dynamic":
        message = f"belongs to content_type dynamic, and content_type is {chosen}"
        raise invalid([FieldError(loc=["dynamic_webhook"], msg=message, type="contradiction")])
    return chosen


def check_signing_secret(text: str) -> str:
    """Return a given signing secret; raise ValueError unless it has 16 to 256 printable characters.

    What begins with `whsec_` must go on with the base64 of 16 to 64 bytes, because receivers decode it.
    """
    if not 16 <= len(text) <= 256 or not text.isprintable():
        raise ValueError("needs 16 to 256 printable characters")
    if text.startswith(SECRET_PREFIX):
        try:
            key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not 16 <= len(key) <= 64:
            raise ValueError("begins with whsec_ and must go on with the base64 of 16 to 64 bytes")
    return text


def preview(secret: str) -> str:
    """Return what may be shown of a secret later on: its last four characters."""
    return secret[-4:]


def require_draft(listing: Listing) -> None:
    """Raise NotInDraft unless the deliverables may change."""
    if listing.status is not Status.DRAFT:
        raise NotInDraft(
            f"The deliverables of a {listing.status} listing are fixed; unpublish it first.",
            current_status=listing.status,
            required_status=Status.DRAFT,
        )


def left(listing: Listing, keys: int | None) -> int | None:
    """Return how many of the listing can be bought now; None: any number. `keys` is None for one without a key pool."""
    limits = [one for one in (listing.stock, keys) if one is not None]
    return min(limits) if limits else None


def blockers(listing: Listing, *, keys: int | None = None) -> list[ListingAction]:
    """Return what keeps the listing from being published (FU-8). `keys` is how many licence keys it has left, if it has a pool."""
    if listing.key_pool and not keys:
        return [_upload_keys(listing, "required", "No licence key is left to sell; upload keys.")]
    if listing.content_type == "static" and not listing.deliverables:
        return [
            ListingAction(
                code="attach_deliverable",
                message="A static listing needs at least one deliverable: what the buyer gets at once.",
                resolve=Resolve(
                    method="POST",
                    endpoint=f"/v1/listings/{listing.id}/deliverables",
                    params={"type": "url | text", "value": "..."},
                ),
            )
        ]
    if listing.content_type == "dynamic" and listing.dynamic_webhook is None:
        return [
            ListingAction(
                code="set_dynamic_webhook",
                message="A dynamic listing needs a dynamic_webhook: your server, which is called for each order.",
                resolve=Resolve(
                    method="PUT",
                    endpoint=f"/v1/listings/{listing.id}",
                    params={"dynamic_webhook": "https://..."},
                ),
            )
        ]
    return []


def _upload_keys(listing: Listing, priority: Literal["required", "suggested"], message: str) -> ListingAction:
    upload = Resolve(method="PUT", endpoint=f"/v1/listings/{listing.id}/keys", params={"keys": ["..."]})
    code: Literal["upload_keys", "keys_low"] = "upload_keys" if priority == "required" else "keys_low"
    return ListingAction(code=code, priority=priority, message=message, resolve=upload)


def readiness(listing: Listing, *, keys: int | None = None) -> ListingReadiness:
    """Return whether the listing can be bought, and what to do about it. Publishing is named when nothing else is in its way.

    `keys` is how many licence keys it has left, counted up to `FEW_KEYS`, if it has a pool.
    """
    actions = blockers(listing, keys=keys)
    if not actions and listing.status is not Status.PUBLISHED:
        publish = Resolve(method="POST", endpoint=f"/v1/listings/{listing.id}/publish")
        message = f"The listing is {listing.status}; publish it to sell it."
        actions.append(ListingAction(code="publish_listing", message=message, resolve=publish))
    if listing.stock == 0:
        more = Resolve(method="PATCH", endpoint=f"/v1/listings/{listing.id}", params={"stock": 1})
        actions.append(
            ListingAction(code="restock", message="It is sold out; set `stock`, or null for no limit.", resolve=more)
        )
    sellable = not actions
    if keys and keys < FEW_KEYS:
        actions.append(
            _upload_keys(listing, "suggested", f"Licence keys left for new buyers: {keys}. Upload more in time.")
        )
    return ListingReadiness(sellable=sellable, actions=actions, next=actions[0] if actions else None)


def _implied(fulfillment: Fulfillment | None, *, webhook: bool, current: ContentType | None) -> ContentType:
    if webhook:
        return "dynamic"
    if fulfillment is not None and (current is None or FULFILLMENT[current] != fulfillment):
        return _IMPLIED[fulfillment]
    return current or "static"


def _checked(given: Mapping[str, Any], *, private_urls: bool) -> dict[str, Any]:
    def callback(url: str) -> str:
        return check_url(url, allow_private=private_urls)

    checks = {**_CHECKS, "agent_callback_url": callback, "dynamic_webhook": callback}
    values: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        try:
            unchecked = name not in checks or (value is None and name in _MAY_BE_NULL)
            values[name] = value if unchecked else checks[name](value)
        except ValueError as error:
            faults.append(FieldError(loc=[name], msg=str(error), type="invalid"))
    if faults:
        raise invalid(faults)
    return values


def promise_of(listing: Listing) -> Promise | None:
    """Return what the listing promises about the time; None if nothing, or if the content is not made for each order."""
    if listing.fulfill_within is None or listing.content_type not in {"generated", "dynamic"}:
        return None
    return Promise(listing.fulfill_within, listing.on_late, listing.late_text)


def _check_whole(before: Listing, after: Listing) -> None:
    if before.published_at is not None and after.content_type != before.content_type:
        raise LockedField(
            f"content_type is {before.content_type} for good: the listing has been published.", param="content_type"
        )
    if after.dynamic_webhook is not None and after.content_type != "dynamic":
        message = f"cannot become {after.content_type} while dynamic_webhook is set; set that to null as well"
        raise invalid([FieldError(loc=["content_type"], msg=message, type="contradiction")])
    if after.status is Status.PUBLISHED and after.content_type == "dynamic" and after.dynamic_webhook is None:
        message = "cannot be null while the listing is on sale: its orders would lead nowhere; unpublish it first"
        raise invalid([FieldError(loc=["dynamic_webhook"], msg=message, type="contradiction")])
    if after.deliverables and after.content_type != "static":
        raise Conflict(
            f"A {after.content_type} listing takes no deliverables; remove them first.",
            param="content_type",
            current_count=len(after.deliverables),
            max_count=0,
        )
    if after.on_late == "fallback" and not after.late_text:
        message = "is required with on_late fallback: it is what the buyer gets"
        raise invalid([FieldError(loc=["late_text"], msg=message, type="missing")])
    check_schema(after.checkout_schema)


def _price(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= HIGHEST_PRICE:
        message = f"must be a whole number of minor units from 0 to {HIGHEST_PRICE}, such as 500 for 5.00 USD"
        faults = [FieldError(loc=["price"], msg=message, type="invalid_price")]
        raise InvalidPrice(f"price: {message}", param="price", errors=faults)
    return value


def _name(text: str) -> str:
    return check_line(text, LONGEST_NAME)


def _browser_url(url: str) -> str:
    parse(url)
    return url


_CHECKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"name": _name, "price": _price, "currency": check_currency, "image_url": _browser_url}
)
