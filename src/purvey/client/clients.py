"""The clients: one that waits for answers, and one whose methods are awaited."""

import os
from typing import Self

from purvey.client.accounts import Accounts, AsyncAccounts, ping
from purvey.client.errors import NoAPIKey
from purvey.client.events import AsyncEvents, Events
from purvey.client.files import AsyncFiles, Files
from purvey.client.methods import AsyncGroup, AsyncMethod, Group, Method
from purvey.client.orders import AsyncOrders, Orders
from purvey.client.selling import AsyncCheckouts, AsyncListings, Checkouts, Listings
from purvey.client.transports import Account, AsyncTransport, Transport
from purvey.client.webhooks import AsyncDeliveries, AsyncWebhooks, Deliveries, Webhooks

DEFAULT_URL = "http://127.0.0.1:8000"


def _account(api_key: str | None, base_url: str | None, timeout: float, retries: int) -> Account:
    key = api_key or os.environ.get("PURVEY_API_KEY")
    if not key:
        raise NoAPIKey(
            "There is no API key: give `api_key`, or set PURVEY_API_KEY to what `purvey accounts create` printed."
        )
    if not (key := key.strip()).isascii() or not key.isprintable():
        raise NoAPIKey(f"The API key ends in {key[-4:]!r} and has characters that no key has; copy it anew.")
    url = (base_url or os.environ.get("PURVEY_API_URL") or DEFAULT_URL).strip()
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"The server's address must begin with http:// or https://, not be {url!r}.")
    return Account(url.rstrip("/"), key, float(timeout), retries)


class Purvey(Group):
    """A client of a Purvey server: `Purvey().orders.get("ord_...")`.

    `api_key` and `base_url` are read from PURVEY_API_KEY and PURVEY_API_URL (default http://127.0.0.1:8000) when they are not
    given. `timeout` is in seconds, for each try; `max_retries` is how often a request is sent again when the connection fails or
    the server says that it will pass (429, 502, 503, 504). Raises NoAPIKey without a key.
    """

    ping = Method(ping)

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30,
        *,
        max_retries: int = 4,
    ) -> None:
        super().__init__(Transport(_account(api_key, base_url, timeout, max_retries)))
        self.account = Accounts(self.transport)
        self.listings = Listings(self.transport)
        self.checkouts = Checkouts(self.transport)
        self.orders = Orders(self.transport)
        self.files = Files(self.transport)
        self.events = Events(self.transport)
        self.webhooks = Webhooks(self.transport)
        self.deliveries = Deliveries(self.transport)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncPurvey(AsyncGroup):
    """A client of a Purvey server whose methods are awaited: `await AsyncPurvey().orders.get("ord_...")`.

    `api_key` and `base_url` are read from PURVEY_API_KEY and PURVEY_API_URL (default http://127.0.0.1:8000) when they are not
    given. `timeout` is in seconds, for each try; `max_retries` is how often a request is sent again when the connection fails or
    the server says that it will pass (429, 502, 503, 504). Raises NoAPIKey without a key.
    """

    ping = AsyncMethod(ping)

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30,
        *,
        max_retries: int = 4,
    ) -> None:
        super().__init__(AsyncTransport(_account(api_key, base_url, timeout, max_retries)))
        self.account = AsyncAccounts(self.transport)
        self.listings = AsyncListings(self.transport)
        self.checkouts = AsyncCheckouts(self.transport)
        self.orders = AsyncOrders(self.transport)
        self.files = AsyncFiles(self.transport)
        self.events = AsyncEvents(self.transport)
        self.webhooks = AsyncWebhooks(self.transport)
        self.deliveries = AsyncDeliveries(self.transport)

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
