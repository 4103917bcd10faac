"""What a payment provider must be able to do."""

from collections.abc import Mapping
from typing import Protocol

from purvey.server.payments.model import Notice, Payment, RefundReport, RefundRequest, Refused, SessionRequest


class BadSignatureError(Exception):
    """A notice was not signed by the provider, or too long ago. The message says which, for whoever sends it."""


class Provider(Protocol):
    """One provider. Payments are known by its own references, notices by its own ids."""

    name: str

    async def start(self, session: SessionRequest) -> str:
        """Prepare a payment and return the URL where the buyer pays."""
        ...

    async def find_payment(self, checkout_id: str) -> Payment | None:
        """Ask whether the checkout was paid. The buyer's return asks this; the notice may be late."""
        ...

    async def refund(self, request: RefundRequest) -> RefundReport | Refused:
        """Give money back, once for each id of ours, within 20 seconds.

        Returns Refused when it will not, for good; any exception means that nobody knows, and that it is to be asked again.
        """
        ...

    async def verify(self, headers: Mapping[str, str], body: bytes, account_id: str | None = None) -> Notice:
        """Check the signature over the raw `body` and return what it says; raise BadSignatureError.

        `account_id` is the account whose own contract with the provider the notice comes from, as its address says.
        """
        ...
