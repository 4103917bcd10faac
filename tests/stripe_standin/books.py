"""What Stripe remembers: sessions, payment intents, charges, refunds, disputes, warnings, and the events that tell of them.

Every object has the shape of Stripe's own sample (`samples.json`), with the fields that matter set. What goes on at Stripe without
us (a buyer pays, a bank disputes, somebody refunds in the dashboard) is a method of `Books`.
"""

import copy
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stripe import api_version

from stripe_standin.params import RefusedError

Object = dict[str, Any]

SAMPLES: dict[str, Object] = json.loads((Path(__file__).parent / "samples.json").read_text())
API_VERSION: str = api_version
SMALLEST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
"""The least amount of a payment by currency, in Stripe's minor units; 50 for others."""
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE = frozenset(["isk", "ugx"])
"""Without decimals, and written with two all the same: amounts must end in 00."""
NOT_IN_SAMPLES = frozenset(["account", "payment_intent"])
"""Fields that objects may have and the samples have not: of events of connected accounts, and of warnings."""
HALF_AN_HOUR = 1800
A_DAY = 86400


class Books:
    """All that one Stripe knows, of every merchant. `told` is called with each new event and its merchant."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.told: Callable[[str, Object], None] = lambda _merchant, _event: None
        self.tax_percent = 0
        self.discount_percent = 0
        self.live = False
        self._kept: dict[str, dict[str, tuple[str, Object]]] = {kind: {} for kind in SAMPLES}
        self._intents: dict[str, Object] = {}
        self._serial = 0

    def new(self, merchant: str, kind: str, prefix: str, **fields: Any) -> Object:
        """Keep a new object, made of the sample of its kind."""
        self._serial += 1
        assert set(fields) <= set(SAMPLES[kind]) | NOT_IN_SAMPLES, f"no {kind} has {set(fields) - set(SAMPLES[kind])}"
        made = copy.deepcopy(SAMPLES[kind]) | {"id": f"{prefix}{self._serial:06d}{secrets.token_hex(6)}"}
        made |= {"created": self.now()} | ({"livemode": self.live} if "livemode" in made else {}) | fields
        self._kept[kind][made["id"]] = (merchant, made)
        return made

    def find(self, merchant: str, kind: str, name: str) -> Object:
        """Return an object of the merchant's; another one's is like none."""
        owner, found = self._kept[kind].get(name, ("", {}))
        if owner != merchant:
            raise RefusedError(f"No such {kind}: '{name}'", code="resource_missing", param="id", status=404)
        return found

    def all_of(self, merchant: str, kind: str) -> list[Object]:
        """Return the merchant's objects of a kind, newest first."""
        return [found for owner, found in reversed(self._kept[kind].values()) if owner == merchant]

    def owner(self, kind: str, name: str) -> str:
        """Return whose object it is."""
        return self._kept[kind][name][0]

    def tell(self, merchant: str, kind: str, subject: Object, *, connected: bool = False) -> Object:
        """Make an event of what has just happened to `subject`."""
        fields: Object = {"type": kind, "api_version": API_VERSION, "data": {"object": copy.deepcopy(subject)}}
        event = self.new(merchant, "event", "evt_", **fields, **({"account": merchant} if connected else {}))
        self.told(merchant, event)
        return event

    # What is asked for by the interface.

    def open_session(self, merchant: str, form: Object, url: str) -> Object:
        """Open a Checkout Session for one thing."""
        _check_session(form, self.now())
        price = form["line_items"][0]["price_data"]
        subtotal = price["unit_amount"] * form["line_items"][0].get("quantity", 1)
        check_amount(price["currency"], subtotal)
        discount = subtotal * self.discount_percent // 100 if form.get("allow_promotion_codes") else 0
        tax = (subtotal - discount) * self.tax_percent // 100 if form.get("automatic_tax", {}).get("enabled") else 0
        session = self.new(
            merchant,
            "checkout.session",
            "cs_live_" if self.live else "cs_test_",
            amount_subtotal=subtotal,
            amount_total=subtotal - discount + tax,
            total_details={"amount_discount": discount, "amount_shipping": 0, "amount_tax": tax},
            currency=price["currency"],
            currency_conversion=None,
            customer_email=form.get("customer_email"),
            expires_at=form.get("expires_at", self.now() + A_DAY),
            metadata=form.get("metadata", {}),
            client_reference_id=form.get("client_reference_id"),
            payment_intent=None,
            payment_status="unpaid",
            status="open",
            shipping_cost=None,
            shipping_address_collection=None,
            success_url=form["success_url"],
            cancel_url=form.get("cancel_url"),
            integration_identifier=None,
        )
        session["url"] = f"{url}/pay/{session['id']}"
        self._intents[session["id"]] = form.get("payment_intent_data", {})
        return session

    def expire(self, merchant: str, name: str) -> Object:
        """Close a session that nobody paid."""
        session = self.find(merchant, "checkout.session", name)
        if session["status"] != "open":
            raise RefusedError(f"Only open Checkout Sessions can be expired. This one is {session['status']}.")
        session |= {"status": "expired", "url": None}
        self.tell(merchant, "checkout.session.expired", session)
        return session

    def refund(self, merchant: str, form: Object) -> Object:
        """Give money of a charge back."""
        charge = self._charge_of(merchant, form)
        left = charge["amount"] - charge["amount_refunded"]
        amount = form.get("amount", left)
        if charge["disputed"]:
            raise RefusedError("This charge has been charged back and cannot be refunded.", code="charge_disputed")
        if left == 0:
            raise RefusedError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        check_units(charge["currency"], amount)
        if not 0 < amount <= left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            raise RefusedError(message, param="amount")
        if form.get("refund_application_fee") and not charge["application_fee_amount"]:
            message = f"Attempting to refund_application_fee on {charge['id']}, but it has no application fee"
            raise RefusedError(message, param="refund_application_fee")
        refund = self.new(
            merchant,
            "refund",
            "re_",
            amount=amount,
            charge=charge["id"],
            payment_intent=charge["payment_intent"],
            currency=charge["currency"],
            metadata=form.get("metadata", {}),
            reason=form.get("reason"),
            status="succeeded",
        )
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.tell(merchant, "charge.refunded", charge)
        self.tell(merchant, "refund.created", refund)
        return refund

    def _charge_of(self, merchant: str, form: Object) -> Object:
        if "charge" in form:
            return self.find(merchant, "charge", form["charge"])
        if "payment_intent" not in form:
            raise RefusedError("One of the following params should be provided: payment_intent, charge.")
        intent = self.find(merchant, "payment_intent", form["payment_intent"])
        if intent["status"] != "succeeded":
            raise RefusedError("This PaymentIntent does not have a successful charge to refund.")
        return self.find(merchant, "charge", intent["latest_charge"])

    # What goes on without us.

    def lapse(self) -> None:
        """Close the sessions whose time is over."""
        for merchant, session in list(self._kept["checkout.session"].values()):
            if session["status"] == "open" and self.now() >= session["expires_at"]:
                self.expire(merchant, session["id"])

    def pay(self, name: str, method: str = "card") -> Object:
        """Let the buyer complete a session. A card pays at once; a bank debit is under way until `settle` or `bounce`."""
        self.lapse()
        merchant = self.owner("checkout.session", name)
        session = self.find(merchant, "checkout.session", name)
        if session["status"] == "expired":
            raise RefusedError("This Checkout Session has expired.", code="checkout_session_expired")
        if session["payment_status"] != "paid":
            session |= {"status": "complete", "url": None, "payment_method_types": [method]}
            self._intend(merchant, session)
            if method == "card":
                self._charge(merchant, session)
            self.tell(merchant, "checkout.session.completed", session)
        return session

    def pay_again(self, name: str) -> Object:
        """Let a session be paid a second time, as no session should be."""
        merchant = self.owner("checkout.session", name)
        session = copy.deepcopy(self.find(merchant, "checkout.session", name))
        self._intend(merchant, session)
        self._charge(merchant, session)
        self.tell(merchant, "checkout.session.completed", session)
        return session

    def settle(self, name: str) -> Object:
        """Let the bank pay a session that is under way."""
        merchant = self.owner("checkout.session", name)
        session = self.find(merchant, "checkout.session", name)
        self._charge(merchant, session)
        self.tell(merchant, "checkout.session.async_payment_succeeded", session)
        return session

    def bounce(self, name: str) -> Object:
        """Let the bank refuse a session that is under way."""
        merchant = self.owner("checkout.session", name)
        session = self.find(merchant, "checkout.session", name)
        self.find(merchant, "payment_intent", session["payment_intent"])["status"] = "requires_payment_method"
        self.tell(merchant, "checkout.session.async_payment_failed", session)
        return session

    def fail_refund(self, name: str) -> Object:
        """Let the bank send a refund back, days after it succeeded."""
        merchant = self.owner("refund", name)
        refund = self.find(merchant, "refund", name)
        refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        charge = self.find(merchant, "charge", refund["charge"])
        charge |= {"amount_refunded": charge["amount_refunded"] - refund["amount"], "refunded": False}
        self.tell(merchant, "refund.failed", refund)
        return refund

    def dispute(self, intent_id: str, status: str = "needs_response", reason: str = "product_not_received") -> Object:
        """Let the buyer's bank dispute a payment."""
        merchant = self.owner("payment_intent", intent_id)
        intent = self.find(merchant, "payment_intent", intent_id)
        charge = self.find(merchant, "charge", intent["latest_charge"])
        dispute = self.new(
            merchant,
            "dispute",
            "dp_",
            amount=charge["amount"],
            charge=charge["id"],
            payment_intent=intent_id,
            currency=charge["currency"],
            reason=reason,
            status=status,
            is_charge_refundable=status.startswith("warning"),
        )
        dispute["evidence_details"] |= {"due_by": self.now() + 7 * A_DAY}
        charge["disputed"] = not status.startswith("warning")
        self.tell(merchant, "charge.dispute.created", dispute)
        return dispute

    def move_dispute(self, name: str, status: str) -> Object:
        """Let a dispute go on."""
        merchant = self.owner("dispute", name)
        dispute = self.find(merchant, "dispute", name)
        dispute["status"] = status
        closed = status in {"won", "lost", "warning_closed"}
        if status == "won":
            self.find(merchant, "charge", dispute["charge"])["disputed"] = False
        self.tell(merchant, "charge.dispute.closed" if closed else "charge.dispute.updated", dispute)
        return dispute

    def warn(self, intent_id: str) -> Object:
        """Let a card network warn of fraud."""
        merchant = self.owner("payment_intent", intent_id)
        charge = self.find(merchant, "payment_intent", intent_id)["latest_charge"]
        fields = {"charge": charge, "payment_intent": intent_id, "fraud_type": "made_with_stolen_card"}
        warning = self.new(merchant, "radar.early_fraud_warning", "issfr_", **fields)
        self.tell(merchant, "radar.early_fraud_warning.created", warning)
        return warning

    def _intend(self, merchant: str, session: Object) -> None:
        if session["amount_total"] == 0:
            session |= {"payment_intent": None, "payment_status": "no_payment_required"}
            return
        asked = self._intents.get(session["id"], {})
        intent = self.new(
            merchant,
            "payment_intent",
            "pi_",
            amount=session["amount_total"],
            currency=session["currency"],
            status="processing",
            metadata=asked.get("metadata", {}),
            description=asked.get("description"),
            statement_descriptor_suffix=asked.get("statement_descriptor_suffix"),
            application_fee_amount=asked.get("application_fee_amount"),
        )
        session |= {"payment_intent": intent["id"]}

    def _charge(self, merchant: str, session: Object) -> None:
        if session["payment_intent"] is None:
            return
        intent = self.find(merchant, "payment_intent", session["payment_intent"])
        charge = self.new(
            merchant,
            "charge",
            "ch_",
            amount=intent["amount"],
            amount_captured=intent["amount"],
            captured=True,
            currency=intent["currency"],
            payment_intent=intent["id"],
            metadata=intent["metadata"],
            application_fee_amount=intent["application_fee_amount"],
        )
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
        session |= {"payment_status": "paid"}


def check_amount(currency: str, amount: int) -> None:
    """Refuse amounts that Stripe refuses."""
    if currency != currency.lower():
        raise RefusedError(f"Invalid currency: {currency}", param="line_items[0][price_data][currency]")
    check_units(currency, amount)
    if amount < SMALLEST.get(currency, 50):
        raise RefusedError(
            "The Checkout Session's total amount due must add up to at least the minimum charge.",
            code="amount_too_small",
        )
    if amount > 99_999_999:
        raise RefusedError("The amount is too large.", code="amount_too_large")


def check_units(currency: str, amount: int) -> None:
    """Refuse amounts that have more decimals than the currency may have at Stripe, of payments and refunds alike."""
    if currency in THREE_DECIMAL and amount % 10:
        raise RefusedError(
            "Invalid amount: the last digit of a three-decimal currency must be 0", code="amount_invalid"
        )
    if currency in WHOLE and amount % 100:
        message = f"Invalid amount. Currency {currency.upper()} is effectively zero-decimal: amounts must end in 00."
        raise RefusedError(message, code="invalid_charge_amount_no_decimal_compatible")


def _check_session(form: Object, now: int) -> None:
    for name in ("mode", "line_items", "success_url"):
        if name not in form:
            raise RefusedError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if form.get("expires_at", now + A_DAY) - now < HALF_AN_HOUR:
        message = "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        raise RefusedError(message, param="expires_at")
    if form.get("expires_at", now) - now > A_DAY:
        message = "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        raise RefusedError(message, param="expires_at")
    for metadata in (form.get("metadata", {}), form.get("payment_intent_data", {}).get("metadata", {})):
        if len(metadata) > 50 or any(len(key) > 40 or len(value) > 500 for key, value in metadata.items()):
            raise RefusedError("Metadata is limited to 50 keys of 40 characters, with values of 500.", param="metadata")
    suffix = form.get("payment_intent_data", {}).get("statement_descriptor_suffix", "x")
    if not (1 <= len(suffix) <= 22 and not set(suffix) & set("<>\\'\"*")):
        raise RefusedError(
            "Invalid statement descriptor suffix.", param="payment_intent_data[statement_descriptor_suffix]"
        )
    for name in ("success_url", "cancel_url"):
        if not form.get(name, "https://").startswith(("http://", "https://")):
            raise RefusedError("Not a valid URL", code="url_invalid", param=name)
