"""The sandbox as a provider: what its pages do, its books, its signed notices."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from purvey.server.errors import CardDeclined, RefundNotAllowed, unknown
from purvey.server.kit.tools import Tools
from purvey.server.payments.model import (
    SAYS,
    DisputeStatus,
    Notice,
    NoticeType,
    Payment,
    RefundReport,
    RefundRequest,
    Refused,
    SessionRequest,
)
from purvey.server.payments.provider import BadSignatureError
from purvey.server.payments.sandbox import store
from purvey.server.payments.sandbox.model import Booked, Owed, fate_of

SIGNATURE_HEADER = "sandbox-signature"
TOLERANCE = 300
"""Seconds that a signed notice stays good, either way."""
DISPUTED_AFTER = timedelta(seconds=5)
"""How long after a payment with the card for it the dispute is opened."""


class Report(msgspec.Struct, frozen=True):
    """The body of a notice."""

    id: str
    type: NoticeType
    object: msgspec.Raw


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

    async def refund(self, request: RefundRequest) -> RefundReport | Refused:
        """Give test money back, and report it by a notice too, as real providers do."""
        report = await store.refund(self._tools.database, self._tools.ids.new("re_"), request, self._tools.clock.now())
        self._wake()
        return report

    async def pay(self, checkout_id: str, amount: int, currency: str, card: str, *, again: bool = False) -> None:
        """Pay a checkout with a test card; raise CardDeclined. Paying twice pays once, unless it is to be paid `again`."""
        fate = fate_of(card)
        if fate is None:
            raise CardDeclined("This is no test card. 4242 4242 4242 4242 pays.", param="card")
        if fate == "declined":
            raise CardDeclined("The card was declined. 4242 4242 4242 4242 pays.", param="card")
        now = self._tools.clock.now()
        number = await store.payments_of(self._tools.database, checkout_id) + 1 if again else 1
        await store.pay(
            self._tools.database,
            Payment(self.name, self._tools.ids.new("pay_"), checkout_id, amount, currency),
            number,
            "".join(character for character in card if character.isdecimal())[-4:],
            (self._tools.ids.new("dp_"), now + DISPUTED_AFTER) if fate == "disputed" else None,
            now,
        )
        self._wake()

    async def booked(self, reference: str) -> Booked:
        """Return a payment with all that became of it, or raise NotFound."""
        found = await store.booked(self._tools.database, reference)
        if found is None:
            raise unknown("payment", reference)
        return found

    async def refund_by_hand(self, reference: str, amount: int | None) -> None:
        """Refund a payment in the provider's own dashboard: we hear of it by its notice alone. Raises RefundNotAllowed."""
        refund_id, now = self._tools.ids.new("re_"), self._tools.clock.now()
        refusal = await store.refund_by_hand(self._tools.database, refund_id, reference, amount, now)
        if refusal:
            raise RefundNotAllowed(f"The sandbox refuses: {refusal}.")
        self._wake()

    async def dispute(self, reference: str, status: DisputeStatus) -> None:
        """Play the bank: open the dispute of a payment, or move it on. One that was decided stays as it is."""
        now = self._tools.clock.now()
        await store.dispute(self._tools.database, self._tools.ids.new("dp_"), reference, status, now)
        self._wake()

    def report(self, said: Payment | RefundReport) -> tuple[dict[str, str], bytes]:
        """Return the signed notice of a payment or a refund: headers and body. Its id is the same each time it is sent."""
        kind = "payment.succeeded" if isinstance(said, Payment) else "refund.succeeded"
        return self.sign(Owed(f"notice_{said.reference}", kind, msgspec.Raw(msgspec.json.encode(said))))

    def sign(self, notice: Owed) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a notice, signed at this moment."""
        body = msgspec.json.encode(notice)
        timestamp = int(self._tools.clock.now().timestamp())
        signature = self._tools.keyring.sign(self.name, f"{timestamp}.{body.decode()}")
        return {SIGNATURE_HEADER: f"t={timestamp},v1={signature}"}, body

    async def verify(self, headers: Mapping[str, str], body: bytes, account_id: str | None = None) -> Notice:
        """Check a notice's signature and age, and return what it says. There is one sandbox for all accounts."""
        del account_id
        return self.read(headers, body)

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Check a notice's signature and age, and return what it says; raise BadSignatureError."""
        self._check_signature(headers.get(SIGNATURE_HEADER, ""), body)
        try:
            report = msgspec.json.decode(body, type=Report)
            said = msgspec.json.decode(report.object, type=SAYS[report.type])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadSignatureError(f"The notice is not what the sandbox sends: {error}.") from None
        return Notice(self.name, report.id, report.type, body.decode(), said)

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
