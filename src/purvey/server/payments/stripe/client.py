"""Asking Stripe through its official package: one pool of connections, a deadline for each request, errors that say whose fault."""

import re
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

import aiohttp
import msgspec
import structlog

from purvey.server.errors import Conflict, Unavailable
from purvey.server.payments.stripe.model import (
    Charge,
    Dispute,
    Endpoint,
    Event,
    Intent,
    Merchant,
    Refund,
    Session,
    StripeAccount,
)
from purvey.server.payments.stripe.package import stripe

log = structlog.get_logger()

T = TypeVar("T")

TIMEOUT = aiohttp.ClientTimeout(total=8, connect=4)
"""Seconds of one request. Stripe answers within one as a rule; a refund has 20 for two requests."""
AGAIN_AT_ONCE = 1
"""How often the package itself repeats what a buyer waits for; what nobody waits for is repeated by the queue."""
PAGE = 100
"""Objects in one page of a list: the most that Stripe gives."""


class StripeRefusedError(Exception):
    """Stripe has understood, and says no. `code` is Stripe's own word, the message its sentence."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class KeyRefusedError(Conflict):
    """A key opens nothing (`known` is False), or not what was asked for; `right` is Stripe's name of what it lacks, if told."""

    def __init__(self, *, known: bool, right: str | None = None) -> None:
        super().__init__("The key of this shop does not open what is needed at Stripe.")
        self.known = known
        self.right = right


class Stripes:
    """Stripe's interface at `base`, with the key of whichever merchant is asking."""

    def __init__(self, base: str) -> None:
        self._base = base

    @cached_property
    def _http(self) -> "stripe.AIOHTTPClient":
        return stripe.AIOHTTPClient(timeout=TIMEOUT)

    @cached_property
    def _client(self) -> "stripe.StripeClient":
        # Each request names its merchant's key; this one opens nothing.
        return stripe.StripeClient("none", base_addresses={"api": self._base}, http_client=self._http)

    def prepare(self) -> None:
        """Have the package imported now, and not while somebody waits."""
        self._client  # noqa: B018  # made by being looked at

    async def close(self) -> None:
        """Close the connections, if there are any; whoever asks again opens others."""
        vars(self).pop("_client", None)
        http: stripe.AIOHTTPClient | None = vars(self).pop("_http", None)
        if http:
            await http.close_async()  # type: ignore[no-untyped-call]  # it is not annotated

    async def open_session(self, merchant: Merchant, params: Mapping[str, Any], key: str) -> Session:
        """Open a Checkout Session, once for each `key`; raises StripeRefusedError, Conflict, Unavailable."""
        options = self._options(merchant, key=key, again=AGAIN_AT_ONCE)
        sessions = self._client.v1.checkout.sessions
        return await self._asked(Session, sessions.create_async(cast("Any", params), options))

    async def session(self, merchant: Merchant, session_id: str) -> Session:
        """Return a session as it is now."""
        options = self._options(merchant, again=AGAIN_AT_ONCE)
        return await self._asked(Session, self._client.v1.checkout.sessions.retrieve_async(session_id, options=options))

    async def expire_session(self, merchant: Merchant, session_id: str) -> Session:
        """Close a session that nobody has paid."""
        expiring = self._client.v1.checkout.sessions.expire_async(session_id, options=self._options(merchant))
        return await self._asked(Session, expiring)

    async def intent(self, merchant: Merchant, intent_id: str) -> Intent:
        """Return a payment intent."""
        return await self._asked(
            Intent, self._client.v1.payment_intents.retrieve_async(intent_id, options=self._options(merchant))
        )

    async def charge(self, merchant: Merchant, charge_id: str) -> Charge:
        """Return a charge."""
        return await self._asked(
            Charge, self._client.v1.charges.retrieve_async(charge_id, options=self._options(merchant))
        )

    async def dispute(self, merchant: Merchant, dispute_id: str) -> Dispute:
        """Return a dispute as it is now."""
        return await self._asked(
            Dispute, self._client.v1.disputes.retrieve_async(dispute_id, options=self._options(merchant))
        )

    async def refund(self, merchant: Merchant, refund_id: str) -> Refund:
        """Return a refund as it is now."""
        return await self._asked(
            Refund, self._client.v1.refunds.retrieve_async(refund_id, options=self._options(merchant))
        )

    async def account(self, merchant: Merchant) -> StripeAccount:
        """Return the merchant's own account."""
        return await self._asked(
            StripeAccount, self._client.v1.accounts.retrieve_current_async(options=self._options(merchant))
        )

    async def endpoints(self, merchant: Merchant) -> list[Endpoint]:
        """Return where Stripe sends the merchant's notices."""
        found = await self._told(self._client.v1.webhook_endpoints.list_async({"limit": PAGE}, self._options(merchant)))
        return [msgspec.convert(one, Endpoint) for one in found["data"]]

    async def make_refund(self, merchant: Merchant, params: Mapping[str, Any], key: str) -> Refund:
        """Give money back, once for each `key`."""
        options = self._options(merchant, key=key)
        return await self._asked(Refund, self._client.v1.refunds.create_async(cast("Any", params), options))

    async def refunds_of(self, merchant: Merchant, **which: str) -> list[Refund]:
        """Return the refunds of a payment intent or a charge, newest first."""
        params = cast("Any", {"limit": PAGE, **which})
        found = await self._told(self._client.v1.refunds.list_async(params, self._options(merchant)))
        return [msgspec.convert(one, Refund) for one in found["data"]]

    async def event(self, merchant: Merchant, event_id: str) -> Event:
        """Return an event."""
        return await self._asked(
            Event, self._client.v1.events.retrieve_async(event_id, options=self._options(merchant))
        )

    async def events(
        self, merchant: Merchant, since: int, types: tuple[str, ...]
    ) -> AsyncIterator[tuple[Event, bytes]]:
        """Yield the events of these types since an instant (seconds since 1970), newest first, with the text of each.

        Stripe keeps events for 30 days.
        """
        params: dict[str, Any] = {"limit": PAGE, "created": {"gte": since}, "types": list(types)}
        more = True
        while more:
            page = await self._told(self._client.v1.events.list_async(cast("Any", params), self._options(merchant)))
            for one in page["data"]:
                body = msgspec.json.encode(one)
                yield msgspec.json.decode(body, type=Event), body
                params["starting_after"] = one["id"]
            more = page["has_more"]

    async def sessions(self, merchant: Merchant, since: int) -> AsyncIterator[Session]:
        """Yield the sessions that were completed and opened since an instant, newest first."""
        params: dict[str, Any] = {"limit": PAGE, "created": {"gte": since}, "status": "complete"}
        more = True
        while more:
            page = await self._told(
                self._client.v1.checkout.sessions.list_async(cast("Any", params), self._options(merchant))
            )
            for one in page["data"]:
                yield msgspec.convert(one, Session)
                params["starting_after"] = one["id"]
            more = page["has_more"]

    def _options(self, merchant: Merchant, *, key: str | None = None, again: int = 0) -> Any:
        options: dict[str, Any] = {"api_key": merchant.secret_key, "max_network_retries": again}
        if merchant.whose.stripe_account:
            options["stripe_account"] = merchant.whose.stripe_account
        return options | ({"idempotency_key": key} if key else {})

    async def _asked(self, kind: type[T], asking: Any) -> T:
        return msgspec.convert(await self._told(asking), kind)

    async def _told(self, asking: Any) -> dict[str, Any]:
        """Return an answer as plain data; raise StripeRefusedError, KeyRefusedError, or Unavailable."""
        try:
            answer: stripe.StripeObject = await asking
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            log.error("stripe.key", status=error.http_status, request_id=error.request_id, error=type(error).__name__)  # noqa: TRY400
            named = re.search(r"\brak_\w+", str(error))
            known = isinstance(error, stripe.PermissionError)
            raise KeyRefusedError(known=known, right=named[0] if named else None) from None
        except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
            raise StripeRefusedError(error.user_message or str(error), error.code) from None
        except (stripe.StripeError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("stripe.unanswered", error=type(error).__name__, status=getattr(error, "http_status", None))
            raise Unavailable("Stripe does not answer at this moment. Try again in a moment.", retry_after=5) from None
        return answer.to_dict(for_json=True)
