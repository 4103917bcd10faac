"""The sandbox as a provider: its payment page, its books, its signed notices."""

from collections.abc import Callable, Mapping

import msgspec

from purvey.server.errors import CardDeclined
from purvey.server.kit.tools import Tools
from purvey.server.payments.model import Notice, Payment, SessionRequest
from purvey.server.payments.provider import BadSignatureError
from purvey.server.payments.sandbox import store
from purvey.server.payments.sandbox.model import fate_of

SIGNATURE_HEADER = "sandbox-signature"
TOLERANCE = 300
"""Seconds that a signed notice stays good, either way."""


class Report(msgspec.Struct, frozen=True):
    """The body of a notice."""

    id: str
    type: str
    payment: Payment


class Sandbox:
    """Takes test cards."""

    name = "sandbox"

    def __init__(self, tools: Tools, wake: Callable[[], None]) -> None:
        self._tools = tools
        self._wake = wake

    async def start(self, session: SessionRequest) -> str:
        """Return the URL of the test payment page."""
        return f"{self._tools.base_url}/sandbox/checkouts/{session.checkout_id}"

    async def find_payment(self, checkout_id: str) -> Payment | None:
        """Return the checkout's payment, if it was made."""
        return await store.of_checkout(self._tools.database, checkout_id)

    async def pay(self, checkout_id: str, amount: int, currency: str, card: str) -> None:
        """Pay a checkout with a test card; raise CardDeclined. Paying twice pays once."""
        fate = fate_of(card)
        if fate is None:
            raise CardDeclined("This is no test card. 4242 4242 4242 4242 pays.", param="card")
        if fate == "declined":
            raise CardDeclined("The card was declined. 4242 4242 4242 4242 pays.", param="card")
        payment = Payment(self.name, self._tools.ids.new("pay_"), checkout_id, amount, currency)
        await store.pay(
            self._tools.database,
            payment,
            "".join(character for character in card if character.isdecimal())[-4:],
            self._tools.clock.now(),
        )
        self._wake()

    def report(self, payment: Payment) -> tuple[dict[str, str], bytes]:
        """Return the signed notice of a payment: headers and body. Its id is the same each time it is sent."""
        body = msgspec.json.encode(Report(f"notice_{payment.reference}", "payment.succeeded", payment))
        timestamp = int(self._tools.clock.now().timestamp())
        signature = self._tools.keyring.sign(self.name, f"{timestamp}.{body.decode()}")
        return {SIGNATURE_HEADER: f"t={timestamp},v1={signature}"}, body

    def verify(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Check a notice's signature and age, and return what it says."""
        self._check_signature(headers.get(SIGNATURE_HEADER, ""), body)
        try:
            report = msgspec.json.decode(body, type=Report)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadSignatureError(f"The notice is not what the sandbox sends: {error}.") from None
        return Notice(self.name, report.id, "payment.succeeded", body.decode(), report.payment)

    def _check_signature(self, header: str, body: bytes) -> None:
        parts = dict(part.partition("=")[::2] for part in header.split(","))
        timestamp, signature = parts.get("t", ""), parts.get("v1", "")
        if not timestamp.isdecimal() or not signature:
            raise BadSignatureError(f"The header {SIGNATURE_HEADER} must read t=<unix seconds>,v1=<hex>.")
        signed = f"{timestamp}.{body.decode(errors='replace')}"
        if not self._tools.keyring.verify(self.name, signed, signature):
            raise BadSignatureError("The signature does not fit the body: other secret key, or a changed body.")
        if abs(self._tools.clock.now().timestamp() - int(timestamp)) > TOLERANCE:
            raise BadSignatureError(f"The notice was signed more than {TOLERANCE} seconds ago, or in the future.")
