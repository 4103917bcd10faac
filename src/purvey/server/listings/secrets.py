"""The secrets of a listing: what signs its webhooks and its callback. They are kept sealed, and shown once."""

import base64
from datetime import timedelta

import msgspec
from msgspec import UNSET

from purvey.server.errors import FieldError, invalid
from purvey.server.kit.tools import Tools
from purvey.server.listings import rules
from purvey.server.listings.model import Listing, Secret
from purvey.server.listings.shown import Revealed
from purvey.server.listings.step import Step
from purvey.server.listings.wire import ListingChanges, SecretRotation


def with_secrets(tools: Tools, listing: Listing, data: ListingChanges) -> Step:
    """Return the listing with the secrets that were given, or that it needs and does not have; they are shown this once."""
    revealed: dict[str, str] = {}
    signing, dynamic = listing.signing, listing.dynamic if listing.dynamic_webhook else None
    if data.signing_secret is not UNSET or not listing.version:
        secret = _given_secret(data) or _new_secret(tools)
        signing = _seal(tools, secret)
        revealed["signing"] = secret
    if data.dynamic_webhook_secret is not UNSET and not listing.dynamic_webhook:
        message = "belongs to a dynamic_webhook, and none is set"
        raise invalid([FieldError(loc=["dynamic_webhook_secret"], msg=message, type="contradiction")])
    if data.dynamic_webhook_secret is not UNSET or (listing.dynamic_webhook and dynamic is None):
        secret = data.dynamic_webhook_secret or _new_secret(tools)
        dynamic = _seal(tools, secret)
        revealed["dynamic"] = secret
    return Step(
        listing=msgspec.structs.replace(listing, signing=signing, dynamic=dynamic), revealed=Revealed(**revealed)
    )


def rotated(tools: Tools, listing: Listing, data: SecretRotation) -> Step:
    """Return the listing with a fresh secret; the old one still counts for `overlap_seconds`."""
    old = listing.signing if data.which == "signing" else listing.dynamic
    if old is None:
        message = "is signing for this listing: it has no dynamic_webhook"
        raise invalid([FieldError(loc=["which"], msg=message, type="invalid")])
    secret = _new_secret(tools)
    fresh = _seal(tools, secret)
    if data.overlap_seconds:
        until = tools.clock.now() + timedelta(seconds=data.overlap_seconds)
        fresh = msgspec.structs.replace(fresh, before=old.sealed, before_until=until)
    changed = msgspec.structs.replace(listing, updated_at=tools.clock.now())
    if data.which == "signing":
        return Step(listing=msgspec.structs.replace(changed, signing=fresh), revealed=Revealed(signing=secret))
    return Step(listing=msgspec.structs.replace(changed, dynamic=fresh), revealed=Revealed(dynamic=secret))


def _given_secret(data: ListingChanges) -> str | None:
    if data.signing_secret is UNSET:
        return None
    try:
        return rules.check_signing_secret(data.signing_secret)
    except ValueError as error:
        raise invalid([FieldError(loc=["signing_secret"], msg=str(error), type="invalid")]) from None


def _new_secret(tools: Tools) -> str:
    return rules.SECRET_PREFIX + base64.b64encode(tools.ids.random_bytes(32)).decode()


def _seal(tools: Tools, secret: str) -> Secret:
    return Secret(tools.keyring.seal(secret), rules.preview(secret))
